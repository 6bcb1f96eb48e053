from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.disk import Disk, kill_at_every_step
from tests.training.damage import flip_a_bit, flipped
from training.loop.checkpoints import MAX_KEPT, Checkpoints
from training.models.gan import Progress, build
from training.presets import PRESETS

METHOD = replace(PRESETS["classic"], latent=4, width=0.25)
INDEX, DATA = ".index", ".data-00000-of-00001"


@cache
def built(seed):
    """The networks of a seed, built once, and all of their variables with their first values."""
    progress = Progress(5)
    gan = build(METHOD, (8, 8, 1), seed, progress)
    return gan, progress, [(variable, variable.numpy()) for variable in [*variables(gan), *progress.variables]]


def state(folder, seed=0, output_dir=None):
    """A run as it begins. Two of one seed share their variables: a run that is started again needs another one."""
    gan, progress, first = built(seed)
    for variable, value in first:
        variable.assign(value)
    return Checkpoints(folder, gan, progress, output_dir), gan, progress


def variables(gan):
    parts = (gan.generator, gan.g_optimizer, gan.discriminator, gan.d_optimizer, gan.generator_ema)
    return [variable for part in parts for variable in part.variables]


def values(gan):
    return [variable.numpy() for variable in variables(gan)]


def moved(gan, progress, step):
    """Give every variable a value of its own, as training would."""
    rng = np.random.default_rng(step)
    for network in (gan.generator, gan.discriminator, gan.generator_ema):
        for variable in network.variables:
            variable.assign(rng.normal(size=variable.shape))
    for optimizer in (gan.g_optimizer, gan.d_optimizer):
        for variable in optimizer.variables:
            variable.assign(rng.integers(1, 9, variable.shape))
    progress.step.assign(step)
    progress.augment_probability.assign(step / 64)
    progress.real_signs.assign(step / 32)


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of steps 10 and 20, and the values at step 10."""
    checkpoints, gan, progress = state(tmp_path)
    moved(gan, progress, 10)
    checkpoints.save()
    at_ten = values(gan)
    moved(gan, progress, 20)
    checkpoints.save()
    return tmp_path, at_ten, values(gan)


def test_everything_comes_back(saved):
    folder, _, at_twenty = saved
    checkpoints, gan, progress = state(folder, seed=1)
    path, skipped = checkpoints.restore()
    assert (path.name, skipped, int(progress.step)) == ("step-20", [], 20)
    assert (float(progress.augment_probability), float(progress.real_signs)) == (20 / 64, 20 / 32)
    np.testing.assert_equal(values(gan), at_twenty)


@pytest.mark.parametrize("suffix", [INDEX, DATA])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "missing"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(saved, suffix, damage):
    folder, at_ten, _ = saved
    path = folder / "checkpoints" / f"step-20{suffix}"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "flipped": flipped(content), "empty": b""}[damage])
    checkpoints, gan, progress = state(folder, seed=1)
    restored, skipped = checkpoints.restore()
    assert (restored.name, int(progress.step)) == ("step-10", 10)
    np.testing.assert_equal(values(gan), at_ten)
    if (suffix, damage) != (INDEX, "missing"):  # without its index it is not visible
        assert ["step-20 is damaged" in line for line in skipped] == [True]


def test_a_checkpoint_of_other_networks_is_not_called_damaged(saved):
    folder, _, _ = saved
    progress = Progress(5)
    wider = Checkpoints(folder, build(replace(METHOD, width=0.5), (8, 8, 1), 0, progress), progress)
    restored, skipped = wider.restore()
    assert restored is None
    assert ["is of other networks or optimizers than the run's settings make" in line for line in skipped] == [True] * 2


def test_the_last_few_are_kept_and_nothing_else(tmp_path):
    checkpoints, _, progress = state(tmp_path)
    (tmp_path / "checkpoints" / "partial-7_temp").mkdir(parents=True)  # killed while it saved
    (tmp_path / "checkpoints" / "partial-7.index").touch()
    save_at(checkpoints, progress, 5, 90, 100, 1000)
    assert MAX_KEPT == 3
    assert kept(tmp_path) == {"step-90", "step-100", "step-1000"}
    assert len(list((tmp_path / "checkpoints").iterdir())) == 6


def save_at(checkpoints, progress, *steps):
    for step in steps:
        progress.step.assign(step)
        last = checkpoints.save()
    return last


def kept(folder):
    files = [path.name for path in (folder / "checkpoints").glob("step-*")]
    names = {name.split(".")[0] for name in files}
    assert sorted(files) == sorted(f"{name}{suffix}" for name in names for suffix in (INDEX, DATA))
    return names


def test_the_best_is_kept_for_as_long_as_it_is_the_best(tmp_path):
    checkpoints, _, progress = state(tmp_path)
    first = save_at(checkpoints, progress, 1)
    assert checkpoints.best() is None
    checkpoints.mark_best(first)
    second = save_at(checkpoints, progress, 2, 3, 4, 5)
    assert kept(tmp_path) == {"step-1", "step-3", "step-4", "step-5"}
    checkpoints.mark_best(second)
    assert kept(tmp_path) == {"step-3", "step-4", "step-5"}
    save_at(checkpoints, progress, 6, 7, 8, 9)
    assert checkpoints.best() == second
    assert kept(tmp_path) == {"step-5", "step-7", "step-8", "step-9"}


def test_a_damaged_best_or_mark_disturbs_nothing(tmp_path):
    checkpoints, _, progress = state(tmp_path)
    checkpoints.mark_best(save_at(checkpoints, progress, 1))
    (tmp_path / "checkpoints" / "step-1.index").write_bytes(b"")
    save_at(checkpoints, progress, 2, 3, 4, 5)
    assert kept(tmp_path) == {"step-1", "step-3", "step-4", "step-5"}
    assert state(tmp_path, seed=1)[0].restore()[0].name == "step-5"
    (tmp_path / "checkpoints" / "best").write_bytes(b"\xff../../step-5")
    assert checkpoints.best() is None
    save_at(checkpoints, progress, 6)
    assert kept(tmp_path) == {"step-4", "step-5", "step-6"}


def test_what_was_saved_after_a_rollback_is_newer_than_all_before(tmp_path):
    checkpoints, _, progress = state(tmp_path)
    save_at(checkpoints, progress, 10, 20)
    progress.rollbacks.assign(1)
    assert save_at(checkpoints, progress, 10).name == "step-10-rollback-1"
    restored, _ = state(tmp_path, seed=1)[0].restore()
    assert restored.name == "step-10-rollback-1"
    save_at(checkpoints, progress, 15, 20)
    assert kept(tmp_path) == {"step-10-rollback-1", "step-15-rollback-1", "step-20-rollback-1"}


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["discriminator", "d_optimizer"])
def test_what_is_not_finite_is_seen_wherever_it_is(tmp_path, part, poison):
    checkpoints, gan, _ = state(tmp_path)
    assert checkpoints.finite()
    variable = getattr(gan, part).variables[-1]
    variable.assign(np.full(variable.shape, poison))
    assert not checkpoints.finite()


def test_a_host_that_writes_elsewhere_marks_the_best_before_it_has_saved(saved, tmp_path_factory):
    """A restart whose newest checkpoint is the best marks it at once, where no folder of checkpoints is there yet."""
    folder, _, _ = saved
    elsewhere = tmp_path_factory.mktemp("second_host")
    checkpoints, _, _ = state(folder, output_dir=elsewhere)
    newest, _ = checkpoints.restore()
    checkpoints.mark_best(newest)
    assert checkpoints.best() == newest
    assert not (folder / "checkpoints" / "best").exists()


def test_a_checkpoint_is_visible_when_all_of_it_is_safe_and_hidden_before_any_of_it_is_gone(tmp_path):
    """By its index: that comes last and goes first, whatever a kill or a power cut leaves."""
    checkpoints, _, progress = state(tmp_path)
    save_at(checkpoints, progress, *range(1, MAX_KEPT + 1))
    folder = tmp_path / "checkpoints"
    with Disk().watched() as disk:
        save_at(checkpoints, progress, MAX_KEPT + 1)
    new, old = folder / f"step-{MAX_KEPT + 1}", folder / "step-1"
    for suffix in (INDEX, DATA):
        disk.assert_lasting(folder / (new.name + suffix))
    data, index = disk.renamed(folder / (new.name + DATA)), disk.renamed(folder / (new.name + INDEX))
    assert data < disk.synced(folder, data) < index
    assert index < disk.removed(folder / (old.name + INDEX)) < disk.removed(folder / (old.name + DATA))


def test_a_kill_at_any_step_of_a_save_leaves_a_whole_checkpoint_and_no_damaged_one(tmp_path):
    checkpoints, _, progress = state(tmp_path)
    save_at(checkpoints, progress, 1, 2, 3)
    seen = set()
    for _ in kill_at_every_step(lambda at: save_at(checkpoints, progress, 4)):
        fresh, _, restored_progress = state(tmp_path, seed=1)
        path, skipped = fresh.restore()
        assert skipped == []
        assert path.name == f"step-{int(restored_progress.step)}"
        seen.add(path.name)
    assert seen == {"step-3", "step-4"}
    assert kept(tmp_path) == {"step-2", "step-3", "step-4"}
    assert not list((tmp_path / "checkpoints").glob("*partial*"))


@pytest.mark.parametrize("place", [0.3, 0.7, 0.99])
def test_nothing_is_assigned_from_a_checkpoint_that_is_damaged(tmp_path, place):
    """A flipped bit late in the file must not leave the weights before it in a run that then begins anew."""
    checkpoints, gan, progress = state(tmp_path)
    moved(gan, progress, 10)
    checkpoints.save()
    path = tmp_path / "checkpoints" / f"step-10{DATA}"
    flip_a_bit(path, place)
    fresh, gan, progress = state(tmp_path, seed=1)
    before = values(gan)
    restored, skipped = fresh.restore()
    assert (restored, len(skipped), int(progress.step)) == (None, 1, 0)
    np.testing.assert_equal(values(gan), before)
