"""Sheets, and what is counted of marks on them, as a user has them: on small shards and small generators."""

import json
import shlex
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

import training.sheets
from tests.command import Command
from tests.disk import full_disk
from tests.documents import MODEL
from tests.training.runs import faces_in, sample, save_run, trains_on
from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training.data.shards import find
from training.marks import FRAME, load, share
from training.marks import main as marks_command
from training.sheets import FONT, GAP, GRID, sheet
from training.sheets import main as sheets_command

sheets, marks = Command(sheets_command), Command(marks_command)

PHOTOS = numbered_images(60)
VALID = PHOTOS[40:]


def image_of(values):
    """16x16, also below 0 and above 1."""
    return keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256)(values))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Shards of noise, 40 train and 20 valid, a run without and one with a condition, and a picture of faces."""
    place = tmp_path_factory.mktemp("sheets")
    write_shards(place / "data", PHOTOS[:40], (25, 15), attributes={"Bright": np.arange(40) % 2})
    write_shards(place / "data", VALID, (12, 8), split="valid", attributes={"Bright": np.arange(20) % 2})
    photos = find([str(place / "data")]).only({"train"})
    z, asked = keras.Input((4,)), keras.Input((1,))
    save_run(place / "run", keras.Model(z, image_of(z)), photos)
    both = keras.layers.Concatenate()([z, asked])
    save_run(place / "by-attribute", keras.Model([z, asked], image_of(both)), photos, "Bright")
    sample.succeeds("--run", place / "run", "--seed", 5, "--count", 7, "--out", place / "kept.png")
    return place


def draw(place, out):
    """Draw 20 faces of each run, 7 of a picture and 12 photos on two sheets."""
    return sheets.succeeds(
        *("--run", place / "run", "--run", place / "by-attribute", "--faces", place / "kept.png"),
        *("--shards", place / "data", "--count", 20, "--photos", 12, "--seed", 3, "--out", out),
    )


@pytest.fixture(scope="module")
def drawn(place):
    """The folder of the sheets, and what its key says of each source."""
    output = draw(place, place / "sheets")
    assert "other shards" not in output
    assert f"python -m training.marks --key {place / 'sheets-key.json'}" in output
    return place / "sheets", {source.name: source for source in key_of(place / "sheets").sources}


def key_of(folder):
    return load(folder.with_name(f"{folder.name}-key.json"))[0]


def faces_of(place, run, count, **options):
    """What explore.sample draws."""
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    sample.succeeds("--run", place / run, "--count", count, "--out", place / "sampled.png", *arguments)
    return faces_in(place / "sampled.png")[:count]


def on_the_sheet(folder, number):
    """The image below a number."""
    index = (number - 1) % (GRID * GRID)
    picture = Image.open(folder / f"sheet-{(number - 1) // (GRID * GRID) + 1:02}.png")
    left = GAP + index % GRID * (GAP + 160)
    bottom = GAP + FONT + (index // GRID + 1) * (GAP + FONT + 160)
    return np.asarray(picture)[bottom - 160 : bottom, left : left + 160]


def enlarged(pixels):
    return np.asarray(Image.fromarray(pixels).resize((160, 160), Image.Resampling.BICUBIC))


def test_the_key_says_which_image_is_which(place, drawn):
    folder, sources = drawn
    assert sorted(number for source in sources.values() for number in source.numbers) == list(range(1, 60))
    photos = [VALID[int(name.removesuffix(".jpg"))][..., 0] for name in sources["photos"].origin["ids"]]
    assert len(photos) == 12
    expected = {
        str(place / "run"): faces_of(place, "run", 20, seed=3),
        str(place / "by-attribute"): faces_of(place, "by-attribute", 20, seed=3),
        str(place / "kept.png"): faces_in(place / "kept.png")[:7],
        "photos": photos,
    }
    assert expected.keys() == sources.keys()
    for name, images in expected.items():
        for number, pixels in zip(sources[name].numbers, images, strict=True):
            np.testing.assert_array_equal(on_the_sheet(folder, number), enlarged(pixels), f"{name}, {number}")
    held_out = find([str(place / "data")]).only({"valid"})
    assert sources["photos"].origin["data"] == held_out.fingerprint


def test_the_folder_of_the_sheets_gives_nothing_away(drawn):
    folder, _ = drawn
    assert sorted(path.name for path in folder.iterdir()) == ["marks.txt", "sheet-01.png", "sheet-02.png"]
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert not picture.info
    form = (folder / "marks.txt").read_text()
    assert [line for line in form.splitlines() if not line.startswith("#")] == [
        f"sheets: {key_of(folder).digest}",
        *("judge:", "broken:", "doubtful:"),
    ]


def test_the_order_is_another_one_each_time_and_the_marks_are_of_one_of_them(place, drawn, tmp_path):
    draw(place, tmp_path / "again")
    once, again = key_of(drawn[0]), key_of(tmp_path / "again")
    assert [source.origin for source in once.sources] == [source.origin for source in again.sources]
    assert once.sources[0].numbers != again.sources[0].numbers
    form = filled_in(drawn[0], "broken: 1", tmp_path / "marks.txt")
    message = marks.is_refused("--key", tmp_path / "again-key.json", "--marks", form)
    assert f"is of the sheets {once.digest}, and the key is of {again.digest}" in message


def test_a_run_that_was_trained_on_other_shards_is_named(place, tmp_path):
    write_shards(tmp_path / "data", PHOTOS[:20], (20,))
    write_shards(tmp_path / "data", VALID, (20,), split="valid")
    command = ("--run", place / "run", "--count", 2)
    output = sheets.succeeds(*command, "--shards", tmp_path / "data", "--out", tmp_path / "sheets")
    assert f"{place / 'run'} was trained on other shards" in output
    held_out = tmp_path / "data/valid-*.tfrecord"
    assert "other shards" not in sheets.succeeds(*command, "--shards", held_out, "--out", tmp_path / "no-train")


def test_the_key_names_the_generator_that_drew_of_a_run_that_trains_on(place, tmp_path, monkeypatch):
    run = shutil.copytree(place / "run", tmp_path / "run")
    digest = trains_on(run, monkeypatch)
    sheets.succeeds("--run", run, "--shards", place / "data", "--count", 2, "--out", tmp_path / "sheets")
    assert key_of(tmp_path / "sheets").sources[0].origin["generator"] == digest


def test_the_key_of_the_folder_that_one_is_in_lies_beside_it_and_the_next_command_can_be_copied(
    place, tmp_path, monkeypatch
):
    folder = tmp_path / "my sheets"
    folder.mkdir()
    monkeypatch.chdir(folder)
    output = sheets.succeeds("--run", place / "run", "--shards", place / "data", "--count", 2, "--out", ".")
    assert shlex.split(output.splitlines()[-1])[3:] == ["--key", f"{folder}-key.json", "--marks", "marks.txt"]
    assert len(key_of(folder).sources) == 2


def test_where_the_disk_was_full_the_same_command_draws_the_sheets(place, tmp_path):
    command = ("--run", place / "run", "--shards", place / "data", "--count", 2, "--out", tmp_path / "sheets")
    with full_disk():
        assert "File too large" in sheets(*command).output
    assert [path.name for path in tmp_path.rglob("*")] == ["sheets"]
    sheets.succeeds(*command)


def test_of_two_commands_at_once_one_draws_the_sheets(place, tmp_path, monkeypatch):
    draw, out = training.sheets.images_of_photos, ("--out", tmp_path / "sheets")
    command = ("--run", place / "run", "--shards", place / "data", "--count", 2, *out)

    def drawn_meanwhile(*arguments):
        monkeypatch.undo()
        sheets.succeeds(*command)
        return draw(*arguments)

    monkeypatch.setattr(training.sheets, "images_of_photos", drawn_meanwhile)
    assert "is not empty" in sheets.is_refused(*command)
    assert key_of(tmp_path / "sheets").digest in (tmp_path / "sheets/marks.txt").read_text()


def filled_in(folder, lines, path):
    """The marks.txt of a folder of sheets, with the lines that a person wrote."""
    head = (folder / "marks.txt").read_text().partition("judge:")[0]
    path.write_text(f"{head}judge: Kim\n{lines}\n")
    return path


@pytest.fixture
def marked(place, drawn, tmp_path):
    """Of the run's faces the 2nd, 4th and 5th are broken and the 1st doubtful, of the photos one is broken."""
    _, sources = drawn
    own, photos = sources[str(place / "run")].numbers, sources["photos"].numbers
    lines = f"broken: {own[1]}, {own[3]}\ndoubtful: {own[0]}\nbroken: {own[4]} {photos[0]}"
    return filled_in(place / "sheets", lines, tmp_path / "marks.txt")


