"""What a run is made of: one frozen dataclass, which describes each setting once, and one table of presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

# The keys of `training.models.networks.FAMILIES`.
NetworkName = Literal["classic", "dcgan", "wgan_gp", "sngan", "r3gan", "lite"]
# The keys of `training.models.step.LOSSES`.
LossName = Literal["cross_entropy", "hinge", "wasserstein", "relativistic"]
SIGNED_LOSSES = ("cross_entropy", "hinge")  # of which a logit above 0 means a photo
Distribution = Literal["uniform", "normal"]  # U(-1, 1) and N(0, 1)
# The keys of `training.models.augmentation.AUGMENTATIONS`: four of DiffAugment, and ADA's set as one.
AugmentationName = Literal["brightness", "contrast", "translation", "cutout", "ada"]
# In bfloat16 layers compute; weights, outputs, losses and penalties stay float32.
Precision = Literal["float32", "bfloat16"]

PHOTOS_PER_TORN = 4  # a discriminator that sees one torn photo for four photos is an eighth dearer

# Groups of settings, as --help lists them.
NETWORKS, LOSS, OPTIMIZERS, AUGMENTATION = "Networks", "Loss", "Optimizers", "Augmentation"


@dataclass(frozen=True)
class CosineSchedule:
    """A value that goes from `start` to `end` along half a cosine and then stays: "2e-4:5e-5", or one number."""

    start: float
    end: float | None = None  # None for a constant

    def at(self, decay: float) -> float:
        """Return the value where `start` has the weight `decay`, 1 to 0, and `end` the rest; also of a tensor."""
        end = self.start if self.end is None else self.end
        return end + (self.start - end) * decay

    @property
    def is_zero(self) -> bool:
        """Whether it is 0 throughout."""
        return not self.start and not self.end

    @classmethod
    def parse(cls, text: str) -> CosineSchedule:
        """Read "START" or "START:END"; raise ValueError for anything else."""
        start, *end = (float(part) for part in text.split(":"))
        if len(end) > 1:
            raise ValueError(text)
        return cls(start, *end)

    def __str__(self) -> str:
        """As `parse` reads it."""
        return str(self.start) if self.end is None else f"{self.start}:{self.end}"


def setting(group: str, description: str, default: Any, **limits: float) -> Any:
    """Declare a field of `Preset`, of which `training.options` makes an option below the heading `group` of --help.

    `limits` are those of a number, or of both values of a `CosineSchedule`: "at_least", "above", "at_most", "below".
    """
    return field(default=default, metadata={"group": group, "description": description, "limits": limits})


@dataclass(frozen=True)
class Preset:
    """The method of one run. The fields are the options of the command line."""

    network: NetworkName = setting(NETWORKS, "Architecture of both networks.", "classic")
    width: float = setting(NETWORKS, "Factor of the number of channels of every hidden layer.", 1.0, above=0)
    latent: int = setting(NETWORKS, "Length of z.", 100, at_least=1)
    latent_distribution: Distribution = setting(NETWORKS, "Distribution of z: U(-1, 1) or N(0, 1).", "uniform")

    loss: LossName = setting(LOSS, "Adversarial loss of both networks.", "cross_entropy")
    san: bool = setting(
        LOSS, "Learn the direction of the discriminator's last layer by a loss of its own (Takida et al. 2024).", False
    )
    critic_steps: int = setting(LOSS, "Discriminator updates per generator update.", 1, at_least=1, at_most=100)
    r1_gamma: CosineSchedule = setting(
        LOSS, "Weight of R1: gradient penalty on photos, pixels taken as [-1, 1].", CosineSchedule(0.0), at_least=0
    )
    r2_gamma: CosineSchedule = setting(
        LOSS, "Weight of R2: the same penalty on generated images.", CosineSchedule(0.0), at_least=0
    )
    gradient_penalty: float = setting(
        LOSS, "Weight of WGAN-GP's gradient penalty, pixels taken as [-1, 1].", 0.0, at_least=0
    )
    # StyleGAN2's lazy regularisation has a step of its own and adjusts Adam's constants: not this.
    penalty_every: int = setting(
        LOSS, "Penalties in one of n updates of the discriminator, from the first on, weighted by n.", 1, at_least=1
    )

    batch_size: int = setting(OPTIMIZERS, "Photos per step, over all devices together.", 64, at_least=1)
    lr_g: CosineSchedule = setting(
        OPTIMIZERS, "Adam's learning rate for the generator.", CosineSchedule(2e-4), at_least=0
    )
    lr_d: CosineSchedule = setting(
        OPTIMIZERS, "Adam's learning rate for the discriminator.", CosineSchedule(2e-4), at_least=0
    )
    beta_1: float = setting(OPTIMIZERS, "Adam's decay of the first moment.", 0.5, at_least=0, below=1)
    beta_2: CosineSchedule = setting(
        OPTIMIZERS, "Adam's decay of the second moment.", CosineSchedule(0.999), at_least=0, below=1
    )
    epsilon: float | None = setting(
        OPTIMIZERS,
        "Adam's epsilon, added after bias correction as in its paper; without it Keras's form, 1e-7 before.",
        None,
        above=0,
    )
    clip_norm: float | None = setting(
        OPTIMIZERS, "Gradient clipping: maximum L2 norm over all variables of a network.", None, above=0
    )
    ramp_kimg: float = setting(OPTIMIZERS, "Length of START:END schedules, in thousands of photos.", 0.0, at_least=0)
    ema_kimg: CosineSchedule = setting(
        OPTIMIZERS,
        "Half-life of the generator's moving average (EMA), in thousands of photos; 0 for none.",
        CosineSchedule(0.0),
        at_least=0,
    )

    flip: bool = setting(AUGMENTATION, "Flip photos horizontally, at random.", False)
    torn: float = setting(
        AUGMENTATION,
        f"Weight of torn photos as additional fakes of the discriminator, one for {PHOTOS_PER_TORN} photos "
        "(Sinha et al. 2021).",
        0.0,
        at_least=0,
    )
    augment: str = setting(
        AUGMENTATION,
        f"Augmentations of every discriminator input, separated by commas: {', '.join(get_args(AugmentationName))}. "
        "ada is a set of its own: geometry, colour and cutout.",
        "",
    )
    augment_probability: CosineSchedule = setting(
        AUGMENTATION,
        "Probability of each augmentation for each image; half of it for ADA's colours.",
        CosineSchedule(1.0),
        at_least=0,
        at_most=1,
    )
    augment_target: float | None = setting(
        AUGMENTATION,
        "Adapt this probability, from 0 on, so that D's logits for photos have this mean sign (Karras et al. 2020: "
        "0.6). Above it D knows the photos by heart.",
        None,
        at_least=0,
        at_most=1,
    )
    augment_kimg: float = setting(
        AUGMENTATION,
        "Thousands of photos over which --augment-target moves the probability from 0 to 1, at the fastest.",
        500.0,
        above=0,
    )

    precision: Precision = setting(
        NETWORKS, "Precision that layers compute in; weights and losses stay float32.", "float32"
    )


PRESETS = {
    # The specification. Adam as in DCGAN; with Keras's defaults (1e-3, 0.9) G does not learn faces.
    "classic": Preset(network="classic"),
    # Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional GANs", section 4. Unlike
    # dcgan.torch, which updates G by D's output from before D's own update, G learns from the updated D.
    "dcgan": Preset(network="dcgan", batch_size=128),
    # Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", algorithm 1, on DCGAN's networks without
    # normalisation in D. The authors' own are ResNets, or 5x5 convolutions with layer normalisation in D.
    "wgan-gp": Preset(
        network="wgan_gp",
        latent=128,
        latent_distribution="normal",
        loss="wasserstein",
        critic_steps=5,
        gradient_penalty=10.0,
        lr_g=CosineSchedule(1e-4),
        lr_d=CosineSchedule(1e-4),
        beta_1=0.0,
        beta_2=CosineSchedule(0.9),
    ),
    # Miyato et al. 2018, "Spectral Normalization for GANs"; optimizer and critic steps as in its ResNet experiments,
    # whose rate falls to 0 over 100,000 updates of G: here it stays, since a run says its own length. Nearest
    # upsampling is the authors'; mimicry's is bilinear.
    "sngan": Preset(
        network="sngan",
        latent=128,
        latent_distribution="normal",
        loss="hinge",
        critic_steps=5,
        beta_1=0.0,
        beta_2=CosineSchedule(0.9),
    ),
    # Huang et al. 2024, "The GAN is dead; long live the GAN!", its FFHQ-64. Gamma is for RGB; on grey 2 acts as 6
    # (derived). Differs: G reuses D's z; bfloat16.
    "r3gan": Preset(
        network="r3gan",
        latent=64,
        latent_distribution="normal",
        loss="relativistic",
        r1_gamma=CosineSchedule(2.0, 0.2),
        r2_gamma=CosineSchedule(2.0, 0.2),
        batch_size=256,
        lr_g=CosineSchedule(2e-4, 5e-5),
        lr_d=CosineSchedule(2e-4, 5e-5),
        beta_1=0.0,
        beta_2=CosineSchedule(0.9, 0.99),
        epsilon=1e-8,
        ramp_kimg=20_000.0,
        ema_kimg=CosineSchedule(0.0, 500.0),
        flip=True,
        augment="ada",
        augment_probability=CosineSchedule(0.0, 0.3),
        precision="bfloat16",
    ),
    # Chosen by ablation on FD: docs/presets.md#ablation-of-lite.
    "lite": Preset(
        network="lite",
        latent=64,
        latent_distribution="normal",
        san=True,
        r1_gamma=CosineSchedule(0.5, 2.0),
        r2_gamma=CosineSchedule(0.5, 2.0),
        penalty_every=4,
        batch_size=32,
        lr_g=CosineSchedule(6e-4, 5e-5),
        lr_d=CosineSchedule(6e-4, 5e-5),
        beta_1=0.0,
        beta_2=CosineSchedule(0.99),
        ramp_kimg=600.0,
        ema_kimg=CosineSchedule(0.5, 15.0),
        flip=True,
        torn=0.5,
        precision="bfloat16",
    ),
}
