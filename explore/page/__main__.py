"""Write a page that draws faces in any browser: python -m explore.page."""

from __future__ import annotations

from pathlib import Path

import click
from PIL import Image

from explore.directions import directions
from system.command import LocalPath
from system.files import write_text
from training import config as configs
from training.command import Command, startup_messages_hidden
from training.options import check_writable, run_option, truncation_option


@click.command(cls=Command)
@run_option
@click.option("--title", help="Heading of the page.  [default: Faces that do not exist, in the reader's language]")
@click.option("--face", type=click.IntRange(1, 10**9), default=1, help="Number of the face that the page opens with.")
@truncation_option
@click.option(
    "--neighbours",
    type=LocalPath(path_type=Path, dir_okay=False, exists=True),
    help="The picture of training.evaluate --neighbours, faces beside real photos: shown when a reader asks for it.",
)
@click.option(
    "--out", type=LocalPath(path_type=Path, dir_okay=False), default="faces.html", help="The HTML file to write."
)
def main(folder: Path, title: str | None, face: int, truncation: float, neighbours: Path | None, out: Path) -> None:
    """Write one HTML file in which the generator of a run draws faces: it needs no server and no network.

    A wall of faces, sliders for the directions of explore.directions, a walk between two faces, and the report of the
    run. It is in English or Korean, by the reader's browser.
    """
    config, path = configs.load_with_generator(folder)
    check_writable(out)
    photos = open_picture(neighbours) if neighbours else None
    moves = directions.load(folder)
    with startup_messages_hidden():
        from explore.page import build
        from explore.page.layers import describe
        from training import draw

        generator, digest = draw.load_with_digest(path)
        layers = describe(generator)
    text = build.page(title, build.data_of(folder, config, layers, moves, digest, face, truncation, photos))
    write_text(out, text)
    print(f"{out}: {len(text.encode()) / 1e6:.1f} MB. Open it in a browser.")
    directions.warn_if_outdated(folder, moves, digest)
    if moves is None:
        print(f"It has no sliders. {directions.advice(folder)}")


def open_picture(path: Path) -> Image.Image:
    """Return the picture in a file. Raises click.BadParameter where it is none."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except Exception:  # decoders meet damaged bytes with OSError, SyntaxError, ValueError and more
        raise click.BadParameter(
            f"{path} cannot be read as a picture; training.evaluate --neighbours writes one.",
            param_hint="--neighbours",
        ) from None


if __name__ == "__main__":
    main()
