"""What the files in deploy/ start: the command and the environment of each task, as SLURM and Kubernetes make them."""

import os
import re
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.documents import ROOT, text_of

DEPLOY = ROOT / "deploy"


class Started(NamedTuple):
    """A command, and the variables that are set for it."""

    command: list[str]
    environment: dict[str, str]


def put_programs(place: Path, python: str) -> dict[str, str]:
    """Put programs where the files look for them: a Python that does this, in a shell, and srun. Return their PATH."""
    for name, text in {"bin/python": python, ".venv/bin/python": python, "bin/srun": 'shift; exec "$@"'}.items():
        program = place / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return {"PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def of_slurm(name: str, task: int, nodes: str = "") -> Started:
    """A task of an array, or of a step on these `nodes`: one, which stands for all of them."""
    given = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", text_of(DEPLOY / name), re.MULTILINE))
    environment = {"SLURM_CPUS_PER_TASK": given["cpus-per-task"]}
    if "array" in given:
        return Started(["bash", str(DEPLOY / name)], environment | {"SLURM_ARRAY_TASK_ID": str(task)})
    tasks = int(given["nodes"]) * int(given["ntasks-per-node"])
    step = {
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": str(tasks),
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_PROCID": str(task),
        "SLURM_LOCALID": str(task),
    }
    return Started(["bash", str(DEPLOY / name)], environment | step)


def documents(name: str) -> dict[str, dict]:
    """The objects of a file for Kubernetes, by kind."""
    return {document["kind"]: document for document in yaml.safe_load_all(text_of(DEPLOY / name))}


def of_kubernetes(name: str, index: int) -> Started:
    """The pod with this index. A value sees the variables above it, a command all of them."""
    [container] = documents(name)["Job"]["spec"]["template"]["spec"]["containers"]
    environment: dict[str, str] = {}
    for entry in container.get("env", []):
        if "valueFrom" in entry:
            assert entry["valueFrom"]["fieldRef"]["fieldPath"].endswith("['batch.kubernetes.io/job-completion-index']")
        environment[entry["name"]] = _expanded(entry["value"], environment) if "value" in entry else str(index)
    environment.setdefault("JOB_COMPLETION_INDEX", str(index))
    return Started([_expanded(word, environment) for word in container["command"]], environment)


def _expanded(text: str, environment: dict[str, str]) -> str:
    return re.sub(r"\$\(([\w.-]+)\)", lambda match: environment.get(match[1], match[0]), text)
