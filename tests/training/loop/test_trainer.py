"""What a run does when something goes wrong in the middle of it: the real run, with the wrong thing put into it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from click import ClickException
from PIL import Image

from tests.training.runs import stats
from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training import draw
from training.config import Config
from training.data.shards import find
from training.loop import collapse, engine, trainer
from training.loop.records import Records
from training.loop.strategy import Devices
from training.loop.timetable import Timetable
from training.loop.trainer import train
from training.presets import PRESETS

METHOD = replace(PRESETS["classic"], batch_size=10, latent=4)
TIMETABLE = Timetable(total_steps=18, steps_per_epoch=6, sample_every=1, save_minutes=60.0, status_seconds=60.0)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loop")
    write_shards(folder, numbered_images(60), (60,))
    return find([str(folder)])


@pytest.fixture(scope="module")
def built(shards):
    """Networks and their compiled steps, which every run of these tests begins with as they were here."""
    config, devices = config_of(shards), Devices("one", tf.distribute.OneDeviceStrategy("CPU:0"))
    gan, progress = engine.build_on(devices, config)
    run_steps = engine.compile_steps(gan, progress, config, devices)
    parts = (gan.generator, gan.discriminator, gan.generator_ema, gan.g_optimizer, gan.d_optimizer, progress)
    first = [(variable, variable.numpy()) for part in parts for variable in part.variables]
    return devices, gan, progress, run_steps, first


def config_of(shards, cache=True):
    return Config("classic", METHOD, 0, "train", 60, shards.fingerprint, shards.image_shape, cache=cache)


@pytest.fixture
def trained(shards, built, tmp_path, monkeypatch):
    """Run 18 steps, 6 an epoch; after each call into TensorFlow `disturb(gan, progress)` may change the state.

    `change(step, sums)` may change what the call returns.
    """

    def trained(
        disturb=lambda gan, progress: None,
        timetable=TIMETABLE,
        evaluator=None,
        cache=True,
        photos=shards,
        change=lambda step, sums: sums,
    ):
        def build_on(devices, config, saved):
            for variable, value in first:
                variable.assign(value)
            return gan, progress

        def take_and_disturb(iterator, count):
            sums = run_steps(iterator, count)
            disturb(gan, progress)
            return change(int(progress.step.numpy()), sums)

        monkeypatch.setattr(trainer, "build_on", build_on)
        monkeypatch.setattr(trainer, "compile_steps", lambda *_: take_and_disturb)
        devices, gan, progress, run_steps, first = built
        assert train(config_of(photos, cache), photos, devices, timetable, tmp_path, {}, evaluator) == 0
        return stats(tmp_path)

    return trained


def evaluator_of(score, count=8):
    """One that scores the faces alone: `score` gives {split: {figure: value}}."""
    return SimpleNamespace(names=["swd"], count=count, labels=None, sample_of=lambda faces: faces, score=score)


def test_a_weight_that_is_infinite_in_the_last_step_before_a_save_is_not_saved(trained, tmp_path, capsys):
    def poison(gan, progress):
        if progress.step.numpy() == 12 and progress.rollbacks.numpy() == 0:
            gan.discriminator.trainable_variables[0].assign_add(tf.fill([3, 3, 1, 64], np.inf))

    lines = trained(poison, replace(TIMETABLE, max_rollbacks=3))
    assert "Returned to step-6 (rollback 1 of at most 3); the learning rates are now 0.5" in capsys.readouterr().out
    assert [(line["step"], line["rollbacks"]) for line in lines] == [(6, 0), (12, 1), (18, 1)]
    assert [epoch.step for epoch in Records(tmp_path, 18).epochs if np.isfinite(epoch.d_loss)] == [6, 12, 18]
    newest = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / "step-18-rollback-1"))
    names = newest.get_variable_to_shape_map()
    assert all(np.isfinite(newest.get_tensor(name)).all() for name in names if "OBJECT_GRAPH" not in name)


@pytest.mark.parametrize(("place", "poison"), [(0, np.nan), (3, np.inf)], ids=["D's loss", "G's gradient"])
def test_what_is_not_finite_stops_the_run_at_once_wherever_it_is(trained, tmp_path, place, poison):
    """After the first step of an epoch of six: nothing is saved there that could bring it to light."""
    after = []

    def change(step, sums):
        after.append(step)
        values = sums.numpy()
        values[place] = poison if step == 1 else values[place]
        return tf.constant(values)

    with pytest.raises(ClickException, match=r"no longer finite between steps 0 and 1 .*Nothing has been saved"):
        trained(change=change)
    assert after == [1]
    assert not list((tmp_path / "checkpoints").glob("*.index"))
    assert Records(tmp_path, 18).epochs == []


def test_a_run_is_taken_back_from_a_step_that_is_no_boundary(trained, monkeypatch):
    monkeypatch.setattr(engine, "SECONDS_PER_CALL", 0.0)  # a step a call
    seen = []

    def change(step, sums):
        seen.append(step)
        return tf.fill(sums.shape, tf.constant(np.nan, sums.dtype)) if seen.count(8) == 1 and step == 8 else sums

    lines = trained(change=change, timetable=replace(TIMETABLE, max_rollbacks=1))
    assert seen == [*range(1, 9), *range(7, 19)]
    assert [(line["step"], line["rollbacks"]) for line in lines] == [(6, 0), (12, 1), (18, 1)]


def test_a_run_is_taken_back_three_times_at_most_even_where_it_is_ended_after_one(trained, tmp_path, capsys):
    calls = []

    def change(step, sums):
        calls.append(step)
        if len(calls) == 2:
            raise SystemExit
        return tf.fill(sums.shape, tf.constant(np.nan, sums.dtype))

    timetable = replace(TIMETABLE, max_rollbacks=3)
    with pytest.raises(SystemExit):
        trained(change=change, timetable=timetable)
    assert (tmp_path / "checkpoints" / "step-0-rollback-1.index").exists()
    with pytest.raises(ClickException, match="was rolled back 3 times already"):
        trained(change=change, timetable=timetable)
    assert capsys.readouterr().out.count("Returned to step-0") == 3
    assert (tmp_path / "checkpoints" / "step-0-rollback-3.index").exists()


def test_a_continued_run_that_stops_on_a_loss_names_the_checkpoint_that_it_continued_from(trained, tmp_path):
    def poison(gan, progress):
        if progress.step.numpy() > 6:
            gan.discriminator.trainable_variables[0].assign(tf.fill([3, 3, 1, 64], np.nan))

    trained(poison, replace(TIMETABLE, total_steps=6))
    with pytest.raises(ClickException) as stopped:
        trained(poison)
    assert f"The last good checkpoint is {tmp_path / 'checkpoints' / 'step-6'}." in stopped.value.message
    assert "--on-nan rollback" in stopped.value.message
    assert (tmp_path / "checkpoints" / "step-6.index").exists()
    assert [row.step for row in Records(tmp_path, 18).epochs] == [6]


def test_a_run_that_died_before_it_marked_the_best_marks_it_when_it_goes_on(trained, tmp_path):
    timetable = replace(TIMETABLE, total_steps=6, score_steps=6)
    evaluator = evaluator_of(lambda faces: {"train": {"swd": float(faces.mean())}})
    for _ in range(2):
        trained(timetable=timetable, evaluator=evaluator)
        assert (tmp_path / "checkpoints" / "best").read_text() == "step-6\n"
        (tmp_path / "checkpoints" / "best").unlink()
        for name in ("generator", "discriminator"):
            (tmp_path / f"{name}-best.keras").unlink()
    assert [scores.step for scores in Records(tmp_path, 6).scores] == [6]


def test_a_run_that_died_before_it_wrote_a_network_writes_it_when_it_goes_on(trained, tmp_path):
    generator, discriminator = paths = [tmp_path / f"{name}.keras" for name in ("generator", "discriminator")]
    trained(timetable=replace(TIMETABLE, total_steps=6))
    earlier = [path.read_bytes() for path in paths]
    twelve = replace(TIMETABLE, total_steps=12)
    trained(timetable=twelve)
    weights = [draw.load(path).get_weights() for path in paths]

    def go_on():
        trained(timetable=twelve)
        np.testing.assert_equal([draw.load(path).get_weights() for path in paths], weights)

    for path, content in zip(paths, earlier, strict=True):
        path.write_bytes(content)
    go_on()
    for missing, whole in ((generator, discriminator), (discriminator, generator)):
        missing.unlink()
        before = whole.read_bytes()
        go_on()
        assert whole.read_bytes() == before, "directions and scores name their generator by its bytes"


def test_what_is_made_of_a_checkpoint_cannot_keep_it_from_being_saved(trained, tmp_path):
    (tmp_path / "generator.keras").mkdir()
    with pytest.raises(ClickException, match=r"generator.keras: Is a directory"):
        trained(timetable=replace(TIMETABLE, total_steps=6))
    assert (tmp_path / "checkpoints" / "step-6.index").exists()


def test_a_clock_that_was_never_set_is_no_trouble(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 86_400.0)  # 1970; a zip as Python dates it begins in 1980
    trained(timetable=replace(TIMETABLE, total_steps=6))
    assert draw.load(tmp_path / "generator.keras").output_shape == (None, 16, 16, 1)


def test_a_generator_that_draws_one_face_is_warned_of(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(collapse, "MIN_KIMG", 0.1)

    def flatten(gan, progress):
        for variable in gan.generator.trainable_variables:
            variable.assign(tf.zeros_like(variable))

    lines = trained(flatten)
    assert [line["warning"] for line in lines] == ["", collapse.FACES_ALIKE, collapse.FACES_ALIKE]
    assert [line["spread"] for line in lines] == [0.0, 0.0, 0.0]
    assert [epoch.warning for epoch in Records(tmp_path, 18).epochs] == [line["warning"] for line in lines]
    assert capsys.readouterr().out.count(collapse.FACES_ALIKE) == 2  # in its line of status, where there is no bar


def test_a_discriminator_that_is_always_right_is_warned_of_and_still_after_a_restart(trained, monkeypatch):
    monkeypatch.setattr(collapse, "PATIENCE_KIMG", 0.1)
    monkeypatch.setattr(collapse, "NEAR_ZERO", 10.0)  # of chance: whatever D's loss is counts as near zero
    trained(timetable=replace(TIMETABLE, total_steps=12))
    lines = trained()
    assert [line["warning"] for line in lines] == ["", "", collapse.DISCRIMINATOR_WINS]


@pytest.mark.parametrize("cache", [False, True])
def test_shards_that_are_replaced_while_a_run_reads_them_are_noticed(trained, tmp_path, capsys, cache):
    folder = tmp_path / "data"
    write_shards(folder, numbered_images(60), (60,))

    def replace_them(gan, progress):
        if progress.step.numpy() == 12:
            (folder / "manifest.json").unlink()
            write_shards(folder, numbered_images(60)[::-1], (60,))

    if cache:
        trained(replace_them, cache=True, photos=find([str(folder)]))
        assert capsys.readouterr().out.count("cannot be continued without these shards") == 1
    else:
        with pytest.raises(ClickException, match="have been replaced while this run trains"):
            trained(replace_them, cache=False, photos=find([str(folder)]))
        assert not (tmp_path / "checkpoints" / "step-12.index").exists()
    assert (tmp_path / "checkpoints" / "step-6.index").exists()


def test_shards_that_were_made_again_with_the_same_bytes_are_the_same(trained, tmp_path):
    folder = tmp_path / "data"
    write_shards(folder, numbered_images(60), (60,))
    path = folder / "train-00000-of-00001.tfrecord"

    def repair(gan, progress):
        (folder / "new").write_bytes(path.read_bytes())
        (folder / "new").rename(path)

    trained(repair, cache=False, photos=find([str(folder)]))


def test_samples_scores_and_the_saved_generator_are_the_moving_average(trained, tmp_path):
    scored = []

    def score(faces):
        scored.append(faces)
        return {"train": {"swd": 1.0, "kid_error": 2.0}, "held_out": {"swd": 3.0, "kid_error": 4.0}}

    def fade(gan, progress):
        for weight in gan.generator_ema.trainable_weights:
            weight.assign(tf.zeros_like(weight))  # a sigmoid of 0: middle grey

    trained(fade, timetable=replace(TIMETABLE, total_steps=6, score_steps=6), evaluator=evaluator_of(score, 10))
    assert set(np.unique(scored)) == set(np.unique(Image.open(tmp_path / "final.png"))) == {128}
    assert scored[0].shape == (10, 16, 16, 1)
    drawn = draw.load(tmp_path / "generator.keras")(np.ones((2, 4)), training=False)
    np.testing.assert_array_equal(drawn, 0.5)
    [scores] = Records(tmp_path, 6).scores
    assert scores.values == {"swd": 1.0, "kid_error": 2.0, "swd_held_out": 3.0, "kid_error_held_out": 4.0}


def test_the_faces_that_are_scored_begin_with_those_that_are_shown(trained, tmp_path):
    scored = []
    evaluator = evaluator_of(lambda faces: scored.append(faces) or {"train": {"swd": 1.0}}, 300)
    trained(timetable=replace(TIMETABLE, total_steps=6, score_steps=6), evaluator=evaluator)
    shown = np.asarray(Image.open(tmp_path / "final.png"), int)[..., None]
    np.testing.assert_allclose(draw.tile(scored[0][:64]), shown, atol=1)  # batches round otherwise
    assert len({face.tobytes() for face in scored[0]}) > 250
