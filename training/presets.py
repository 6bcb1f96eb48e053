"""What a run is made of: one frozen dataclass, one table of presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.schedule import Ramp

Network = Literal["classic", "dcgan", "wgan_gp", "sngan", "r3gan", "lite"]
"""The modules of `training.models.networks`."""
Loss = Literal["cross_entropy", "hinge", "wasserstein", "relativistic"]
"""The entries of `training.models.losses.LOSSES`."""
Distribution = Literal["uniform", "normal"]
"""U(-1, 1) and N(0, 1)."""
Augmentation = Literal["brightness", "contrast", "translation", "cutout"]
"""The entries of `training.models.augmentation.AUGMENTATIONS`."""
Precision = Literal["float32", "bfloat16"]
"""In bfloat16 layers compute; weights, outputs, losses and penalties stay float32."""


@dataclass(frozen=True)
class Preset:
    """The method of one run. Every field can be overridden on the command line."""

    network: Network
    """What builds both networks."""
    width: float = 1.0
    """Multiplies the channels of every layer inside both networks."""
    latent: int = 100
    """Length of z."""
    latent_distribution: Distribution = "uniform"
    """How z is drawn."""

    loss: Loss = "cross_entropy"
    """What both networks minimise."""
    critic_steps: int = 1
    """Updates of D for each of G."""
    r1_gamma: Ramp = Ramp(0.0)
    """Weight of the zero-centred gradient penalty on real photos before augmentation, pixels taken as [-1, 1]."""
    r2_gamma: Ramp = Ramp(0.0)
    """The same on generated ones."""
    gradient_penalty: float = 0.0
    """Weight of WGAN-GP's penalty between photos and generated ones, pixels taken as [-1, 1]."""
    penalty_every: int = 1
    """Penalties enter every so many updates of D, weighted as much more (StyleGAN2's lazy regularisation)."""

    batch_size: int = 64
    """Photos a step, over all devices together."""
    lr_g: Ramp = Ramp(2e-4)
    """Adam's learning rate for the generator."""
    lr_d: Ramp = Ramp(2e-4)
    """Adam's learning rate for the discriminator."""
    beta_1: float = 0.5
    """Adam's decay of the first moment, both networks."""
    beta_2: Ramp = Ramp(0.999)
    """Adam's decay of the second moment, both networks."""
    clip_norm: float | None = None
    """Gradients of a network longer than this (L2 norm over all of its variables) are scaled down to it."""
    ramp_kimg: float = 0.0
    """Thousands of photos over which every value of two parts goes from the first to the second."""
    ema_kimg: Ramp = Ramp(0.0)
    """Half-life, in thousands of photos, of the moving average of G that is shown and saved; 0 shows G itself."""

    flip: bool = False
    """Mirror every second photo, drawn anew each time."""
    augment: str = ""
    """`Augmentation`s on all that D sees, separated by commas."""
    augment_probability: Ramp = Ramp(1.0)
    """How likely each of them is for each image."""

    precision: Precision = "float32"
    """What layers compute in."""


PRESETS = {
    # The specification. Adam as in DCGAN: with Keras's defaults (1e-3, 0.9) G drew blocks in a dot pattern after two
    # epochs of real CelebA, where this draws the outlines of faces.
    "classic": Preset(network="classic"),
    # Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional GANs", section 4.
    "dcgan": Preset(network="dcgan", batch_size=128),
    # Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", algorithm 1.
    "wgan-gp": Preset(
        network="wgan_gp",
        latent=128,
        latent_distribution="normal",
        loss="wasserstein",
        critic_steps=5,
        gradient_penalty=10.0,
        lr_g=Ramp(1e-4),
        lr_d=Ramp(1e-4),
        beta_1=0.0,
        beta_2=Ramp(0.9),
    ),
    # Miyato et al. 2018, "Spectral Normalization for GANs"; optimizer and critic steps as in its ResNet experiments,
    # whose rate falls to 0 over 100,000 updates of G: here it stays, since a run says its own length.
    "sngan": Preset(
        network="sngan",
        latent=128,
        latent_distribution="normal",
        loss="hinge",
        critic_steps=5,
        beta_1=0.0,
        beta_2=Ramp(0.9),
    ),
    # Huang et al. 2024, "The GAN is dead; long live the GAN!", its FFHQ-64. Gamma was chosen for three channels: for
    # one sweep a quarter to four times of it. Its augmentation is ADA's (turns, scalings, shifts, colours, cutout),
    # here DiffAugment's set at the same probabilities. G learns from the z that D has just seen; there both draw anew.
    # In batches of 4 with penalties every 4th step, for a CPU: it learns at rates of 1e-4 and ran away at 4e-4, after
    # 2,700 photos; in an eighth of its channels 4e-4 draws faces after 4,000 photos, and 1e-4 is slower.
    "r3gan": Preset(
        network="r3gan",
        latent=64,
        latent_distribution="normal",
        loss="relativistic",
        r1_gamma=Ramp(2.0, 0.2),
        r2_gamma=Ramp(2.0, 0.2),
        batch_size=256,
        lr_g=Ramp(2e-4, 5e-5),
        lr_d=Ramp(2e-4, 5e-5),
        beta_1=0.0,
        beta_2=Ramp(0.9, 0.99),
        ramp_kimg=20_000.0,
        ema_kimg=Ramp(0.0, 500.0),
        flip=True,
        augment="translation,brightness,contrast,cutout",
        augment_probability=Ramp(0.0, 0.3),
        precision="bfloat16",
    ),
    # The best faces per CPU minute: R3GAN's loss on DCGAN's shape (networks/lite.py), penalties only every 4th step,
    # Adam twice as fast as in the papers at first. Frechet distances in the attribute space: 4.1 after 20 minutes on
    # two cores, where classic comes to 24.4; 2.3 after an hour. What the search taught, after 5 minutes: 13.9 as it
    # stands, 12.8 in batches of 32, 18.5 of 128; no flip 13.9; translation, brightness and contrast always 21.5 (D has
    # seen no photo more than five times by then: there is nothing to hold it back from). In bfloat16 at a constant
    # rate: both gammas 2 in place of 0.5, no difference (17.1 and 16.5; 13.4 and 13.4 after 7 and a half); batches of
    # 32 at 3e-4, no difference (17.4). bfloat16 sees a quarter more photos in the same time where the CPU has
    # AVX512-BF16; others would emulate it, so it is left to --precision.
    "lite": Preset(
        network="lite",
        latent=64,
        latent_distribution="normal",
        loss="relativistic",
        r1_gamma=Ramp(0.5),
        r2_gamma=Ramp(0.5),
        penalty_every=4,
        lr_g=Ramp(4e-4, 1e-4),
        lr_d=Ramp(4e-4, 1e-4),
        beta_1=0.0,
        beta_2=Ramp(0.99),
        ramp_kimg=300.0,
        ema_kimg=Ramp(5.0),
        flip=True,
    ),
}
