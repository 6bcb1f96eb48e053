import json

import pytest
import tensorflow as tf
from click import ClickException, UsageError

from training import strategy
from training.strategy import Devices


def names(count):
    return [device.name for device in tf.config.list_logical_devices("CPU")[:count]]


@pytest.fixture
def two():
    return Devices("mirrored", strategy.mirrored(names(2)))


def test_the_first_line_says_which_devices_and_which_batch(two):
    assert strategy.describe(two, 64) == "Strategy mirrored over CPU:0, CPU:1; batch 64, 32 a device."


def test_a_batch_that_does_not_divide_is_refused_with_one_that_does(two):
    with pytest.raises(UsageError, match="--batch-size 62"):
        strategy.describe(two, 63)
    with pytest.raises(UsageError, match="--batch-size 2"):
        strategy.describe(two, 1)


def test_auto_takes_what_is_there(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert strategy._what_is_there(gpus=0, split=None) == "one"
    assert strategy._what_is_there(gpus=1, split=None) == "one"
    assert strategy._what_is_there(gpus=2, split=None) == "mirrored"
    assert strategy._what_is_there(gpus=0, split=4) == "mirrored"
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"index": 0}}))
    assert strategy._what_is_there(gpus=8, split=None) == "multi-worker"
    monkeypatch.setenv("TPU_NAME", "local")
    assert strategy._what_is_there(gpus=0, split=None) == "tpu"


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_tf_config_of_rubbish_is_named(monkeypatch, content):
    monkeypatch.setenv("TF_CONFIG", content)
    with pytest.raises(UsageError, match="TF_CONFIG"):
        strategy.choose("multi-worker")


def test_multi_worker_without_a_cluster_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UsageError, match="TF_CONFIG"):
        strategy.choose("multi-worker")


def test_devices_that_do_not_add_up_are_noticed(two, monkeypatch):
    strategy.self_test(two)
    monkeypatch.setattr(Devices, "replicas", property(lambda _: 3))
    with pytest.raises(ClickException, match="do not add up"):
        strategy.self_test(two)


def test_each_replica_gets_its_rows_of_the_global_batch(two):
    batches = two.batches(tf.data.Dataset.range(12).batch(6, drop_remainder=True))
    for start in (0, 6):
        rows = two.strategy.experimental_local_results(next(batches))
        assert [row.numpy().tolist() for row in rows] == [
            list(range(start, start + 3)),
            list(range(start + 3, start + 6)),
        ]
