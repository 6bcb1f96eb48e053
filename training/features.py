"""The command line that learns the feature space `attributes`: python -m training.features."""

from __future__ import annotations

import click
from click import UsageError

from training.data.shards import ShardSet, find
from training.options import Number, shards_options
from training.quiet import startup_chatter_hidden


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@shards_options
@click.option("--kimg", type=Number(0.01), default=100.0, help="Thousands of photos to see; 100 take a few minutes.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Decides weights, order and flips.")
def main(shards: tuple[str, ...], more_shards: tuple[str, ...], kimg: float, seed: int) -> None:
    """Learn to tell the attributes of the training photos; what is learnt is what python -m training.evaluate sees by.

    Writes features/attributes.keras and attributes.json beside the shards. Shards need attributes: preprocess.run
    takes them from CelebA's list.
    """
    found = find([*shards, *more_shards] or ["data"])
    learnt = found.only({"train"})
    if not learnt.count:
        raise UsageError("No train shards among those given: it is they that are learnt from.")
    checked, checked_on = held_out(found)

    with startup_chatter_hidden():
        import tensorflow as tf

        from training.loop.failures import failures_of_files_in_words
        from training.metrics import attributes, space

        attribute_names = attributes.names(found)
        tf.zeros(())
    print(f"{len(attribute_names)} attributes of {learnt.count:,} photos, {kimg:g} thousand to see.", flush=True)
    if checked_on is None:
        print("There are no valid and no test photos: the accuracy is that on the photos learnt from, and flatters.")
    with failures_of_files_in_words():
        model, card = attributes.learn(
            learnt, checked, checked_on or "train", kimg, seed, say=lambda line: print(line, flush=True)
        )
        attributes.save(space.folder(found), model, card)
    print(
        f"{card.accuracy:.1%} right on the {checked.count:,} {card.checked_on} photos, the mean over attributes; "
        f"{card.commonest:.1%} by always answering what is commoner."
    )
    print(f"Kept in {space.folder(found)}.")


def held_out(shards: ShardSet) -> tuple[ShardSet, str | None]:
    """Return the photos to take the accuracy on and their split's name: None where all there is was learnt from."""
    for split in ("valid", "test"):
        if shards.only({split}).count:
            return shards.only({split}), split
    return shards.only({"train"}), None


if __name__ == "__main__":
    main()
