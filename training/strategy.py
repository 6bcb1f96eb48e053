"""Which `tf.distribute` strategy, and how it is described to the user."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
from click import ClickException, UsageError

LOGICAL_GPU_MB = 2048  # of each part of a divided GPU: the largest network here takes a quarter of it


@dataclass(frozen=True)
class Devices:
    """What a run is distributed over."""

    name: str
    """The strategy's name on the command line."""
    strategy: tf.distribute.Strategy
    host: int = 0
    hosts: int = 1

    @property
    def replicas(self) -> int:
        """Devices on all hosts together."""
        return self.strategy.num_replicas_in_sync

    def batches(self, dataset: tf.data.Dataset) -> Iterator:
        """Iterate over global batches, each divided over the replicas in order: replica 0 gets its first rows.

        Args:
            dataset: global batches of a known size; the same on every host.
        """

        def of_this_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
            here = context.num_replicas_in_sync // context.num_input_pipelines
            first = context.input_pipeline_id * here

            def divided(batch: tf.Tensor) -> tf.Tensor:
                return tf.reshape(batch, (context.num_replicas_in_sync, -1, *batch.shape[1:]))[first : first + here]

            # A batch for each replica: the shape stays known, which `unbatch` and `batch` would lose.
            return dataset.map(divided, num_parallel_calls=2, deterministic=True).unbatch()

        # Fetching ahead is for GPUs. Between logical CPUs it saves no copy, and its threads took two minutes to end.
        to_device = any("GPU" in device for device in self.strategy.extended.worker_devices)
        options = tf.distribute.InputOptions(experimental_fetch_to_device=to_device)
        return iter(self.strategy.distribute_datasets_from_function(of_this_host, options))

    def agreed(self, values: Sequence[int]) -> list[int]:
        """The largest of each value over all hosts; every host calls this at the same point."""
        if self.hosts == 1:
            return list(values)
        largest = self.strategy.run(_maximum, args=(tf.constant(values, tf.int64), self.host, self.hosts))
        return self.strategy.experimental_local_results(largest)[0].numpy().tolist()

    @contextmanager
    def writable(self, folder: Path) -> Iterator[Path]:
        """Where this host writes: one run has one folder, so all but the first host write to one that is thrown away.

        They do write: saving reads variables that are spread over the hosts, which takes all of them.
        """
        if self.host == 0:
            yield folder
        else:
            with TemporaryDirectory() as nowhere:
                yield Path(nowhere)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let the first host alone print."""
        with ExitStack() as stack:
            if self.host > 0:
                stack.enter_context(redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
            yield


@tf.function
def _maximum(values: tf.Tensor, host: int, hosts: int) -> tf.Tensor:
    # A sum over replicas is what collectives have for integers: every host fills a row of its own.
    row = tf.one_hot(host, hosts, dtype=tf.int64)[:, None] * values[None]
    context = tf.distribute.get_replica_context()
    replicas_a_host = context.num_replicas_in_sync // hosts
    return tf.reduce_max(context.all_reduce(tf.distribute.ReduceOp.SUM, row) // replicas_a_host, axis=0)


def choose(name: str, split: int | None = None, deterministic: bool = False) -> Devices:
    """The devices to train on. Call it before TensorFlow does anything else.

    Args:
        name: "one", "mirrored" (all GPUs of this host), "multi-worker" (the hosts of TF_CONFIG or SLURM), "tpu", or
            "auto": the first of TPU, several hosts, several GPUs that is there, else one device.
        split: divide this host's CPU, or its first GPU, into so many logical devices: for trying a strategy out.
        deterministic: let TensorFlow use only operations that give the same bits every time.

    Raises:
        UsageError: a strategy for which something is missing here.
    """
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    if split:
        _divide(gpus, split)
    else:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    if name == "auto":
        name = _what_is_there(len(gpus), split)
    if name == "tpu":
        return _tpu()
    if name == "multi-worker":
        return _multi_worker()
    devices = [device.name for device in tf.config.list_logical_devices("GPU" if gpus else "CPU")]
    if name == "one":
        return Devices(name, tf.distribute.OneDeviceStrategy(devices[0]))
    if len(devices) < 2:
        raise UsageError("--strategy mirrored needs two devices or more; here there is one. Use --strategy auto.")
    return Devices(name, mirrored(devices))


def mirrored(devices: list[str]) -> tf.distribute.MirroredStrategy:
    """MirroredStrategy over these devices."""
    if any("CPU" in device for device in devices):
        # Between logical CPUs the default, collective operations, waits for ever where there are fewer threads than
        # devices: each holds a thread of the pool until all have come.
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
    return tf.distribute.MirroredStrategy(devices)


def describe(devices: Devices, batch_size: int) -> str:
    """One line: which strategy, over which devices, which batch.

    Raises:
        UsageError: the global batch does not divide.
    """
    if batch_size % devices.replicas:
        down = batch_size - batch_size % devices.replicas
        raise UsageError(
            f"A batch of {batch_size} does not divide over {devices.replicas} devices. "
            f"Use --batch-size {down or devices.replicas}."
        )
    names = ", ".join(name.split("/")[-1].removeprefix("device:") for name in devices.strategy.extended.worker_devices)
    where = f"{names} of each of {devices.hosts} hosts" if devices.hosts > 1 else names
    return f"Strategy {devices.name} over {where}; batch {batch_size}, {batch_size // devices.replicas} a device."


def self_test(devices: Devices) -> None:
    """See that the devices add up: some GPU and driver pairs reduce to nonsense (tensorflow issues 90686, 105552).

    Raises:
        ClickException: they do not.
    """

    @tf.function
    def total() -> tf.Tensor:
        def one() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            values = tf.fill([1024], tf.cast(context.replica_id_in_sync_group, tf.float32) + 1.0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

        return devices.strategy.experimental_local_results(devices.strategy.run(one))

    expected = devices.replicas * (devices.replicas + 1) / 2
    if any(not np.all(found == expected) for found in total()):
        raise ClickException(
            "The devices do not add up: a sum over all of them came out wrong. Update the GPU driver, set "
            "NCCL_P2P_DISABLE=1, or use --strategy one."
        )


def _divide(gpus: list, split: int) -> None:
    # A reduction between logical devices waits for all of them, so each needs a thread.
    tf.config.threading.set_inter_op_parallelism_threads(max(2 * split, os.cpu_count() or 1))
    if gpus:
        part = tf.config.LogicalDeviceConfiguration(memory_limit=LOGICAL_GPU_MB)
        tf.config.set_logical_device_configuration(gpus[0], [part] * split)
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * split)


def _what_is_there(gpus: int, split: int | None) -> str:
    if any(variable in os.environ for variable in ("TPU_NAME", "COLAB_TPU_ADDR")):
        return "tpu"
    if _hosts_in_tf_config() > 1 or int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        return "multi-worker"
    return "mirrored" if max(gpus, split or 1) > 1 else "one"


def _hosts_in_tf_config() -> int:
    try:
        return len(json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {}).get("worker", []))
    except (ValueError, AttributeError) as error:
        raise UsageError(f"The environment variable TF_CONFIG is not the JSON of a cluster: {error}") from None


def _multi_worker() -> Devices:
    if _hosts_in_tf_config():
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    elif "SLURM_NTASKS" in os.environ:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    else:
        raise UsageError("--strategy multi-worker needs TF_CONFIG, or a SLURM job, to say which hosts there are.")
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    return Devices("multi-worker", strategy, resolver.task_id or 0, resolver.cluster_spec().num_tasks("worker"))


def _tpu() -> Devices:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise UsageError(f"No TPU can be reached ({str(error).splitlines()[0]}). Use --strategy auto.") from None
    return Devices("tpu", tf.distribute.TPUStrategy(resolver))
