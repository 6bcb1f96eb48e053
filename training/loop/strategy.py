"""The `tf.distribute` strategy of a run: chosen by what is there, tested, described."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
from click import ClickException, UsageError

from training.loop.hosts import cluster, own_gpus

LOGICAL_GPU_MB = 2048  # of each part of a divided GPU: the largest network here takes a quarter of it


@dataclass(frozen=True)
class Devices:
    """The devices of a run, on one host or several."""

    name: str  # the strategy's name on the command line
    strategy: tf.distribute.Strategy
    host: int = 0
    hosts: int = 1

    @property
    def replicas(self) -> int:
        """Number of devices on all hosts together."""
        return self.strategy.num_replicas_in_sync

    @tf.autograph.experimental.do_not_convert
    def batches(self, dataset: tf.data.Dataset) -> Iterator:
        """Iterate over global batches, each divided over the replicas in order: replica 0 gets its first rows.

        `dataset` has global batches without end, each a `Batch` of a known size; the same on every host.
        """

        def of_this_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
            of_host = context.num_replicas_in_sync // context.num_input_pipelines
            first = context.input_pipeline_id * of_host

            def divided(rows: tf.Tensor) -> tf.Tensor:
                size = rows.shape[0] // context.num_replicas_in_sync
                parts = tf.reshape(rows, (context.num_replicas_in_sync, size, *rows.shape[1:]))
                return parts[first : first + of_host]

            # A batch for each replica: the shape stays known, which `unbatch` and `batch` would lose. Hosts would
            # prepare for a last batch of some rows, which fails without labels, if it were not known that none comes.
            parts = dataset.map(lambda batch: batch.map(divided), num_parallel_calls=2, deterministic=True).unbatch()
            return parts.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

        # Prefetch to the device on GPUs only: between logical CPUs it saves no copy and delays exit by minutes.
        to_device = any("GPU" in device for device in self.strategy.extended.worker_devices)
        options = tf.distribute.InputOptions(experimental_fetch_to_device=to_device)
        return iter(self.strategy.distribute_datasets_from_function(of_this_host, options))

    def any_host(self, answer: bool) -> bool:
        """Whether the answer of any host is yes. All hosts have to call it at the same point."""
        return self._largest(int(answer)) == 1

    def all_hosts(self, answer: bool) -> bool:
        """Whether the answer of all hosts is yes. All hosts have to call it at the same point."""
        return not self.any_host(not answer)

    def same_on_all(self, value: int) -> bool:
        """Whether all hosts have the same value. All hosts have to call it at the same point."""
        return self._largest(value) == self.least(value)

    def least(self, value: int) -> int:
        """Return the smallest value of any host. All hosts have to call it at the same point."""
        return -self._largest(-value)

    def _largest(self, value: int) -> int:
        if self.hosts == 1:
            return value
        largest = self.strategy.run(_maximum, args=(tf.constant(value, tf.int64), self.host, self.hosts))
        return int(self.strategy.experimental_local_results(largest)[0])

    @contextmanager
    def writable(self, folder: Path) -> Iterator[Path]:
        """Yield the folder that this host writes to: the run's on the first host, a temporary one on the others.

        The others do write: saving reads variables that are spread over the hosts, which takes all of them.
        """
        if self.host == 0:
            yield folder
        else:
            with TemporaryDirectory() as nowhere:
                yield Path(nowhere)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let the first host alone print."""
        if self.host == 0:
            yield
        else:
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                yield


