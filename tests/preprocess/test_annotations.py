"""The two lists, in each of their editions, whole and malformed, and tables as other programs write them."""

from pathlib import Path
from unicodedata import normalize

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
    lambda text: text.replace("\n0", "\n\n0") + "\n\n",  # blank lines between rows
]


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("text", [ATTRIBUTES_TXT, ATTRIBUTES_CSV])
def test_attributes_of_the_photos_that_are_there(written, text, edition):
    attributes = read_attributes(written(edition(text)), IDS)
    assert attributes.names == ("Bald", "Young")
    assert attributes.rows == {"000001.jpg": b"\0\1", "000002.jpg": b"\1\0"}


AS_WRITTEN = {
    "Excel in Europe": "image_id;Bald;Young\r\n000001.jpg;0;1\r\n000002.jpg;1;0\r\n",
    "Excel, decimals in Europe": "image_id;Bald;Young\r\n000001.jpg;0,0;1,0\r\n000002.jpg;1,0;0,0\r\n",
    "Excel, Unicode text": "image_id\tBald\tYoung\r\n000001.jpg\t0\t1\r\n000002.jpg\t1\t0\r\n".encode("utf-16"),
    "Excel, empty columns and rows": "image_id,Bald,Young,,\n000001.jpg,0,1,,\n000002.jpg,1,0\n,,,,\n",
    "Excel, True and False": "image_id,Bald,Young\n000001.jpg,FALSE,TRUE\n000002.jpg,TRUE,FALSE\n",
    "an old Mac": "image_id,Bald,Young\r000001.jpg,0,1\r000002.jpg,1,0\r",
    "pandas, with its index": ",image_id,Bald,Young\n0,000001.jpg,0,1\n1,000002.jpg,1,0\n",
    "pandas, read and written twice": "Unnamed: 0,image_id,Bald,Young\n0,000001.jpg,-1,1\n1,000002.jpg,1,-1\n",
    "pandas, ids as index": ",Bald,Young\n000001.jpg,False,True\n000002.jpg,True,False\n",
    "pandas, floats": "image_id,Bald,Young\n000001.jpg,-1.0,1.0\n000002.jpg,1.0,-1.0\n",
    "R, write.csv": '"","image_id","Bald","Young"\n"1","000001.jpg",0,1\n"2","000002.jpg",1,0\n',
    "R, row names": '"","Bald","Young"\n"000001.jpg",FALSE,TRUE\n"000002.jpg",TRUE,FALSE\n',
    "R, write.table": '"image_id" "Bald" "Young"\n"1" "000001.jpg" 0 1\n"2" "000002.jpg" 1 0\n',
    "Numbers, values in quotes": '"image_id","Bald","Young"\n"000001.jpg","-1","1"\n"000002.jpg","1","-1"\n',
}


