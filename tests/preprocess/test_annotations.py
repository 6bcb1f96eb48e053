"""The two lists, in each of their editions, whole and malformed."""

import click
import pytest

from preprocess.annotations import find_list, read_attributes, read_partitions

ATTRIBUTES_TXT = "3\nBald Young \n000001.jpg -1  1\n000002.jpg  1 -1\n000009.jpg  1  1\n"
ATTRIBUTES_CSV = "image_id,Bald,Young\n000001.jpg,-1,1\n000002.jpg,1,-1\n000009.jpg,1,1\n"
PARTITIONS_TXT = "000001.jpg 0\n000002.jpg 1\n000009.jpg 2\n"
PARTITIONS_CSV = "image_id,partition\n000001.jpg,0\n000002.jpg,1\n000009.jpg,2\n"
IDS = ["000001.jpg", "000002.jpg", "000003.jpg"]


@pytest.fixture
def written(tmp_path):
    def write(text: str | bytes):
        path = tmp_path / "list"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


EDITIONS = [
    lambda text: text,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "\ufeff" + text,
    lambda text: text.rstrip("\n"),
    lambda text: text + "\n\n",
]


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("text", [ATTRIBUTES_TXT, ATTRIBUTES_CSV])
def test_attributes_of_the_photos_that_are_there(written, text, edition):
    attributes = read_attributes(written(edition(text)), IDS)
    assert attributes.names == ("Bald", "Young")
    assert attributes.rows == {"000001.jpg": b"\0\1", "000002.jpg": b"\1\0"}


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("text", [PARTITIONS_TXT, PARTITIONS_CSV])
def test_splits_of_the_photos_that_are_there(written, text, edition):
    assert read_partitions(written(edition(text)), IDS) == {"000001.jpg": "train", "000002.jpg": "valid"}


def test_the_rows_of_absent_photos_are_counted_and_no_more(written):
    """A list for all of CelebA is read for a few photos, so what is wrong with others is in nobody's way."""
    assert read_attributes(written(ATTRIBUTES_TXT.replace("000009.jpg  1  1", "000009.jpg  x")), IDS).rows.keys() == {
        "000001.jpg",
        "000002.jpg",
    }
    assert len(read_partitions(written(PARTITIONS_CSV.replace("000009.jpg,2", "000009.jpg")), IDS)) == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        (ATTRIBUTES_TXT.split("\n", 1)[1], 1),  # no count
        ("3\n", 2),
        (ATTRIBUTES_TXT.replace("Bald Young \n", ""), 2),
        (ATTRIBUTES_CSV.split("\n", 1)[1], 1),  # no header
        (ATTRIBUTES_TXT.replace("000002.jpg  1 -1", "000002.jpg  1"), 4),
        (ATTRIBUTES_TXT.replace("000002.jpg  1 -1", "000002.jpg"), 4),
        (ATTRIBUTES_TXT.replace("000002.jpg  1 -1", "000002.jpg  1 -1 1"), 4),
        (ATTRIBUTES_TXT.replace("000002.jpg  1 -1", "000002.jpg  1 x"), 4),
        (ATTRIBUTES_CSV.replace("000002.jpg,1,-1", "000002.jpg,1,"), 3),
        (ATTRIBUTES_CSV.replace("000002.jpg", "000001.jpg"), 3),  # twice
        (ATTRIBUTES_TXT.replace("000009.jpg  1  1\n", ""), 4),  # cut off
        (ATTRIBUTES_TXT.replace("3\n", "2\n"), 5),
    ],
)
def test_a_malformed_list_of_attributes_names_file_and_line(written, text, line):
    path = written(text)
    with pytest.raises(click.UsageError) as error:
        read_attributes(path, IDS)
    assert f"{path}, line {line}: " in error.value.message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (PARTITIONS_CSV.split("\n", 1)[1], 1),
        (PARTITIONS_TXT.replace("000002.jpg 1", "000002.jpg 3"), 2),
        (PARTITIONS_TXT.replace("000002.jpg 1", "000002.jpg"), 2),
        (PARTITIONS_TXT.replace("000002.jpg 1", "000002.jpg 1 1"), 2),
        (PARTITIONS_CSV.replace("000002.jpg,1", "000002.jpg,x"), 3),
        (ATTRIBUTES_CSV, 1),  # the other list
    ],
)
def test_a_malformed_list_of_partitions_names_file_and_line(written, text, line):
    path = written(text)
    with pytest.raises(click.UsageError) as error:
        read_partitions(path, IDS)
    assert f"{path}, line {line}: " in error.value.message


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("content/img_align_celeba/img_align_celeba", "content"),  # Colab and Kaggle, unpacked
        ("content/img_align_celeba/img_align_celeba", "content/img_align_celeba"),
        ("content/img_align_celeba", "content"),
        ("archive", "archive"),  # Kaggle's whole folder, photos and lists
        ("archive/photos.zip", "archive"),
        ("celeba/img/img_align_celeba/000001", "celeba"),  # two levels above the folder that holds the photos
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_lists_are_found_where_people_have_them(tmp_path, source, at, suffix):
    photos = tmp_path / source
    photos.mkdir(parents=True) if not photos.suffix else photos.parent.mkdir()
    photos.touch()
    assert find_list("list_attr_celeba", [photos]) is None
    (tmp_path / at / f"list_attr_celeba{suffix}").touch()
    assert find_list("list_attr_celeba", [photos]) == tmp_path / at / f"list_attr_celeba{suffix}"
    assert find_list("list_eval_partition", [photos]) is None


def test_a_list_further_away_is_not_taken(tmp_path):
    (tmp_path / "a/b/c/photos").mkdir(parents=True)
    (tmp_path / "list_attr_celeba.txt").touch()
    assert find_list("list_attr_celeba", [tmp_path / "a/b/c/photos"]) is None


def test_a_list_that_ends_after_its_names_is_malformed(written):
    with pytest.raises(click.UsageError, match=r"line 2: the first line promises 1 rows, but 0 follow"):
        read_attributes(written("1\nBald Young\n"), IDS)
    assert read_attributes(written("0\nBald Young\n"), IDS).rows == {}


def test_blank_lines_are_no_rows(written):
    text = "2\nBald Young\n\n000001.jpg -1 1\n\n000002.jpg 1 -1\n\n"
    assert read_attributes(written(text), IDS).rows == {"000001.jpg": b"\0\1", "000002.jpg": b"\1\0"}
