import csv

import numpy as np
import pytest
from PIL import Image

from explore.directions.directions import Directions
from explore.directions.rescoring import Rescoring, draw, load_own, rescore, write_csv

NAMES = ("first", "second")


def directions_of(names, leak=0.0):
    """Two directions, of which the first may move the second number too."""
    vectors = np.float32([[1, leak, 0], [0, 1, 0]])
    return Directions(names, vectors, np.float32([0.9, np.nan]), np.array([True, False]))


def rescored(leak=0.0):
    """Faces that are z itself; an answer is the sign of a number, which moves by 2."""
    z = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32)
    moves, progress = directions_of(NAMES, leak), []
    calls = (lambda z: z, lambda faces: faces[:, :2] > 0, lambda faces: faces, progress.append)
    result = rescore(moves, 2 * 3**0.5, z, "uniform", *calls)
    assert progress == [1, 1]
    return result


def test_a_face_without_it_is_moved_towards_it_and_one_with_it_away():
    result = rescored()
    np.testing.assert_array_equal(result.changed, np.eye(2))
    np.testing.assert_array_equal(result.side_effects, [0, 0])


def test_what_else_changes_is_in_the_row_of_the_direction():
    result = rescored(leak=1.0)
    assert result.changed[0, 0] == 1
    assert 0.4 < result.changed[0, 1] < 0.6, "half of the faces are on the side that the leak leads to"
    assert result.changed[1].tolist() == [0, 1]
    np.testing.assert_allclose(result.side_effects, [result.changed[0, 1], 0])


def test_names_of_any_kind_are_read_back_and_one_attribute_alone_has_no_others(tmp_path):
    names = ("direction", 'a "b", c')
    write_csv(tmp_path, directions_of(names), Rescoring(np.array([[0.5, 0.1], [0.2, 0.9]]), np.ones(2)))
    assert load_own(tmp_path) == dict(zip(names, (0.5, 0.9), strict=True))
    assert load_own(tmp_path / "none") == {}
    np.testing.assert_array_equal(Rescoring(np.ones((1, 1)), np.ones(1)).side_effects, [0])


def test_a_face_that_is_hardly_moved_stays_the_same():
    z = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32)
    moves = Directions(("any",), np.eye(1, 64, dtype=np.float32), np.ones(1, np.float32), np.ones(1, bool))
    calls = (lambda z: z, lambda faces: faces[:, :1] > 0, lambda faces: faces)
    results = [rescore(moves, strength, z, "normal", *calls).similarity[0] for strength in (0.0, 3.0, 1000.0)]
    assert results[0] == pytest.approx(1, abs=1e-6)
    assert 0.9 < results[1] < 1
    assert abs(results[2]) < 0.1


def test_the_matrix_is_written_and_drawn(tmp_path):
    result = rescored(leak=1.0)
    write_csv(tmp_path, directions_of(NAMES), result)
    rows = list(csv.DictReader((tmp_path / "directions.csv").open()))
    assert [row["direction"] for row in rows] == list(NAMES)
    assert [(row["calibrated"], row["auc"]) for row in rows] == [("1", "0.9000"), ("0", "nan")]
    assert float(rows[0]["second"]) == pytest.approx(result.changed[0, 1], abs=1e-4)
    assert float(rows[1]["same_face"]) == pytest.approx(result.similarity[1], abs=1e-4)
    draw(tmp_path, NAMES, result)
    assert min(Image.open(tmp_path / "directions.png").size) > 200


@pytest.mark.filterwarnings("error")  # Matplotlib's, that its font lacks a letter
def test_a_name_that_the_font_lacks_is_its_line_in_the_table(tmp_path):
    pictures = {}
    for name in ("2", "고양이", "Ü"):
        draw(tmp_path, (name, "second"), rescored())
        pictures[name] = (tmp_path / "directions.png").read_bytes()
    assert pictures["2"] == pictures["고양이"] != pictures["Ü"]