@tf.function(autograph=False)
def _maximum(value: tf.Tensor, host: int, hosts: int) -> tf.Tensor:
    # A sum over replicas is what collectives have for integers: every host fills a place of its own.
    own = tf.one_hot(host, hosts, dtype=tf.int64) * value
    context = tf.distribute.get_replica_context()
    replicas_a_host = context.num_replicas_in_sync // hosts
    return tf.reduce_max(context.all_reduce(tf.distribute.ReduceOp.SUM, own) // replicas_a_host)


def choose(name: str, logical_devices: int | None = None, deterministic: bool = False) -> Devices:
    """Return the devices to train on. Call it before TensorFlow does anything else.

    `name` is "one", "mirrored" (all GPUs of this host), "multi-worker" (the hosts of TF_CONFIG or SLURM), or "auto":
    several hosts or several GPUs where they are there, else one device. `logical_devices` divides this host's CPU, or
    its first GPU, into so many, to try a strategy. `deterministic` leaves TensorFlow only operations that give the same
    bits every time.
    """
    # float32 means float32: TensorFlow would round it to 10 bits on GPUs of 2020 and later. R3GAN's authors turn that
    # off too, and its 4x4 stage stays in float32 for its precision. bfloat16 is the way to more speed.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = own_gpus(tf.config.list_physical_devices("GPU"))
    tf.config.set_visible_devices(gpus, "GPU")
    if logical_devices:
        _divide(gpus, logical_devices)
    else:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    if name == "auto":
        name = _detect(len(gpus), logical_devices)
    if name == "multi-worker":
        return _multi_worker(logical_devices if gpus and logical_devices else len(gpus))
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


def check_batch_size(devices: Devices, batch_size: int) -> None:
    """Raise UsageError where the global batch does not divide over the devices."""
    if batch_size % devices.replicas:
        down = batch_size - batch_size % devices.replicas
        raise UsageError(
            f"A batch of {batch_size} does not divide over {devices.replicas} devices. "
            f"Use --batch-size {down or devices.replicas}."
        )


def describe(devices: Devices, batch_size: int) -> str:
    """Return one line: the strategy, the devices, the batch."""
    names = ", ".join(name.split("/")[-1].removeprefix("device:") for name in devices.strategy.extended.worker_devices)
    where = f"{names} of each of {devices.hosts} hosts" if devices.hosts > 1 else names
    return f"Strategy {devices.name} over {where}; batch {batch_size}, {batch_size // devices.replicas} per device."


def self_test(devices: Devices) -> None:
    """Raise ClickException where a sum over all devices is wrong, as with some GPUs and drivers.

    TensorFlow's issues 90686 and 105552.
    """

    @tf.function(autograph=False)
    def total() -> tf.Tensor:
        def one() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            values = tf.fill([1024], tf.cast(context.replica_id_in_sync_group, tf.float32) + 1.0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

        return devices.strategy.experimental_local_results(devices.strategy.run(one))

    expected = devices.replicas * (devices.replicas + 1) / 2
    if any(not np.all(values == expected) for values in total()):
        raise ClickException(
            "The devices do not add up: a sum over all of them came out wrong. Update the GPU driver, set "
            "NCCL_P2P_DISABLE=1, or use --strategy one."
        )


def _divide(gpus: list, count: int) -> None:
    # A reduction between logical devices waits for all of them, so each needs a thread.
    tf.config.threading.set_inter_op_parallelism_threads(max(2 * count, os.cpu_count() or 1))
    if gpus:
        part = tf.config.LogicalDeviceConfiguration(memory_limit=LOGICAL_GPU_MB)
        tf.config.set_logical_device_configuration(gpus[0], [part] * count)
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)


def _detect(gpus: int, logical_devices: int | None) -> str:
    if (described := cluster()) and len(described.hosts) > 1:
        return "multi-worker"
    return "mirrored" if max(gpus, logical_devices or 1) > 1 else "one"


def _multi_worker(num_gpus: int) -> Devices:
    described = cluster()
    if not described:
        raise UsageError(
            "--strategy multi-worker needs TF_CONFIG, or srun with several tasks in a SLURM job, to say which hosts "
            "there are."
        )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(described.addresses),
        task_type=described.role,
        task_id=described.index,
        num_accelerators={"GPU": num_gpus},
        rpc_layer="grpc",
    )
    try:
        over_hosts = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        address = described.addresses[described.role][described.index]
        raise UsageError(
            f"This host cannot join the others as {address} ({error.message.splitlines()[0]}): "
            "another process may have this port."
        ) from None
    return Devices(
        "multi-worker", over_hosts, described.hosts.index((described.role, described.index)), len(described.hosts)
    )
