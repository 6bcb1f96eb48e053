"""The hosts of a run, as the environment describes them: TF_CONFIG, or SLURM's job step."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass

import tensorflow as tf
from click import UsageError

from system.files import parsed_json

# Of TF_CONFIG, as Vertex AI names the hosts that train; the first of them is the first host.
_ROLES = ("chief", "worker")
_EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The hosts that train together, and which of them this one is."""

    addresses: dict[str, list[str]]  # host:port of each, by role
    role: str
    index: int  # among the hosts of this role, from 0

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """Role and index of each host; the first one writes the run."""
        return [(role, index) for role in _ROLES for index in range(len(self.addresses.get(role, [])))]


def cluster() -> Cluster | None:
    """Return the cluster that TF_CONFIG or, without it, SLURM describes; None where this process trains alone.

    Raises UsageError where the description is wrong or lacks something, or this process is none of those that train.
    """
    return _cluster_of_tf_config(os.environ.get("TF_CONFIG") or "{}") or _cluster_of_slurm()


def own_gpus(gpus: list) -> list:
    """Return this task's share of its node's GPUs, where SLURM shows all of them to each of several tasks."""
    if len(gpus) < 2 or "SLURM_GPUS_PER_TASK" in os.environ or _tasks_of_slurm() == 1:
        return gpus
    share = len(gpus) // max(1, _slurm_number("SLURM_STEP_TASKS_PER_NODE", "1"))
    first = _slurm_number("SLURM_LOCALID", "0") * share
    return gpus[first : first + share] if share else gpus


def _cluster_of_tf_config(text: str) -> Cluster | None:
    try:
        config = parsed_json(text)
    except ValueError as error:
        raise _wrong_tf_config(f"is not JSON ({error})") from None
    if not isinstance(config, dict):
        raise _wrong_tf_config("is not a JSON object")
    described, task = config.get("cluster") or {}, config.get("task") or {}
    if not described:
        return None
    if not isinstance(described, dict) or not all(isinstance(hosts, list) for hosts in described.values()):
        raise _wrong_tf_config("has no list of hosts for each role in its cluster")
    addresses = {role: described[role] for role in _ROLES if described.get(role)}
    counted = Counter(address for hosts in addresses.values() for address in map(str, hosts))
    if bad := [address for address in counted if not _is_address(address)]:
        raise _wrong_tf_config(f"names the host {bad[0]!r}, which is not host:port")
    if twice := [address for address, count in counted.items() if count > 1]:
        raise _wrong_tf_config(f"names {twice[0]} twice: each process needs a port of its own")
    if len(addresses.get("chief", [])) > 1:
        raise _wrong_tf_config("has more than one chief")
    if not isinstance(task, dict) or not str(task.get("index", "")).isdecimal():
        raise _wrong_tf_config("has no task with the index of this host")
    cluster = Cluster(addresses, task.get("type", "worker"), int(task["index"]))
    if (cluster.role, cluster.index) not in cluster.hosts:
        counts = " and ".join(f"{len(hosts)} {role}" for role, hosts in addresses.items()) or "neither"
        raise UsageError(
            f"TF_CONFIG makes this host {cluster.role} {cluster.index}, counted from 0. Training takes "
            f"{' and '.join(_ROLES)} hosts alone, and the cluster has {counts}: start it on those."
        )
    return cluster


def _wrong_tf_config(fault: str) -> UsageError:
    return UsageError(f"The environment variable TF_CONFIG {fault}. It has to look like this: {_EXAMPLE}")


def _is_address(address: str) -> bool:
    match = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})", address)
    return match is not None and 0 < int(match[1]) < 65536


def _tasks_of_slurm() -> int:
    """Return the number of tasks of this job step. SLURM_NTASKS is the job's: without srun there is one process."""
    if "SLURM_PROCID" not in os.environ:
        return 1
    tasks = _slurm_number("SLURM_STEP_NUM_TASKS", "1")
    if _slurm_number("SLURM_PROCID") >= tasks:
        raise UsageError(
            f"SLURM_PROCID makes this process task {os.environ['SLURM_PROCID']}, counted from 0, of the {tasks} of "
            "SLURM_STEP_NUM_TASKS. Start it with srun."
        )
    return tasks


def _cluster_of_slurm() -> Cluster | None:
    tasks = _tasks_of_slurm()
    if tasks == 1:
        return None
    # Steps may share a node: each has 16 ports of its own, below those that systems give to whoever asks for any.
    step = 7 * _slurm_number("SLURM_JOB_ID", "0") + _slurm_number("SLURM_STEP_ID", "0")
    try:
        # The numbers of GPUs are only there because this asks nvidia-smi otherwise, and fails without GPUs.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=10_000 + 16 * (step % 1_000), gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            "SLURM_STEP_NODELIST and SLURM_STEP_TASKS_PER_NODE have to say where the tasks of this step run "
            f"({error}). Start it with srun."
        ) from None
    return Cluster(resolver.cluster_spec().as_dict(), "worker", _slurm_number("SLURM_PROCID"))


def _slurm_number(name: str, default: str = "") -> int:
    """Return the number in a variable, the first one where it lists the tasks of nodes: 2(x3),1."""
    text = os.environ.get(name) or default
    match = re.fullmatch(r"([0-9]+)([(,].*)?", text)
    if not match:
        raise UsageError(f"The environment variable {name} is {text!r}, not a number. Start this with srun.")
    return int(match[1])
