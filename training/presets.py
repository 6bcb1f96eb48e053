"""What a run is made of: one frozen dataclass, in which every setting is described once, and one table of presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from training.schedule import CosineSchedule

Network = Literal["classic", "dcgan", "wgan_gp", "sngan", "r3gan", "lite", "bottleneck"]
"""The modules of `training.models.networks`."""
Loss = Literal["cross_entropy", "hinge", "wasserstein", "relativistic"]
"""The entries of `training.models.losses.LOSSES`."""
Distribution = Literal["uniform", "normal"]
"""U(-1, 1) and N(0, 1)."""
Augmentation = Literal["brightness", "contrast", "translation", "cutout", "ada"]
"""The entries of `training.models.augmentation.AUGMENTATIONS`: four of DiffAugment, and ADA's set as one."""
Precision = Literal["float32", "bfloat16"]
"""In bfloat16 layers compute; weights, outputs, losses and penalties stay float32."""

NETWORKS, LOSS, OPTIMIZERS, AUGMENTATION = "Networks", "Loss", "Optimizers", "Augmentation"
"""Groups of settings, as --help lists them."""


def setting(group: str, description: str, default: Any, **limits: float) -> Any:
    """Declare a field of `Preset`, which `training.options` makes an option of.

    Args:
        group: its heading in --help.
        description: its line in --help.
        default: its value where a preset does not say another.
        limits: of a number, or of both values of a `CosineSchedule`: "at_least", "above", "at_most", "below".
    """
    return field(default=default, metadata={"group": group, "description": description, "limits": limits})


