"""Photos and their lists: which are taken, and which are rejected for want of a row."""

import pytest

from preprocess.crop import Rejection, parse
from preprocess.sources import Listing
from preprocess.work import Settings, annotate

PHOTOS = tuple(f"{number:06d}.jpg" for number in range(1, 7))
LISTING = Listing(
    dict.fromkeys(PHOTOS),  # where they lie does not matter here
    (Rejection("photos/000002.jpg", "a second one"), Rejection("000000/000005.jpg", "a second one")),  # of two sources
    ("000002.jpg", "000005.jpg"),
    "abc",
    {},
)


@pytest.fixture
def lists(tmp_path):
    """Attributes of all but photos 3 and 6, partitions of all but 1."""
    attributes, partitions = tmp_path / "attributes.csv", tmp_path / "partitions.csv"
    rows = [f"{photo},1" for photo in PHOTOS if photo not in ("000003.jpg", "000006.jpg")]
    attributes.write_text("\n".join(["image_id,Male", *rows]) + "\n")
    partitions.write_text("\n".join(["image_id,partition", *(f"{photo},0" for photo in PHOTOS[1:])]) + "\n")
    return attributes, partitions


def taken(limit, attributes=None, partitions=None):
    settings = Settings(attributes, partitions, parse("progan"), 100, limit, 0, "path", "faces")
    annotated = annotate(LISTING, settings)
    return list(annotated.photos), [tuple(rejection) for rejection in annotated.rejected]


def test_photos_without_a_row_are_rejected_and_the_list_is_named(lists):
    photos, rejected = taken(None, *lists)
    assert photos == ["000002.jpg", "000004.jpg", "000005.jpg"]
    assert rejected == [
        *map(tuple, LISTING.rejected),
        ("000003.jpg", "no row in attributes.csv"),
        ("000006.jpg", "no row in attributes.csv"),
        ("000001.jpg", "no row in partitions.csv"),
    ]


def test_a_limit_is_of_photos_and_of_what_is_rejected_among_them(lists):
    photos, rejected = taken(3, lists[0])
    assert photos == ["000001.jpg", "000002.jpg"]
    assert rejected == [("photos/000002.jpg", "a second one"), ("000003.jpg", "no row in attributes.csv")]


def test_without_lists_and_limit_all_are_taken():
    photos, rejected = taken(None)
    assert (tuple(photos), len(rejected)) == (PHOTOS, 2)