def test_the_shares_are_of_each_source_with_their_errors(place, marked, tmp_path):
    output = marks.succeeds("--key", place / "sheets-key.json", "--marks", marked, "--out", tmp_path / "marks.json")
    assert "marked by Kim" in output
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in output.splitlines()}
    assert rows[str(place / "run")] == "20 15.0% ± 8.0% 5.0% ± 4.9%"
    assert rows["photos"] == "12 8.3% ± 8.0% 0.0%, at most 22.1%"
    shares = json.loads((tmp_path / "marks.json").read_text())["shares"]
    assert shares[str(place / "run")]["broken"] == 3
    assert shares[str(place / "run")]["broken_error"] == pytest.approx((0.15 * 0.85 / 20) ** 0.5)
    assert shares["photos"]["count"] == 12


def test_the_marks_of_somebody_else_are_replaced_where_out_says_so_alone(place, drawn, tmp_path):
    key = ("--key", shutil.copy(place / "sheets-key.json", tmp_path / "key.json"))
    for numbers in ("1", "1 2"):  # Kim again
        kim = filled_in(place / "sheets", f"broken: {numbers}", tmp_path / "kim.txt")
        marks.succeeds(*key, "--marks", kim)
    before = (tmp_path / "marks.json").read_text()
    assert json.loads(before)["marks"]["broken"] == [1, 2]
    lee = ("--marks", tmp_path / "lee.txt")
    lee[1].write_text(kim.read_text().replace("Kim", "Lee"))
    assert "something else than marks of Lee on the sheets" in marks.is_refused(*key, *lee)
    assert (tmp_path / "marks.json").read_text() == before
    marks.succeeds(*key, *lee, "--out", tmp_path / "marks.json")


