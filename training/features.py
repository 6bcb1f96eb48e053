"""Train the feature space `attributes`: python -m training.features."""

from __future__ import annotations

import shlex
from pathlib import Path
from tempfile import TemporaryFile

import click
from click import UsageError

from system.command import LocalPath, Number
from training.command import Command, startup_messages_hidden
from training.options import SEED, FindShards, shards_options

MAX_CHECKED = 20_000  # training photos that a judge is checked on


@click.command(cls=Command)
@shards_options
@click.option("--kimg", type=Number(0.01), default=100.0, help="Length in thousands of photos; 100 take minutes.")
@click.option("--seed", type=SEED, default=0, help="Seed of weights, order, flips, translations and dropout.")
@click.option(
    "--judge",
    is_flag=True,
    help="Train on the valid and test photos instead: a judge of generators that were trained on the others. "
    "training.evaluate asks it about the faces of a run with --condition.",
)
@click.option(
    "--out",
    type=LocalPath(path_type=Path, file_okay=False),
    help="Folder to write to; name it to other commands by --features-dir.  "
    "[default: features/ in the folder of the shards]",
)
def main(find_shards: FindShards, kimg: float, seed: int, judge: bool, out: Path | None) -> None:
    """Train a network that recognises the attributes of faces: the feature space of python -m training.evaluate.

    Writes attributes.keras and attributes.json, or judge.keras and judge.json.
    The shards need attributes: preprocess.run takes them from CelebA's list, a table, or the names of folders.
    """
    photos = find_shards(out)
    train_on, check_on = ({"valid", "test"}, ["train"]) if judge else ({"train"}, ["valid", "test", "train"])
    train_shards = photos.only(train_on)
    if not train_shards.count:
        splits = " or ".join(sorted(train_on))
        raise UsageError(
            f"No {splits} shards among those given: the network is trained on those. "
            "preprocess.run takes splits from its --partitions."
        )
    checked_on = next((split for split in check_on if photos.only({split}).count), None)
    if not checked_on:
        raise UsageError("No train shards among those given: the judge is checked on those.")
    checked = photos.only({checked_on}).first(MAX_CHECKED) if judge else photos.only({checked_on})

    with startup_messages_hidden():
        import tensorflow as tf

        from training.metrics import attributes

        names = photos.attribute_names
        check_writable_folder(photos.features_dir)
        tf.zeros(())  # initialises the devices while stderr is hidden
    print(f"{len(names)} attributes of {train_shards.count:,} photos; training on {kimg:g} thousand.", flush=True)
    if checked_on in train_on:
        print("There are no valid and no test photos: the accuracy is that on the training photos, and too optimistic.")
    model, card = attributes.train(
        train_shards,
        checked,
        checked_on,
        kimg,
        seed,
        log=lambda line: print(line, flush=True),
        shift=attributes.SHIFT if judge else 0.0,
    )
    attributes.save(photos.features_dir, model, card, attributes.JUDGE if judge else attributes.NAME)
    print(
        f"Accuracy {card.accuracy:.1%} on the {checked.count:,} {card.checked_on} photos, the mean over attributes; "
        f"majority-class baseline {card.commonest:.1%}."
    )
    print(f"Saved in {photos.features_dir}.")
    if out:
        print(f"Other commands find it by: --features-dir {shlex.quote(str(out))}")


def check_writable_folder(folder: Path) -> None:
    """Raise UsageError where nothing can be written into a folder: before the minutes of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}). Choose another folder with --out.") from None


if __name__ == "__main__":
    main()
