"""Draw faces with the generator of a run: python -m training.sample."""

from __future__ import annotations

from pathlib import Path

import click
from click import UsageError

from training import config as configs
from training.grid import tile, write_png
from training.quiet import startup_messages_hidden


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), required=True, help="A run's folder, finished or running."
)
@click.option("--count", type=click.IntRange(min=1), default=64, help="Number of faces.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Seed of the faces.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="faces.png", help="The PNG to write.")
def main(folder: Path, count: int, seed: int, out: Path) -> None:
    """Draw faces with the generator of a run, as one grid."""
    config, path = configs.load_with_generator(folder)
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder: make it first, or choose another --out.")
    with startup_messages_hidden():
        from training import draw

        generator = draw.load(path)
    write_png(out, tile(draw.faces(generator, count, seed, config.method.latent_distribution)))
    print(f"{out}: {count} faces.")


if __name__ == "__main__":
    main()