@pytest.mark.parametrize(("marked", "name", "side"), [(0, "at_most", "less"), (100, "at_least", "greater")])
def test_none_and_all_have_the_exact_bound(marked, name, side):
    interval = binomtest(marked, 100, alternative=side).proportion_ci(0.95, "exact")
    expected = interval.high if side == "less" else interval.low
    assert share(marked, 100) == {"share": marked / 100, name: pytest.approx(expected)}


def test_the_json_is_read_again_and_the_marked_faces_are_drawn_from_their_seed(place, marked, tmp_path):
    first = marks.succeeds("--key", place / "sheets-key.json", "--marks", marked, "--out", tmp_path / "marks.json")
    run = ("--run", place / "run", "--picture", tmp_path / "marked.png")
    again = marks.succeeds("--key", tmp_path / "marks.json", *run)
    assert again.splitlines()[:5] == first.splitlines()[:5]
    framed = faces_in(tmp_path / "marked.png", 16 + 6 * FRAME)
    shades = []
    for cell, face in zip(framed, faces_of(place, "run", 20, seed=3), strict=False):
        np.testing.assert_array_equal(cell[3 * FRAME : -3 * FRAME, 3 * FRAME : -3 * FRAME], face)
        ring = cell[FRAME : 2 * FRAME, FRAME:-FRAME]
        assert len(np.unique(ring)) == 1
        shades.append(int(ring[0, 0]))
    assert shades == [128, 255, 0, 255, 255] + [0] * 15
    written = tmp_path / "written.json"
    message = marks.is_refused("--key", tmp_path / "marks.json", "--out", written, "--run", MODEL, *run[2:])
    assert "no faces of it are on the sheets" in message
    assert not written.exists()