@pytest.mark.parametrize("text", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_attributes_as_programs_write_them(written, text):
    attributes = read_attributes(written(text), IDS[:2])
    assert attributes.names == ("Bald", "Young")
    assert attributes.rows == {"000001.jpg": b"\0\1", "000002.jpg": b"\1\0"}


@pytest.mark.parametrize(
    "text",
    [
        "image_id;partition\n000001.jpg;0\n000002.jpg;1\n",
        ",image_id,Partition\n0,000001.jpg,0.0\n1,000002.jpg,1.0\n",
        '"image_id","Male","partition"\n"000001.jpg",7,"train"\n"000002.jpg",,"valid"\n',
    ],
)
def test_splits_as_programs_write_them(written, text):
    assert read_partitions(written(text), IDS[:2]) == {"000001.jpg": "train", "000002.jpg": "valid"}


def test_names_may_hold_separators(written):
    text = 'image_id;hat, red;"a;b"\n000001.jpg;1;0\n'
    assert read_attributes(written(text), IDS[:1]).names == ("hat, red", "a;b")


def test_korean_is_read_as_excel_writes_it(written):
    attributes = read_attributes(written("image_id,안경,똠\n홍길동.jpg,1,0\n".encode("cp949")), ["홍길동.jpg"])
    assert (attributes.names, attributes.rows) == (("안경", "똠"), {"홍길동.jpg": b"\1\0"})


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_the_same_however_they_are_composed(written, forms):
    listed, photo = (normalize(form, "é한.jpg") for form in forms)
    assert read_attributes(written(f"image_id,Bald\n{listed},1\n"), [photo]).rows == {photo: b"\1"}


@pytest.mark.parametrize(
    "rows",
    [
        "000001.jpg,1,0\n000002.jpg,-1,1\n",
        "000001.jpg,-1,1\n000002.jpg,1,0\n",
        "000001.jpg,1,0\n999999.jpg,-1,1\n",  # also where the photo with -1 is absent
    ],
)
def test_zero_beside_minus_one_may_mean_unknown_and_is_refused(written, rows):
    with pytest.raises(click.UsageError, match=r"jpg has '0' in the column Young, but line \d has -1"):
        read_attributes(written(f"image_id,Bald,Young\n{rows}"), IDS[:2])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("i,A,B,C\n000001.jpg,10,,1\n", "line 2: 000001.jpg has '10' in the column A"),
        ("i,A,B\n000001.jpg,11\n", "line 2: 000001.jpg has 1 values in place of 2"),
        ("1\nA B\n000001.jpg 11\n", "line 3: 000001.jpg has 1 values in place of 2"),
        ("1\nA B C\n000001.jpg 10 1 11\n", "line 3: 000001.jpg has '10' in the column A"),
        ("i,A,B\n000001.jpg,1,0,1\n", "line 2: 000001.jpg has 3 values in place of 2"),
        ('"i","A"\n"000001.jpg",1,0,1\n', "line 2: 000001.jpg has 3 values in place of 1"),
        ("i,A,B\n000001.jpg,1,\n", "line 2: 000001.jpg has '' in the column B"),
        ("i,A,B\n000001.jpg,1,nan\n", "line 2: 000001.jpg has 'nan' in the column B"),
        ("i,A,B\n000001.jpg,1,2\n", "line 2: 000001.jpg has '2' in the column B"),
        ("i,A,B\n\n000002.jpg,1,1\n000001.jpg,1,yes\n", "line 4: 000001.jpg has 'yes' in the column B"),
        ("i,A,A\n000001.jpg,1,1\n", "line 1: two attributes are called A"),
        ("i,A,,B\n000001.jpg,1,1,1\n", "line 1: attribute 2 has no name"),
        ("index,image_id,A\n0,000001.jpg,1\n", "line 1: image_id has to be the first column"),
        ('i,A\n000001.jpg,"1\n', "line 2: the quotes cannot be understood"),
        ("i,Größe\n000001.jpg,1\n".encode("cp1252"), "line 1: this is neither UTF-8 nor Korean"),
        (b"PK\3\4\x14\0\6\0", "line 1: this is not text. Save the sheet of Excel"),
    ],
)
def test_what_cannot_be_understood_is_named(written, text, fault):
    path = written(text)
    with pytest.raises(click.UsageError) as error:
        read_attributes(path, IDS)
    assert f"{path}, {fault}" in error.value.message


@pytest.mark.parametrize(
    ("listed", "photo", "differing"),
    [
        ("000001", "000001.jpg", "differ in the suffix."),
        ("1", "000001.jpg", "differ in leading zeros and the suffix."),
        ("1.jpg", "000001.jpg", "differ in leading zeros."),
        ("000001.png", "000001.jpg", "differ in the suffix."),
        ("A.jpg", "a.jpg", "differ in upper and lower case."),
        ("img/000001.jpg", "000001.jpg", "differ in the folder. "),
        ("0.jpg", "cat/0.jpg", "differ in the folder. "),
        ("cat\\0.jpg", "cat/0.jpg", "differ in the folder. "),
        ("someone", "000001.jpg", "no photo has the id 'someone'"),
    ],
)
def test_ids_that_differ_are_shown_with_the_difference(written, listed, photo, differing):
    for read, column in ((read_attributes, "Bald"), (read_partitions, "partition")):
        with pytest.raises(click.UsageError) as error:
            read(written(f"image_id,{column}\n{listed},1\n"), [photo])
        assert "line 2: " in error.value.message
        assert f"{listed!r}" in error.value.message
        assert f"{photo!r}" in error.value.message
        assert differing in error.value.message
        assert ("--ids" in error.value.message) == ("folder" in differing)


def test_of_photos_whose_names_repeat_the_likest_is_shown(written):
    photos = ["bird/0.jpg", "cat/0.jpg", "cat/0.png", "dog/0.jpg"]
    with pytest.raises(click.UsageError, match=r"photo, 'cat/0\.jpg', differ in the folder\."):
        read_attributes(written("image_id,Tame\ncat\\0.jpg,1\ndog\\0.jpg,1\n"), photos)


def test_lost_zeros_are_seen_where_some_ids_agree_all_the_same(written):
    text = "image_id,Bald\n" + "".join(f"{number}.jpg,1\n" for number in range(99_950, 100_050))
    with pytest.raises(click.UsageError, match=r"'99950\.jpg' and that of the photo, '099950\.jpg', differ in leading"):
        read_attributes(written(text), [f"{number:06}.jpg" for number in range(99_950, 100_050)])


@pytest.mark.parametrize("text", [PARTITIONS_TXT, PARTITIONS_CSV])
def test_splits_of_the_photos_that_are_there(written, text):
    assert read_partitions(written(text), IDS) == {"000001.jpg": "train", "000002.jpg": "valid"}


