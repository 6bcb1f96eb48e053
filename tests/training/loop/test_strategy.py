import json

import pytest
import tensorflow as tf
from click import ClickException, UsageError

from tests.training.every_preset import over_two
from training.batch import Batch
from training.loop import hosts, strategy
from training.loop.strategy import Devices


@pytest.fixture
def two():
    return over_two()


def test_the_first_line_says_which_devices_and_which_batch(two):
    assert strategy.describe(two, 64) == "Strategy mirrored over CPU:0, CPU:1; batch 64, 32 per device."


def test_a_batch_that_does_not_divide_is_refused_with_one_that_does(two):
    with pytest.raises(UsageError, match="--batch-size 62"):
        strategy.check_batch_size(two, 63)
    with pytest.raises(UsageError, match="--batch-size 2"):
        strategy.check_batch_size(two, 1)


def test_auto_takes_what_is_there(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert strategy._detect(gpus=0, logical_devices=None) == "one"
    assert strategy._detect(gpus=1, logical_devices=None) == "one"
    assert strategy._detect(gpus=2, logical_devices=None) == "mirrored"
    assert strategy._detect(gpus=0, logical_devices=4) == "mirrored"
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"index": 0}}))
    assert strategy._detect(gpus=8, logical_devices=None) == "multi-worker"


CHIEF = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "evaluator": ["d:1"]}


@pytest.mark.parametrize(("task", "host"), [(("chief", 0), 0), (("worker", 0), 1), (("worker", 1), 2)])
def test_a_chief_is_the_first_host_and_workers_follow(monkeypatch, task, host):
    """Vertex AI names a chief: counted apart, it and the workers would be two runs in one folder."""
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": CHIEF, "task": {"type": task[0], "index": task[1]}}))
    assert hosts.cluster().hosts.index(task) == host
    assert strategy._detect(gpus=0, logical_devices=None) == "multi-worker"
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda **options: None)
    devices = strategy.choose("multi-worker")
    assert (devices.host, devices.hosts) == (host, 3)


@pytest.mark.parametrize(("role", "index"), [("evaluator", 0), ("ps", 0), ("worker", 2)])
def test_a_host_that_takes_no_part_in_training_is_refused(monkeypatch, role, index):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": CHIEF, "task": {"type": role, "index": index}}))
    with pytest.raises(UsageError, match=f"makes this host {role} {index}"):
        strategy.choose("auto")


def test_a_slurm_job_without_srun_is_one_process(monkeypatch):
    """`salloc -n 4` sets SLURM_NTASKS; only srun starts four processes, and tells each which one it is."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert strategy._detect(gpus=0, logical_devices=None) == "one"
    with pytest.raises(UsageError, match="srun"):
        strategy.choose("multi-worker")
    set_step(monkeypatch)
    assert strategy._detect(gpus=0, logical_devices=None) == "multi-worker"


STEP = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "node[08-09]",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}


def set_step(monkeypatch, **changes):
    """Set SLURM's variables as srun does, with these changed; None: without it."""
    for name, value in {**STEP, **changes}.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)


def test_steps_of_slurm_that_share_a_node_have_ports_of_their_own(monkeypatch):
    ports = set()
    for job in range(1234567, 1234577):
        set_step(monkeypatch, SLURM_JOB_ID=str(job))
        addresses = hosts.cluster().addresses["worker"]
        assert [address.partition(":")[0] for address in addresses] == ["node08", "node08", "node09"]
        ports |= {address.partition(":")[2] for address in addresses}
    assert len(ports) == 2 * 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLURM_PROCID", "x"),
        ("SLURM_PROCID", "3"),
        ("SLURM_STEP_NUM_TASKS", "many"),
        ("SLURM_STEP_NUM_TASKS", None),
        ("SLURM_STEP_NODELIST", None),
        ("SLURM_STEP_NODELIST", "node[08-"),
        ("SLURM_STEP_TASKS_PER_NODE", None),
        ("SLURM_STEP_TASKS_PER_NODE", "2(y2)"),
        ("SLURM_STEP_TASKS_PER_NODE", "1"),
        ("SLURM_JOB_ID", "?"),
    ],
)
def test_a_variable_of_slurm_that_is_wrong_is_named(monkeypatch, name, value):
    set_step(monkeypatch, **{name: value})
    with pytest.raises(UsageError, match=name):
        strategy.choose("auto")


def test_tasks_of_a_slurm_node_share_its_gpus(monkeypatch):
    gpus = ["GPU:0", "GPU:1", "GPU:2", "GPU:3"]
    assert hosts.own_gpus(gpus) == gpus
    set_step(monkeypatch, SLURM_STEP_NUM_TASKS="4", SLURM_STEP_TASKS_PER_NODE="2(x2)", SLURM_PROCID="3")
    assert hosts.own_gpus(gpus) == ["GPU:2", "GPU:3"]
    assert hosts.own_gpus([]) == []
    monkeypatch.setenv("SLURM_GPUS_PER_TASK", "4")
    assert hosts.own_gpus(gpus) == gpus


TASK = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ({"cluster": ["a:1", "b:1"], "task": TASK}, "list of hosts"),
        ({"cluster": {"worker": "a:1"}, "task": TASK}, "list of hosts"),
        ({"cluster": {"worker": ["a", "b"]}, "task": TASK}, "'a', which is not host:port"),
        ({"cluster": {"worker": ["a:1", "b:port"]}, "task": TASK}, "'b:port', which is not host:port"),
        ({"cluster": {"worker": ["a:1", 2]}, "task": TASK}, "'2', which is not host:port"),
        ({"cluster": {"worker": ["a:1", "b:99999"]}, "task": TASK}, "'b:99999', which is not host:port"),
        ({"cluster": {"chief": ["a:1"], "worker": ["a:1"]}, "task": TASK}, "a:1 twice"),
        ({"cluster": {"chief": ["a:1", "b:1"]}, "task": TASK}, "more than one chief"),
        ({"cluster": {"worker": ["a:1", "b:1"]}}, "no task"),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker"}}, "no task"),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": -1}}, "no task"),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": "worker"}, "no task"),
    ],
)
def test_what_is_wrong_in_tf_config_is_named(monkeypatch, content, fault):
    monkeypatch.setenv("TF_CONFIG", content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UsageError, match=f"TF_CONFIG.*{fault}"):
        strategy.choose("auto")


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
    batches = two.batches(tf.data.Dataset.range(12).batch(6, drop_remainder=True).map(Batch))
    for start in (0, 6):
        rows = two.strategy.experimental_local_results(next(batches).images)
        assert [row.numpy().tolist() for row in rows] == [
            list(range(start, start + 3)),
            list(range(start + 3, start + 6)),
        ]


def test_float32_is_float32_on_any_gpu():
    strategy.choose("one")
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_all_hosts_but_the_first_are_silent_and_write_where_nobody_looks(tmp_path, capsys):
    one = tf.distribute.get_strategy()
    first, second = Devices("multi-worker", one), Devices("multi-worker", one, host=1, hosts=1)
    for devices in (first, second):
        with devices.speaking():
            print(f"host {devices.host}")
        with devices.writable(tmp_path) as folder:
            (folder / f"host {devices.host}").touch()
        assert folder.exists() == (devices.host == 0)
    assert capsys.readouterr().out == "host 0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["host 0"]


def test_one_device_cannot_be_mirrored(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [tf.config.LogicalDevice("CPU:0", "CPU")])
    with pytest.raises(UsageError, match="needs two devices or more"):
        strategy.choose("mirrored")
