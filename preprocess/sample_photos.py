"""Drawn stand-ins for CelebA, laid out as CelebA is: python -m preprocess.sample_photos --out FOLDER --count N."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from tqdm import tqdm

from preprocess.command import Command
from preprocess.drawn_face import Face, draw, random_face
from preprocess.workers.local import WorkerPool
from system.command import LocalPath, os_errors_reported
from system.files import PARTIAL, read_json, write_json, write_text
from system.limits import usable_cores

PHOTOS = "img_align_celeba"
ATTRIBUTES = "list_attr_celeba.txt"
PARTITIONS = "list_eval_partition.txt"
RECORD = "sample_photos.json"  # written first: it says whose folder this is, and what is to be in it
_BATCH = 20  # photos a worker draws between two reports to the bar

# CelebA's attributes in CelebA's order.
_NAMES_LINE = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male "
    "Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
)
NAMES = tuple(_NAMES_LINE.split())


@click.command(cls=Command)
@click.option("--out", required=True, type=LocalPath(file_okay=False, path_type=Path), help="The folder to draw into.")
@click.option("--count", required=True, type=click.IntRange(1, 999_999), help="How many photos to draw.")
@click.option("--seed", default=0, show_default=True, help="Another seed draws other faces.")
def main(out: Path, count: int, seed: int) -> None:
    """Draw faces to try this project with where there is no CelebA.

    OUT will hold img_align_celeba/000001.jpg and so on (178x218, eyes and mouth where CelebA's alignment puts them),
    list_attr_celeba.txt and list_eval_partition.txt. Cut short, the same command continues.
    """
    if _is_whole(out, count, seed):
        click.echo(f"Nothing to do: the {count} drawn photos of seed {seed} are already in {out / PHOTOS}.")
        return
    write_json(out / RECORD, {"count": count, "seed": seed})
    (out / PHOTOS).mkdir(exist_ok=True)
    _draw_all(out / PHOTOS, count, seed, _missing(out / PHOTOS, count))
    os.sync()  # once for all photos: syncing each would take longer than drawing it
    write_text(out / ATTRIBUTES, attribute_list(seed, count))
    write_text(out / PARTITIONS, partition_list(count))
    click.echo(f"{count} drawn photos are in {out / PHOTOS}, {ATTRIBUTES} and {PARTITIONS} in {out}.")


def face_of(seed: int, number: int) -> Face:
    """Return face `number`, from 1: it depends on these two numbers alone."""
    return random_face(f"{seed}:{number}")


def draw_photos(folder: Path, seed: int, numbers: Sequence[int]) -> None:
    """Write these photos into `folder`, each under a temporary name first."""
    with os_errors_reported():
        for number in numbers:
            path = folder / _photo_name(number)
            unfinished = path.with_suffix(".part")
            draw(face_of(seed, number)).save(unfinished, "JPEG", quality=90)
            unfinished.replace(path)


def attribute_list(seed: int, count: int) -> str:
    """Return CelebA's attribute list for the photos 1 to `count`: 1 for what was drawn, -1 for the rest."""
    lines = [str(count), _NAMES_LINE]
    for number in range(1, count + 1):
        drawn = face_of(seed, number).attributes
        lines.append(" ".join([_photo_name(number), *(" 1" if name in drawn else "-1" for name in NAMES)]))
    return "\n".join(lines) + "\n"


def partition_list(count: int) -> str:
    """Return CelebA's partition list for the photos 1 to `count`: 80 % train, then 10 % valid, then 10 % test."""
    split_of = {n: 0 if 10 * n <= 8 * count else 1 if 10 * n <= 9 * count else 2 for n in range(1, count + 1)}
    return "".join(f"{_photo_name(n)} {split}\n" for n, split in split_of.items())


def _is_whole(out: Path, count: int, seed: int) -> bool:
    """Return whether all is drawn; make the folder if needed. Raises click.UsageError where it is not ours."""
    out.mkdir(parents=True, exist_ok=True)
    record, wanted = read_json(out / RECORD), {"count": count, "seed": seed}
    # A run that was killed at its very beginning leaves the record half written.
    if all(entry.match(PARTIAL) for entry in out.iterdir()):
        return False
    if not isinstance(record, dict) or not record.keys() >= wanted.keys():
        raise click.UsageError(f"{out} holds other things, and stays as it is: choose an empty or a new --out.")
    if not wanted.items() <= record.items():
        raise click.UsageError(
            f"{out} is for {record['count']} photos of seed {record['seed']}, not {count} of seed {seed}, and "
            "stays as it is: choose another --out, or remove that folder."
        )
    return (out / ATTRIBUTES).is_file() and (out / PARTITIONS).is_file() and not _missing(out / PHOTOS, count)


def _missing(folder: Path, count: int) -> list[int]:
    """Return which photos are still to be drawn."""
    # A power cut can leave empty files behind names that were not yet synced.
    drawn = {entry.name for entry in os.scandir(folder) if entry.stat().st_size} if folder.is_dir() else set()
    return [number for number in range(1, count + 1) if _photo_name(number) not in drawn]


def _draw_all(folder: Path, count: int, seed: int, numbers: Sequence[int]) -> None:
    batches = [numbers[start : start + _BATCH] for start in range(0, len(numbers), _BATCH)]
    with (
        tqdm(total=count, initial=count - len(numbers), unit="photo", disable=None) as bar,
        WorkerPool(min(usable_cores(), len(batches))) as pool,
    ):
        for batch, _ in pool.completed(partial(draw_photos, folder, seed), batches):
            bar.update(len(batch))


def _photo_name(number: int) -> str:
    return f"{number:06d}.jpg"


if __name__ == "__main__":
    main()
