"""The networks, losses and updates of `classic` in PyTorch, which is not among the requirements: measured where it is.

python tests/benchmarks/pytorch.py --way eager|channels_last|compiled [--steps 60]

Prints images/s on one batch that stays in memory, after the first steps.
"""

from __future__ import annotations

import time

import click

BATCH, LATENT, WARM_UP = 64, 100, 3


def networks():
    """The generator and the discriminator of `training/models/networks/classic.py`."""
    from torch import nn

    layers = [nn.Linear(LATENT, 4 * 4 * 256), nn.Unflatten(1, (256, 4, 4))]
    for inputs, outputs in ((256, 256), (256, 128), (128, 64)):
        layers += [nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1), nn.LeakyReLU(0.2), nn.BatchNorm2d(outputs)]
    layers += [nn.ConvTranspose2d(64, 1, 3, 2, 1, 1), nn.Sigmoid()]
    convolutions = []
    for inputs in (1, 64):
        convolutions += [nn.Conv2d(inputs, 64, 3, 2, 1), nn.LeakyReLU(0.2), nn.Dropout(0.4)]
    return nn.Sequential(*layers), nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(16 * 16 * 64, 1))


@click.command()
@click.option("--way", type=click.Choice(["eager", "channels_last", "compiled"]), default="eager")
@click.option("--steps", default=60)
def main(way: str, steps: int) -> None:
    """Measure."""
    import torch
    from torch.nn.functional import softplus

    torch.manual_seed(0)
    generator, discriminator = networks()
    layout = torch.contiguous_format if way == "eager" else torch.channels_last
    generator, discriminator = (network.to(memory_format=layout) for network in (generator, discriminator))
    photos = torch.rand(BATCH, 1, 64, 64).to(memory_format=layout)
    optimizers = [torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999)) for network in (generator, discriminator)]

    def losses_of_d(fakes):
        return (softplus(-discriminator(photos)) + softplus(discriminator(fakes))).mean()

    def loss_of_g(fakes):
        return softplus(-discriminator(fakes)).mean()

    generate = generator
    if way == "compiled":
        generate, losses_of_d, loss_of_g = map(torch.compile, (generator, losses_of_d, loss_of_g))

    def step() -> None:
        # As training/models/step.py: the fakes of one pass through G are seen by D, then by the updated D.
        fakes = generate(torch.rand(BATCH, LATENT) * 2 - 1)
        for optimizer, loss, images in (
            (optimizers[1], losses_of_d, fakes.detach()),
            (optimizers[0], loss_of_g, fakes),
        ):
            optimizer.zero_grad(set_to_none=True)
            loss(images).backward()
            optimizer.step()

    for _ in range(WARM_UP):
        step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    print(steps * BATCH / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
