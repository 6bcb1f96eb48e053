"""Write a page that draws faces in any browser: python -m training.page."""

from __future__ import annotations

from pathlib import Path

import click
from PIL import Image

from system.command import LocalPath
from system.files import write_text
from training import config as configs
from training.command import Command
from training.explore import directions
from training.options import check_writable, run_option
from training.quiet import startup_messages_hidden


@click.command(cls=Command)
@run_option
@click.option(
    "--title", help="Heading of the page.  [default: that these faces do not exist, in the reader's language]"
)
@click.option("--face", type=click.IntRange(1, 10**9), default=1, help="Number of the face that is chosen at first.")
@click.option(
    "--neighbours",
    type=LocalPath(path_type=Path, dir_okay=False, exists=True),
    help="The picture of training.evaluate --neighbours, faces beside real photos: shown when a reader asks for it.",
)
@click.option(
    "--out", type=LocalPath(path_type=Path, dir_okay=False), default="faces.html", help="The HTML file to write."
)
def main(folder: Path, title: str | None, face: int, neighbours: Path | None, out: Path) -> None:
    """Write one HTML file in which the generator of a run draws faces: it needs no server and no network.

    A wall of faces, sliders for the directions of training.directions, a walk between two faces, and the report of the
    run. It is in English or Korean, by the reader's browser.
    """
    config, path = configs.load_with_generator(folder)
    check_writable(out)
    photos = _opened(neighbours) if neighbours else None
    found = directions.load(folder) if (folder / directions.FILE_NAME).exists() else None
    with startup_messages_hidden():
        from training import draw
        from training.data import labels
        from training.explore import page
        from training.explore.layers import describe

        layers = describe(draw.load(path))
    frequencies = labels.load(folder) if config.conditions else None
    machine = configs.load(folder).machine
    text = page.build(
        title, page.data_of(folder, config, machine, layers, found, frequencies, draw.digest(path), face, photos)
    )
    write_text(out, text)
    print(f"{out}: {len(text.encode()) / 1e6:.1f} MB. Open it in a browser.")
    if found and (warning := directions.outdated(folder, found, draw.digest(path))):
        print(warning)
    if found is None:
        print(
            f"It has no sliders: they come from python -m training.directions --run {folder} --shards data/*.tfrecord"
        )


def _opened(picture: Path) -> Image.Image:
    try:
        with Image.open(picture) as image:
            return image.convert("RGB")
    except Exception:  # decoders meet damaged bytes with OSError, SyntaxError, ValueError and more
        raise click.BadParameter(
            f"{picture} cannot be read as a picture; training.evaluate --neighbours writes one.",
            param_hint="--neighbours",
        ) from None


if __name__ == "__main__":
    main()
