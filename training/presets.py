"""What a run is made of: one frozen dataclass, one table of presets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """The method of one run: networks, loss, optimizers. Every field can be overridden on the command line."""

    network: str
    """The module of `training.networks` that builds both networks."""
    loss: str
    """The entry of `training.losses.LOSSES`."""

    latent: int = 100
    """Length of z."""
    latent_distribution: str = "uniform"
    """"uniform" is U(-1, 1), "normal" is N(0, 1)."""

    batch_size: int = 64
    """Photos a step, over all devices together."""
    lr_g: float = 2e-4
    """Adam's learning rate for the generator."""
    lr_d: float = 2e-4
    """Adam's learning rate for the discriminator."""
    beta_1: float = 0.5
    """Adam's decay of the first moment, both networks."""
    beta_2: float = 0.999
    """Adam's decay of the second moment, both networks."""
    clip_norm: float | None = None
    """Gradients of a network longer than this (L2 norm over all of its variables) are scaled down to it."""
    flip: bool = False
    """Mirror every second photo, drawn anew each time."""


PRESETS = {
    # The specification. Adam as in DCGAN: with Keras's defaults (1e-3, 0.9) G drew blocks in a dot pattern after two
    # epochs of real CelebA, where this draws the outlines of faces.
    "classic": Preset(network="classic", loss="cross_entropy"),
}
