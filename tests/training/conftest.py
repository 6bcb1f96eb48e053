import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import pytest
import tensorflow as tf

from tests.training.shards_by_tensorflow import numbered_images, write_shards

# Four devices on one machine: what a strategy does over GPUs is tested over these.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)

tf.config.threading.set_inter_op_parallelism_threads(8)


@pytest.fixture
def shard_folder(tmp_path):
    """100 training images of 16x16 in shards of 40, 35 and 25, and 20 for validation."""
    write_shards(tmp_path / "data", numbered_images(100), (40, 35, 25))
    write_shards(tmp_path / "data", numbered_images(20), (20,), split="valid")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Shards, a run of three epochs on them, and what it printed."""
    from tests.training.runs import SMALL, run

    place = tmp_path_factory.mktemp("finished")
    write_shards(place / "data", numbered_images(60), (20, 20, 20))
    write_shards(place / "data", numbered_images(20), (20,), split="valid")
    output = run.succeeds(
        "--shards", *sorted((place / "data").glob("*.tfrecord")), *SMALL, "--epochs", 3, "--out", place / "run"
    )
    return place, output
