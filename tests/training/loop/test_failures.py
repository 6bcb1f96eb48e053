"""What goes wrong below us is one message that says what to do."""

import errno
from dataclasses import replace

import pytest
import tensorflow as tf
from click import ClickException

from training.config import Config
from training.loop.failures import errors_reported
from training.loop.strategy import Devices
from training.presets import PRESETS

CONFIG = Config("classic", PRESETS["classic"], 0, "train", 1000, "abc", (64, 64, 1), cache=True)
HERE = tf.distribute.get_strategy()


@pytest.mark.parametrize(
    ("error", "hosts", "message"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), 1, "--micro-batch 32"),
        (
            tf.errors.ResourceExhaustedError(None, None, "x.tmp; No space left on device [Op:SaveV2]"),
            1,
            "^x.tmp: No space left on device. Make",
        ),
        (tf.errors.ResourceExhaustedError(None, None, "{{node a}} a b; Too many open files"), 1, "^a b: .*ulimit -n"),
        (tf.errors.NotFoundError(None, None, "/a/x; No such file or directory"), 1, "^/a/x: No such file.* Bring it"),
        (OSError(errno.EMFILE, "Too many open files"), 1, "^Too many open files. .*ulimit -n"),
        (OSError(errno.EPIPE, "Broken pipe"), 1, "^Broken pipe. Correct that"),
        (OSError("a library's own words"), 1, "^a library's own words. "),
        (OSError(errno.ENOSPC, "No space left on device", "history.csv"), 1, "history.csv: No space left on device"),
        (tf.errors.UnavailableError(None, None, "Collective ops is aborted"), 2, "Another host is gone"),
    ],
)
def test_an_error_from_below_is_one_message_with_advice(error, hosts, message):
    with pytest.raises(ClickException, match=message), errors_reported(Devices("any", HERE, 0, hosts), CONFIG):
        raise error


@pytest.mark.parametrize(("batch", "micro_batch", "advised"), [(64, 16, 8), (63, None, 21), (7, None, 1), (1, None, 1)])
def test_the_micro_batch_that_is_advised_divides_what_did_not_fit(batch, micro_batch, advised):
    config = replace(CONFIG, method=replace(CONFIG.method, batch_size=batch), micro_batch=micro_batch)
    with (
        pytest.raises(ClickException, match=f"--micro-batch {advised}:"),
        errors_reported(Devices("one", HERE), config),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def test_what_is_not_understood_is_not_hidden():
    with pytest.raises(tf.errors.InternalError), errors_reported(Devices("one", HERE), CONFIG):
        raise tf.errors.InternalError(None, None, "a bug")
