"""What cannot be done is one message, and leaves what is there as it is."""

import shutil

import pytest
import tensorflow as tf
from click import UsageError

from tests.training.damage import flip_a_bit, flipped
from tests.training.runs import SMALL, run, sample
from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training import resolve
from training.loop import forecast, trainer


def test_other_settings_are_refused_with_a_list(finished):
    before = (finished[0] / "run" / "config.json").read_bytes()
    message = run.is_refused(
        "--shards", finished[0] / "data", "--batch-size", 12, "--lr-g", 0.01, "--out", finished[0] / "run"
    )
    assert "batch_size: 10 in the run, 12 asked for" in message
    assert "lr_g: 0.0002 in the run, 0.01 asked for" in message
    assert (finished[0] / "run" / "config.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(finished, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    (tmp_path / ".lock").touch()  # alone it would be that of a run that has just begun
    assert "not a run" in run.is_refused("--shards", finished[0] / "data", *SMALL, "--out", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", ".lock"}


def test_wrong_input_is_one_message(finished, tmp_path):
    data = finished[0] / "data"
    assert "no shards there" in run.is_refused("--shards", tmp_path / "*.tfrecord")
    assert "--batch-size 60" in run.is_refused("--shards", data, "--batch-size", 1000, "--out", tmp_path / "run")
    assert "No test shards" in run.is_refused("--shards", data, "--train-on", "test")
    assert "not a run" in sample.is_refused("--run", tmp_path)
    assert not list(tmp_path.iterdir())


def test_torn_photos_are_refused_where_a_device_does_not_compute_whole_groups_of_photos():
    with pytest.raises(UsageError, match=r"--torn makes a torn photo of 4 photos.* 10 .*multiple of 4, or --torn 0\."):
        resolve.check_torn(10, 0.5)
    resolve.check_torn(10, 0.0)
    resolve.check_torn(12, 0.5)


@pytest.mark.parametrize(("photos", "micro_batch", "advised"), [(10, 4, 2), (12, 8, 6), (7, 5, 1), (6, 20, 6)])
def test_a_micro_batch_that_does_not_divide_is_refused_with_the_largest_that_does(photos, micro_batch, advised):
    with pytest.raises(UsageError, match=rf"--micro-batch {micro_batch} does not .* Use --micro-batch {advised}\."):
        resolve.check_micro_batch(photos, micro_batch)


def test_a_part_that_goes_from_one_value_to_another_needs_to_know_how_long(finished, tmp_path):
    arguments = ("--shards", finished[0] / "data", *SMALL, "--lr-g", "4e-4:1e-4", "--out", tmp_path / "run")
    assert "--lr-g 0.0004:0.0001: say over how many thousand photos, with --ramp-kimg." in run.is_refused(*arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--augment-target 1.5 --augment ada", "1.5 is not in the range 0<=x<=1"),
        ("--augment-target 0.6", "say which, such as --augment ada"),
        ("--augment-target 0.6 --augment ada --augment-probability 0.3", "choose one of them"),
        ("--preset r3gan --augment-target 0.6", "--augment-probability 0.0:0.3 sets: choose one of them"),
        ("--preset r3gan --augment-target 0.6 --augment-probability 1", "nothing with --loss relativistic"),
        ("--preset wgan-gp --augment-target 0.6 --augment ada", "nothing with --loss wasserstein"),
    ],
)
def test_a_probability_that_cannot_adapt_is_refused(finished, tmp_path, options, message):
    arguments = ("--shards", finished[0] / "data", "--out", tmp_path / "run", *options.split())
    assert message in run.is_refused(*arguments)
    assert not (tmp_path / "run").exists()


def test_images_that_no_network_builds_for_are_refused_before_anything_is_written(tmp_path):
    write_shards(tmp_path / "data", numbered_images(20, side=12), (20,))
    message = run.is_refused("--shards", tmp_path / "data", *SMALL, "--out", tmp_path / "run")
    assert "square images of 8, 16, 32, 64, ... pixels" in message
    assert not (tmp_path / "run").exists()


def test_a_damaged_generator_is_one_message(finished, tmp_path):
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    path = tmp_path / "run" / "generator.keras"
    whole = path.read_bytes()
    for content in (whole[:-100], flipped(whole), b"rubbish"):
        path.write_bytes(content)
        message = sample.is_refused("--run", tmp_path / "run", "--out", tmp_path / "faces.png")
        assert "generator.keras cannot be read" in message
        assert "continue the run" in message
    assert not (tmp_path / "faces.png").exists()


def test_a_folder_that_cannot_be_written_is_one_message(finished, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    result = run("--shards", finished[0] / "data", *SMALL, "--out", tmp_path / "file" / "run")
    assert result.exit_code == 1
    assert "file" in result.output
    assert "Traceback" not in result.output


def test_metrics_that_cannot_be_taken_are_refused_before_anything_is_written(finished, tmp_path):
    data, out = finished[0] / "data", tmp_path / "run"
    assert "frechet" in run.is_refused("--shards", data, *SMALL, "--out", out, "--metrics", "swd,fid")
    assert "training.features" in run.is_refused("--shards", data, *SMALL, "--out", out, "--metrics", "swd,frechet")
    assert not out.exists()


def test_a_damaged_shard_is_one_message(finished, tmp_path):
    write_shards(tmp_path / "data", numbered_images(60), (60,))
    flip_a_bit(tmp_path / "data" / "train-00000-of-00001.tfrecord")
    result = run("--shards", tmp_path / "data", *SMALL, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "preprocess.verify" in result.output


def test_a_run_of_which_no_checkpoint_can_be_read_is_not_begun_anew(finished, tmp_path):
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("*.data-*"):
        path.write_bytes(path.read_bytes()[:-100])
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    result = run("--shards", finished[0] / "data", *SMALL, "--epochs", 4, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "Error: No checkpoint can continue the run: start again with another --out." in result.output
    assert {path: path.read_bytes() for path in before} == before


def test_a_generator_without_its_checkpoints_is_not_replaced(finished, tmp_path):
    shutil.copytree(finished[0] / "run", tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for init in ((), ("--init", tmp_path / "run")):
        message = run.is_refused("--shards", finished[0] / "data", *SMALL, "--out", tmp_path / "run", *init)
        assert "holds a trained generator without the checkpoints that continue it" in message
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("command", "options"), [(trainer, ()), (forecast, ("--dry-run",))])
def test_a_damaged_shard_is_named_by_a_run_that_streams_it(finished, tmp_path, monkeypatch, command, options):
    # The photos are read, and nothing is computed of them.
    read = tf.function(lambda photos, count: [next(photos).images for _ in range(6)][-1])
    monkeypatch.setattr(command, "compile_steps", lambda *_: read)
    shutil.copytree(finished[0] / "data", tmp_path / "data")
    path = tmp_path / "data" / "train-00001-of-00003.tfrecord"
    flip_a_bit(path)
    result = run("--shards", tmp_path / "data", *SMALL, "--cache", "none", "--out", tmp_path / "run", *options)
    assert result.exit_code == 1
    assert f"Error: {path} is damaged" in result.output
