"""The files of deploy/: what each of their tasks is told to do. tests/training/loop/test_hosts.py trains under them."""

import json
import subprocess

import pytest
import yaml

from preprocess import run as preprocess
from preprocess.plan import Part
from tests.deployed import DEPLOY, documents, of_kubernetes, of_slurm, put_programs
from tests.documents import text_of
from training import run as training


@pytest.fixture
def options(tmp_path):
    """What the command line of a task means, as the program that it starts understands it."""
    path = put_programs(tmp_path, python="printf '%s\\n' \"$@\"")

    def understood(command, environment):
        printed = subprocess.run(
            command, cwd=tmp_path, env=environment | path, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        _, module, *arguments = printed.splitlines()
        program = {"preprocess.run": preprocess, "training.run": training}[module]
        return program.main.make_context(module, arguments).params

    return understood


def test_each_task_of_stage_1_makes_a_part(options):
    assert "\n#SBATCH --array=1-16\n" in text_of(DEPLOY / "preprocess.sbatch")
    assert documents("preprocess.yaml")["Job"]["spec"]["completions"] == 16
    for number in (1, 3, 16):
        for task in (of_slurm("preprocess.sbatch", number), of_kubernetes("preprocess.yaml", number - 1)):
            assert options(*task)["part"] == Part(number, 16)


def test_all_hosts_of_a_run_are_given_one_folder(options):
    tasks = [of_slurm("train.sbatch", 1), of_kubernetes("train.yaml", 0), of_kubernetes("train.yaml", 1)]
    first, second = yaml.safe_load(text_of(DEPLOY / "vertex.yaml"))["workerPoolSpecs"]
    assert first["replicaCount"] == 1
    assert first["containerSpec"] == second["containerSpec"]
    for command, environment in [*tasks, (first["containerSpec"]["command"], {})]:
        understood = options(command, environment)
        assert understood["out"].name == understood["preset"] == "r3gan"


def test_the_pods_of_a_run_find_each_other():
    files = documents("train.yaml")
    service, job = files["Service"], files["Job"]
    name, spec = job["metadata"]["name"], job["spec"]
    assert service["spec"]["selector"] == {"job-name": name}
    assert spec["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    for index in range(spec["completions"]):
        config = json.loads(of_kubernetes("train.yaml", index).environment["TF_CONFIG"])
        hosts = [address.partition(":")[0] for address in config["cluster"]["worker"]]
        assert hosts == [f"{name}-{pod}.{service['metadata']['name']}" for pod in range(spec["parallelism"])]
        assert config["task"] == {"type": "worker", "index": index}
    assert spec["completions"] == spec["parallelism"]
