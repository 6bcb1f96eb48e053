"""One attribute for each folder of photos: of these attributes exactly one holds for a photo."""

import re
from collections.abc import Collection
from unicodedata import normalize

import click

from preprocess.annotations import Attributes

FOLDERS = "folders"  # of --attributes

MAX_CLASSES = 1000  # as ImageNet has; an attribute takes a byte of each record
# Names of a level of folders that says how photos are divided, not what they show: train/cats, test/cats.
_SPLIT = re.compile("(train(ing)?|val(id(ation)?)?|test(ing)?)([-_ ]?(set|data))?", re.IGNORECASE)


def attributes_of(ids: Collection[str]) -> Attributes:
    """Return an attribute for each folder on the first level at which folders tell photos apart.

    `ids` are paths. Levels of a single folder are passed over, and levels of splits, such as train and test. Names are
    in order, and composed (NFC): a Mac's file names are not. Raises click.UsageError where folders make no attributes.
    """
    folders = _folders([photo_id.split("/") for photo_id in ids])
    names = sorted(set(folders))
    if len(names) > MAX_CLASSES:
        raise _refusal(
            f"there are {len(names):,} folders, such as {names[0]!r}; {MAX_CLASSES:,} are the most: give a table"
        )
    if unfit := [name for name in names if not name or "," in name]:
        raise _refusal(f"--condition cannot name the folder {unfit[0]!r}, as commas separate names there: rename it")
    rows = {name: bytes(name == other for other in names) for name in names}
    of_photos = {photo_id: rows[folder] for photo_id, folder in zip(ids, folders, strict=True)}
    return Attributes(tuple(names), of_photos, is_exclusive=True)


def _folders(paths: list[list[str]]) -> list[str]:
    """Return the name of each photo's folder on the level that tells them apart; paths are in parts."""
    level = 0
    while paths:
        beside = ["/".join(path) for path in paths if len(path) == level + 1]
        if beside and len(beside) == len(paths):
            raise _refusal(
                f"none tell photos such as {beside[0]!r} apart: --source takes a folder that holds two or more of "
                "them, and --limit the first photos by name"
            )
        if beside:
            raise _refusal(f"the photo {beside[0]!r} lies beside the folders: move it into one of them, or away")
        folders = [normalize("NFC", path[level]).strip() for path in paths]
        if len(set(folders)) != 1 and not all(map(_SPLIT.fullmatch, set(folders))):
            return folders
        level += 1
    return []


def _refusal(fault: str) -> click.UsageError:
    return click.UsageError(f"--attributes {FOLDERS} makes an attribute of each folder's name, but {fault}.")
