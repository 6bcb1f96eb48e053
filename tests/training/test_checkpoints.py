from dataclasses import replace

import numpy as np
import pytest

from training.checkpoints import KEPT, Checkpoints, Progress
from training.presets import PRESETS
from training.step import build

METHOD = replace(PRESETS["classic"], latent=4)


def state(folder, seed=0):
    pair, progress = build(METHOD, (8, 8, 1), seed), Progress()
    return Checkpoints(folder, pair, progress), pair, progress


def values(pair):
    players = (pair.generator, pair.discriminator)
    return [v.numpy() for player in players for v in (*player.network.variables, *player.optimizer.variables)]


def moved(pair, progress, step):
    """Give every variable a value of its own, as training would."""
    rng = np.random.default_rng(step)
    for player in (pair.generator, pair.discriminator):
        for variable in player.network.variables:
            variable.assign(rng.normal(size=variable.shape))
        for variable in player.optimizer.variables:
            variable.assign(rng.integers(1, 9, variable.shape))
    progress.step.assign(step)


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of steps 10 and 20, and the values at step 10."""
    checkpoints, pair, progress = state(tmp_path)
    moved(pair, progress, 10)
    checkpoints.save(10)
    at_ten = values(pair)
    moved(pair, progress, 20)
    checkpoints.save(20)
    return tmp_path, at_ten, values(pair)


def test_everything_comes_back(saved):
    folder, _, at_twenty = saved
    checkpoints, pair, progress = state(folder, seed=1)
    path, damaged = checkpoints.restore()
    assert (path.name, damaged, int(progress.step)) == ("step-20", [], 20)
    for here, there in zip(values(pair), at_twenty, strict=True):
        assert np.array_equal(here, there)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "missing"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(saved, suffix, damage):
    folder, at_ten, _ = saved
    path = folder / "checkpoints" / f"step-20{suffix}"
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        middle = len(content) // 2
        content[middle] ^= 1
        path.write_bytes({"cut": content[:middle], "flipped": content, "empty": b""}[damage])
    checkpoints, pair, progress = state(folder, seed=1)
    restored, passed_over = checkpoints.restore()
    assert (restored.name, int(progress.step)) == ("step-10", 10)
    for here, there in zip(values(pair), at_ten, strict=True):
        assert np.array_equal(here, there)
    if (suffix, damage) != (".index", "missing"):  # without its index it is not visible
        assert len(passed_over) == 1
        assert "step-20" in passed_over[0]


def test_none_is_none(tmp_path):
    assert state(tmp_path)[0].restore() == (None, [])


def test_the_last_few_are_kept_and_nothing_else(tmp_path):
    checkpoints, _, _ = state(tmp_path)
    (tmp_path / "checkpoints" / "partial-5_temp").mkdir(parents=True)  # killed while it saved
    (tmp_path / "checkpoints" / "partial-5.index").touch()
    for step in (5, 90, 100, 1000):
        checkpoints.save(step)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert KEPT == 3
    assert kept == sorted(
        f"step-{step}{suffix}" for step in (90, 100, 1000) for suffix in (".index", ".data-00000-of-00001")
    )