def test_a_sheet_of_colour_and_of_a_last_row_that_is_not_full():
    images = np.random.default_rng(0).integers(0, 256, (8, 128, 128, 3), dtype=np.uint8)
    picture = sheet(images, 37, "")
    assert picture.shape == (3 * GAP + FONT + 2 * (FONT + 256) + GAP, GAP + GRID * (256 + GAP), 3)
    bottom, left = 3 * GAP + 3 * FONT + 2 * 256, 2 * GAP + 256
    expected = np.asarray(Image.fromarray(images[7]).resize((256, 256), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(picture[bottom - 256 : bottom, left : left + 256], expected)


def test_sheets_that_cannot_be_drawn_are_refused_in_one_message(place, drawn, tmp_path, monkeypatch):
    run, data = ("--run", place / "run"), ("--shards", place / "data")
    out = ("--out", tmp_path / "sheets")
    assert "give --run, --faces" in sheets.is_refused(*data, *out)
    assert "name each once" in sheets.is_refused(*run, *run, *data, *out)
    assert "is not empty" in sheets.is_refused(*run, *data, "--out", place / "sheets")
    key = ("--key", place / "sheets-key.json")
    assert "is there already" in sheets.is_refused(*run, *data, *out, *key)
    assert "would be seen" in sheets.is_refused(*run, *data, *out, "--key", tmp_path / "sheets/key.json")
    assert "is not a run" in sheets.is_refused("--run", tmp_path, *data, *out)
    train = place / "data/train-*.tfrecord"
    assert "All photos of train shards" in sheets.is_refused(*run, "--shards", train, *out)
    assert "All photos of train shards" in sheets.is_refused("--faces", place / "kept.png", "--shards", train, *out)
    write_shards(tmp_path / "small", numbered_images(9, side=8), (9,), split="valid")
    assert "16x16x1" in sheets.is_refused(*run, "--shards", tmp_path / "small", *out)
    Image.new("L", (32, 40)).save(tmp_path / "high.png")
    Image.new("RGB", (32, 32)).save(tmp_path / "rgb.png")
    (tmp_path / "no.png").write_text("no picture")
    Image.new("L", (32, 32)).convert("P").save(tmp_path / "palette.png")
    for name in ("high.png", "rgb.png", "palette.png"):
        assert "is no grid of faces of 16x16x1" in sheets.is_refused("--faces", tmp_path / name, *data, *out)
    assert "cannot be read" in sheets.is_refused("--faces", tmp_path / "no.png", *data, *out)
    Image.new("L", (32, 32)).save(tmp_path / "black.png")
    assert "is black" in sheets.is_refused("--faces", tmp_path / "black.png", *data, *out)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # Pillow refuses twice as many
    assert "cannot be read" in sheets.is_refused("--faces", tmp_path / "black.png", *data, *out)
    assert not (tmp_path / "sheets").exists()
    assert not (tmp_path / "sheets-key.json").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("broken: 60", "there is no 60 on the sheets, which end with 59"),
        ("doubtful: 0", "there is no 0"),
        ("broken: 3 4\ndoubtful: 4", "4 is both broken and doubtful"),
        ("broken: 3 four", "'four' is not a number"),
        ("broken: 3-5", "'3-5' is not a number"),
        pytest.param("broken: " + 5000 * "9", f"'{20 * '9'}' is not a number", id="5000 digits"),
        ("brokn: 3", "line 7: 'brokn: 3' begins with none of sheets, judge, broken, doubtful"),
    ],
)
def test_marks_that_make_no_sense_are_refused(place, drawn, tmp_path, lines, message):
    path = filled_in(place / "sheets", lines, tmp_path / "marks.txt")
    refused = marks.is_refused("--key", place / "sheets-key.json", "--marks", path, "--out", tmp_path / "marks.json")
    assert message in " ".join(refused.split())
    assert not (tmp_path / "marks.json").exists()


def test_a_form_that_nobody_filled_in_and_a_key_without_marks_are_refused(place, drawn, tmp_path):
    key = ("--key", place / "sheets-key.json")
    assert "does not say who judged" in marks.is_refused(*key, "--marks", place / "sheets/marks.txt")
    assert "has no marks in it" in marks.is_refused(*key)
    assert "say both" in marks.is_refused(*key, "--picture", tmp_path / "marked.png")
    assert "writes a PNG" in marks.is_refused(*key, "--run", place / "run", "--picture", tmp_path / "marked.jpg")
    assert "what training.sheets wrote" in marks.is_refused("--key", place / "sheets/marks.txt")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(100_000 * "[", id="deep"),
        '{"sources": [{"name": "a", "origin": {}, "numbers": [1e999]}]}',
        '{"sources": [], "marks": {"sheets": "4f53cda1", "judge": "Kim", "broken": [[1]], "doubtful": []}}',
    ],
)
def test_a_json_of_others_is_refused_in_one_message(tmp_path, text):
    (tmp_path / "key.json").write_text(text)
    assert "Give --key what training.sheets wrote" in marks.is_refused("--key", tmp_path / "key.json")