@dataclass(frozen=True)
class Preset:
    """The method of one run. The fields are the options of the command line."""

    network: Network = setting(NETWORKS, "Architecture of both networks.", "classic")
    width: float = setting(NETWORKS, "Factor of the number of channels of every hidden layer.", 1.0, above=0)
    latent: int = setting(NETWORKS, "Length of z.", 100, at_least=1)
    latent_distribution: Distribution = setting(NETWORKS, "Distribution of z: U(-1, 1) or N(0, 1).", "uniform")

    loss: Loss = setting(LOSS, "Adversarial loss of both networks.", "cross_entropy")
    san: bool = setting(
        LOSS, "Learn the direction of the discriminator's last layer by a loss of its own (Takida et al. 2024).", False
    )
    critic_steps: int = setting(LOSS, "Discriminator updates per generator update.", 1, at_least=1)
    r1_gamma: CosineSchedule = setting(
        LOSS, "Weight of R1: gradient penalty on photos, pixels taken as [-1, 1].", CosineSchedule(0.0), at_least=0
    )
    r2_gamma: CosineSchedule = setting(
        LOSS, "Weight of R2: the same penalty on generated images.", CosineSchedule(0.0), at_least=0
    )
    gradient_penalty: float = setting(
        LOSS, "Weight of WGAN-GP's gradient penalty, pixels taken as [-1, 1].", 0.0, at_least=0
    )
    # StyleGAN2's lazy regularisation.
    penalty_every: int = setting(
        LOSS, "Discriminator updates per penalty, which is weighted by as much.", 1, at_least=1
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
    epsilon: float = setting(
        OPTIMIZERS,
        "Adam's epsilon, added after bias correction as in its paper; 0 for Keras's, 1e-7 before it.",
        0.0,
        at_least=0,
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
    augment: str = setting(
        AUGMENTATION,
        f"Augmentations of every discriminator input, separated by commas: {', '.join(get_args(Augmentation))}. ada is "
        "a set of its own: geometry, colour and cutout.",
        "",
    )
    augment_probability: CosineSchedule = setting(
        AUGMENTATION,
        "Probability of each augmentation for each image; half of it for ADA's colours.",
        CosineSchedule(1.0),
        at_least=0,
        at_most=1,
    )

    precision: Precision = setting(
        NETWORKS, "Precision that layers compute in; weights and losses stay float32.", "float32"
    )


PRESETS = {
    # The specification. Adam as in DCGAN: with Keras's defaults (1e-3, 0.9) G drew blocks in a dot pattern after two
    # epochs of real CelebA, where this draws the outlines of faces.
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
    # Huang et al. 2024, "The GAN is dead; long live the GAN!", its FFHQ-64; for 256 pixels the authors take gammas of
    # 150 to 15. Gamma was chosen for three channels; on grey, where one channel carries what three did, 2 acts as 6
    # would in colour (derived, not measured). There G and D draw z anew, here G learns from the z that D has just seen;
    # the authors compute in float16, G's last convolution too, which is float32 here.
    # In batches of 4 with penalties every 4th step, for a CPU: it learns at rates of 1e-4 and ran away at 4e-4, after
    # 2,700 photos; in an eighth of its channels 4e-4 draws faces after 4,000 photos, and 1e-4 is slower.
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
    # The best faces per CPU minute: DCGAN's shape with depth where it is cheap (networks/bottleneck.py), the logistic
    # loss, R1 and R2 on every 4th step only, SAN's last layer, batches of 32, Adam three times as fast at first as in
    # the papers and a quarter as fast as there from 600 kimg on, an average that begins short.
    # What a search taught: Frechet distance to training photos in the attribute space, after 240,000 images, an average
    # of 0.5 to 7.5 kimg, mostly one seed: two of one method differed by 0.15 then, by up to 0.9 after 120,000. It was
    # made with a copy of the method in PyTorch on a GPU. The plain network has 2.71 there (recall 0.63), 2.98 here.
    # - A 3x3 convolution with a residual path at the end of D, at 4x4: 2.10 and, another seed, 2.25; without the path
    #   2.23; two of them 2.03; at 8x8 too 2.03. It is depth that counts: bottlenecks of a quarter of the channels at
    #   8x8 and 4x4, for a quarter of its cost, 2.08; a dense layer of 256 in its place 2.64; one halving more 2.22.
    # - Beside that convolution (2.10), one at a time: rates of 6e-4 in place of 4e-4 1.90; the logistic loss in place
    #   of the relativistic one 1.91, hinge 2.30; z at every map of G 1.93; BatchNormalization's momentum 0.9 in place
    #   of 0.99 1.99; batches of 16 1.85, and a seventh fewer images in the same time; gammas of 1.5 1.98, of 0.15 2.45;
    #   penalties every 8th step 2.09; D at half the rate 2.19; beta_2 rising to 0.999 2.03; z of 128 2.06; a new z for
    #   G 2.12; the deviation over four images 2.08; rates that fall over 150 kimg 2.69, over 600 (not yet low) 2.39. In
    #   G: half as many channels again 2.04, a 3x3 convolution at 4x4 2.02, at 8x8 1.97, 3x3 after nearest upsampling in
    #   place of 4x4 transposed 2.41.
    # - All that is in the preset together, but for the longer average: 1.57, recall 0.74. From there without z at the
    #   maps 1.79, relativistic 1.86, without blocks 1.92; a block at 16x16 too 1.79; each block twice 1.70 and 1.85;
    #   D's channels three quarters as many 2.05; rates of 8e-4 1.75; momentum 0.99 1.71; batches of 16 1.60.
    # - After 120,000 images, where the plain network has 4.41 and 5.31: SAN's direction weighted by the slope of the
    #   loss 4.84; every pair of photo and generated image 4.53; z that carries 8 principal components of the photo that
    #   D sees 7.5, or their signs 5.95; real labels (--condition Male,Smiling,Eyeglasses) 3.58.
    # Before: SAN 10.8 in place of 11.5 after 60,000 images, batches of 64 13.1; flips make no difference, augmentation
    # 21.5 in place of 13.9 (each photo was seen fewer than five times); both networks updated from one pass of D 18.4
    # in place of 14.7: G needs the D of this step.
    # Averages of one run of 640 kimg: 2.36 at a half-life of 2.5 kimg, 2.29 at 5, 2.25 at 10, 2.24 at 20, 2.31 at 40.
    # All of that had rates that fall to 1e-4 over 300 kimg, and gammas of 0.5. Longer runs, the mean FD of four draws
    # of 3,180 faces, one seed, after 240, 480, 720 and 1,080 kimg:
    # - Those: 1.82, 1.48, 1.34, 1.29. Rates that fall to 5e-5 over 600 kimg: 2.09, 1.29, 1.23 (1.53 after 360); over
    #   900: 2.14, 1.48, 1.18, 1.13. Gammas that rise to 2 over 900: 1.94, 1.51, 1.29, 1.25; together with rates over
    #   900: 2.08, 1.40, 1.07. The preset has 600 for both: here 1.62 after 345 kimg, where 900 has 2.02 after 322, but
    #   1.12 after 934, the mean of five draws 1.09.
    # - Beside rates over 900 (1.18 after 720): to 2e-5 1.21, from 8e-4 to 3e-5 1.17, beta_2 rising to 0.999 1.16,
    #   batches of 64 from 500 kimg on 1.19, G half as wide again 1.11.
    # - Beside rates over 300: both networks half as wide again 1.88, 1.30, 1.19, 1.15; batches of 64 from 300 kimg on
    #   and 128 from 700 on 1.79, 1.47, 1.32, 1.27 (1.19 after 1,680); the deviation over four images 1.78, 1.46, 1.34,
    #   1.22; ten labels 1.58, 1.20, 1.16, 1.10; dropout of 0.2 in D 2.47, 1.89, 1.64, 1.52.
    # - Augmentation does not help, though D comes to rate training photos above held-out ones by 0.4 of what it rates
    #   them above faces: translation at 0.5 1.98, 1.67, 1.44; with cutout at 0.3 2.06, 1.68, 1.52; ADA at 0.2 2.51,
    #   1.94.
    # - After 240 kimg (1.82; another seed 1.98): R1 only 1.85, with a gamma of 1 1.82; skip-layer excitation in G 1.82;
    #   a second output of D, at 32x32, 2.00; [1, 3, 3, 1] blur in both networks 10.1; depthwise convolutions in D 27.9
    #   (after 120).
    # bfloat16 learns as much from a photo, and sees 1.4 to 1.6 times as many in the same time.
    "lite": Preset(
        network="bottleneck",
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
        precision="bfloat16",
    ),
}
