"""The hosts of a run, as the environment describes them: TF_CONFIG, or SLURM's job step."""

from __future__ import annotations

import json
import os

import tensorflow as tf
from click import UsageError

_ROLES = ("chief", "worker")
"""Of TF_CONFIG, as Vertex AI and Kubeflow name the hosts that train; the first of them is the first host."""


def hosts_in_tf_config() -> list[tuple[str, int]]:
    """Return role and index of each host of TF_CONFIG that trains, in order: the chief, if there is one, then workers.

    Raises:
        UsageError: it is not the description of a cluster, or this host has another role in it.
    """
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        cluster, task = config.get("cluster", {}), config.get("task", {})
        hosts = [(role, index) for role in _ROLES for index in range(len(cluster.get(role, [])))]
        here = (task.get("type", "worker"), int(task.get("index", 0)))
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"The environment variable TF_CONFIG is not the JSON of a cluster: {error}") from None
    if cluster and here not in hosts:
        raise UsageError(
            f"TF_CONFIG makes this host {here[0]} {here[1]} of a cluster of {', '.join(cluster)}. "
            f"Training takes {' and '.join(_ROLES)} hosts alone: start it on those."
        )
    return hosts


def tasks_of_slurm() -> int:
    """Return the number of tasks of this job step. SLURM_NTASKS is the job's: without srun there is one process."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS") or 1) if "SLURM_PROCID" in os.environ else 1


def cluster_of_slurm(tasks: int) -> tf.train.ClusterSpec:
    """Return the addresses of the tasks of this job step.

    The numbers of GPUs are only there because TensorFlow's resolver asks nvidia-smi otherwise, and fails without GPUs.
    """
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver
    return slurm(gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False).cluster_spec()


def own_gpus(gpus: list) -> list:
    """Return this task's share of its node's GPUs, where SLURM shows all of them to each of several tasks."""
    tasks_here = int(os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1").partition("(")[0].partition(",")[0])
    share = len(gpus) // tasks_here
    if tasks_of_slurm() == 1 or share == 0 or "SLURM_GPUS_PER_TASK" in os.environ:
        return gpus
    first = int(os.environ.get("SLURM_LOCALID", 0)) * share
    return gpus[first : first + share]
