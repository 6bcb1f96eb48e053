"""On faces that are known: attributes that are linear in z."""

from dataclasses import replace

import numpy as np
import pytest
from click import UsageError

from explore.directions import directions
from explore.directions.directions import Directions, area_under_curve, factorise, find

RNG = np.random.default_rng(0)
Z = RNG.standard_normal((4_000, 16)).astype(np.float32)
# Three attributes; the second goes half with the first.
TRUE = RNG.standard_normal((3, 16))
TRUE[1] = TRUE[0] + 0.5 * TRUE[1]
NAMES = ("Male", "No_Beard", "Smiling")


def logits(z=Z, noise=0.5):
    return z @ TRUE.T - [0.0, 2.0, 4.0] + noise * np.random.default_rng(1).standard_normal((len(z), 3))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_the_direction_of_an_attribute_is_the_one_that_it_is_made_of():
    result = find(NAMES, Z, logits())
    assert (result.names, result.vectors.dtype, result.vectors.shape) == (NAMES, np.float32, (3, 16))
    cosines = (result.vectors * unit(TRUE)).sum(axis=1)
    assert cosines.min() > 0.99, "and the sign is that of yes"
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1, rtol=1e-5)


def test_the_area_under_the_curve_is_of_faces_that_the_direction_was_not_found_from():
    clear, noisy = find(NAMES, Z, logits(noise=0.0)).auc, find(NAMES, Z, logits(noise=20.0)).auc
    assert clear.min() > 0.97
    assert 0.4 < noisy[0] < 0.7
    # 64 z for 16 numbers: what fits these by chance says nothing of others.
    chance = np.random.default_rng(2).standard_normal((40, 1))
    assert find(("none",), Z[:40], chance).auc[0] < 0.95


def test_what_z_says_nothing_of_is_at_chance_however_rare_it_is():
    """A rare attribute: the answer no is right for 98 of 100 faces."""
    chance = np.random.default_rng(2).standard_normal((len(Z), 2)) - 2
    auc = find(("rare", "never"), Z, chance - [0, 100]).auc
    assert 0.3 < auc[0] < 0.7
    assert np.isnan(auc[1]), "no face has it"


@pytest.mark.parametrize(
    ("places", "answers", "area"),
    [([1, 2, 3, 4], [0, 0, 1, 1], 1.0), ([4, 3, 2, 1], [0, 0, 1, 1], 0.0), ([1, 3, 2, 4], [0, 0, 1, 1], 0.75),
     ([1, 1, 1, 1], [0, 1, 0, 1], 0.5)],
)  # fmt: skip
def test_the_area_is_how_often_a_yes_lies_above_a_no(places, answers, area):
    assert area_under_curve(np.array(places), np.array(answers) > 0) == area


@pytest.mark.parametrize("strength", [2.0, -3.0])
def test_an_edit_moves_by_standard_deviations(strength):
    result = Directions(NAMES, unit(TRUE).astype(np.float32), np.ones(3, np.float32), np.ones(3, bool))
    moved = result.edit(Z[:50], {"Smiling": strength}, "normal")
    assert (moved.dtype, moved.shape) == (np.float32, (50, 16))
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), np.linalg.norm(Z[:50], axis=1), rtol=1e-5)
    straight = Z[:50] + strength * unit(TRUE)[2]
    np.testing.assert_allclose(unit(moved), unit(straight), atol=1e-5)
    cube = RNG.uniform(-1, 1, (50, 16)).astype(np.float32)
    moved = result.edit(cube, {"Smiling": strength}, "uniform")
    np.testing.assert_allclose(moved, np.clip(cube + strength * unit(TRUE)[2] / 3**0.5, -1, 1), atol=1e-6)
    np.testing.assert_allclose(result.edit(Z[:5], {"Smiling": 0.0}, "normal"), Z[:5], rtol=1e-6)


def test_several_edits_add_up():
    result = Directions(NAMES, unit(TRUE).astype(np.float32), np.ones(3, np.float32), np.ones(3, bool))
    cube = 0.1 * RNG.uniform(-1, 1, (5, 16)).astype(np.float32)
    both = result.edit(cube, {"Smiling": 0.2, "Male": -0.1}, "uniform")
    one_after_the_other = result.edit(result.edit(cube, {"Male": -0.1}, "uniform"), {"Smiling": 0.2}, "uniform")
    np.testing.assert_allclose(both, one_after_the_other, atol=1e-6)


def test_without_attributes_the_strongest_directions_of_the_first_layer_come_first():
    kernel = RNG.standard_normal((16, 64)) * np.linspace(1, 3, 16)[:, None]
    result = factorise(kernel, 5)
    assert result.names == tuple(f"direction_{number}" for number in range(1, 6))
    left, sizes, _ = np.linalg.svd(kernel)
    np.testing.assert_allclose(np.abs((result.vectors @ left[:, :5]).diagonal()), 1, rtol=1e-4)
    moved = np.linalg.norm(result.vectors @ kernel, axis=1)
    np.testing.assert_allclose(moved, sizes[:5], rtol=1e-4)
    assert np.isnan(result.auc).all()
    assert not result.is_calibrated.any()


def test_they_are_the_same_after_loading_and_numpy_alone_reads_them(tmp_path):
    result = replace(find(NAMES, Z, logits()), is_calibrated=np.array([True, False, True]), generator="abc")
    directions.save(tmp_path, result)
    loaded = directions.load(tmp_path)
    assert (loaded.names, loaded.generator) == (NAMES, "abc")
    for name in ("vectors", "auc", "is_calibrated"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(result, name))
    with np.load(tmp_path / "directions.npz") as file:
        assert list(file["names"]) == list(NAMES)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04"])
def test_a_damaged_file_is_one_message_with_the_command_that_makes_it(tmp_path, content):
    (tmp_path / "directions.npz").write_bytes(content)
    with pytest.raises(UsageError, match=rf"directions\.npz .*python -m explore.directions --run {tmp_path}"):
        directions.load(tmp_path)