def test_the_rows_of_absent_photos_are_counted_and_no_more(written):
    """A list for all of CelebA is read for a few photos, so what is wrong with others is in nobody's way."""
    assert read_attributes(written(ATTRIBUTES_TXT.replace("000009.jpg  1  1", "000009.jpg  x")), IDS).rows.keys() == {
        "000001.jpg",
        "000002.jpg",
    }
    text = "image_id,Bald,Young\n000001.jpg,-1,1\n999999.jpg,1,0\n"
    assert read_attributes(written(text), IDS[:1]).rows == {"000001.jpg": b"\0\1"}
    assert len(read_partitions(written(PARTITIONS_CSV.replace("000009.jpg,2", "000009.jpg")), IDS)) == 2


@pytest.mark.parametrize(
    ("read", "text", "line"),
    [
        (read_attributes, "", 1),
        (read_attributes, ATTRIBUTES_TXT.split("\n", 1)[1], 1),  # no count
        (read_attributes, "3\n", 2),
        (read_attributes, ATTRIBUTES_TXT.replace("Bald Young \n", ""), 2),
        (read_attributes, ATTRIBUTES_CSV.split("\n", 1)[1], 1),  # no header
        (read_attributes, ATTRIBUTES_TXT.replace("000002.jpg  1 -1", "000002.jpg"), 4),
        (read_attributes, ATTRIBUTES_CSV.replace("000002.jpg", "000001.jpg"), 3),  # twice
        (read_attributes, ATTRIBUTES_TXT.replace("000009.jpg  1  1\n", ""), 4),  # cut off
        (read_attributes, ATTRIBUTES_TXT.replace("3\n", "2\n"), 5),
        (read_partitions, PARTITIONS_CSV.split("\n", 1)[1], 1),
        (read_partitions, PARTITIONS_TXT.replace("000002.jpg 1", "000002.jpg 3"), 2),
        (read_partitions, PARTITIONS_TXT.replace("000002.jpg 1", "000002.jpg"), 2),
        (read_partitions, PARTITIONS_TXT.replace("000002.jpg 1", "000002.jpg 1 1"), 2),
        (read_partitions, PARTITIONS_CSV.replace("000002.jpg,1", "000002.jpg,x"), 3),
        (read_partitions, ATTRIBUTES_CSV, 1),  # the other list
    ],
)
def test_a_malformed_list_is_refused_with_file_and_line(written, read, text, line):
    path = written(text)
    with pytest.raises(click.UsageError) as error:
        read(path, IDS)
    assert f"{path}, line {line}: " in error.value.message


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("content/img_align_celeba/img_align_celeba", "content"),  # Colab and Kaggle, unpacked
        ("content/img_align_celeba/img_align_celeba", "content/img_align_celeba"),
        ("content/img_align_celeba", "content"),
        ("archive", "archive"),  # Kaggle's whole folder, photos and lists
        ("archive/photos.zip", "archive"),
        ("CelebA/Img/img_align_celeba.zip", "CelebA/Anno"),  # as its authors have it
        ("celeba/img/img_align_celeba/000001", "celeba"),  # two levels above the folder that holds the photos
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_lists_are_found_where_people_have_them(tmp_path, source, at, suffix):
    photos = tmp_path / source
    (photos.parent if photos.suffix else photos).mkdir(parents=True)
    photos.touch()
    (tmp_path / at).mkdir(exist_ok=True)
    assert find_list("list_attr_celeba", [photos]) is None
    (tmp_path / at / f"list_attr_celeba{suffix}").touch()
    assert find_list("list_attr_celeba", [photos]) == tmp_path / at / f"list_attr_celeba{suffix}"
    assert find_list("list_eval_partition", [photos]) is None


def test_a_list_is_found_beside_what_a_link_to_the_photos_leads_to(tmp_path, monkeypatch):
    (tmp_path / "disk/celeba/photos").mkdir(parents=True)
    (tmp_path / "repository/data").mkdir(parents=True)
    link, listed = tmp_path / "repository/data/photos", tmp_path / "disk/celeba/list_attr_celeba.txt"
    link.symlink_to(tmp_path / "disk/celeba/photos")
    listed.touch()
    assert find_list("list_attr_celeba", [link]) == listed
    beside_the_link = link.with_name("list_attr_celeba.csv")
    beside_the_link.touch()
    assert find_list("list_attr_celeba", [link]) == beside_the_link
    (tmp_path / "disk/celeba/photos/below").mkdir()
    monkeypatch.chdir(tmp_path / "disk/celeba/photos/below")
    assert find_list("list_attr_celeba", [Path("..")]) == listed


def test_a_list_further_away_is_not_taken(tmp_path):
    (tmp_path / "a/b/c/photos").mkdir(parents=True)
    (tmp_path / "list_attr_celeba.txt").touch()
    assert find_list("list_attr_celeba", [tmp_path / "a/b/c/photos"]) is None
