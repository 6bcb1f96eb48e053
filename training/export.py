"""Export the generator of a run for other programs: python -m training.export."""

from __future__ import annotations

import json
from pathlib import Path

import click

from system.command import LocalPath, os_errors_reported
from system.files import write_text
from training import config as configs
from training.command import Command
from training.explore import directions
from training.options import check_writable, run_option
from training.quiet import startup_messages_hidden


@click.command(cls=Command)
@run_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "litert", "saved_model"]),
    required=True,
    help="ONNX, LiteRT (the former TensorFlow Lite), or TensorFlow's SavedModel.",
)
@click.option(
    "--out",
    type=LocalPath(path_type=Path),
    help="The file to write, for saved_model a folder.  [default: generator.onnx, .tflite or generator in the run]",
)
def main(folder: Path, form: str, out: Path | None) -> None:
    """Write the generator of a run as ONNX, LiteRT or SavedModel, with a JSON beside it that says how to use it.

    The JSON names the inputs, how z is distributed, the range of the output, and the directions of training.directions.
    """
    config, path = configs.load_with_generator(folder)
    with startup_messages_hidden(), os_errors_reported():
        from training import draw
        from training.explore import portable

        out = out or folder / f"generator{portable.SUFFIXES[form]}"
        portable.check(form, out)
        described = out.with_name(out.name + ".json")
        check_writable(described)
        generator = draw.load(path)
        moves = {}
        if (folder / directions.FILE_NAME).exists():
            found = directions.load(folder)
            if warning := directions.outdated(folder, found, draw.digest(path)):
                print(warning)
            moves = dict(zip(found.names, found.vectors.round(6).tolist(), strict=True))
        card = portable.card(generator, config.method.latent_distribution, config.conditions, moves)
        portable.write(generator, form, out, card)
    write_text(described, json.dumps(card) + "\n")
    print(f"{out}: the generator; {described}: its inputs and its output.")


if __name__ == "__main__":
    main()
