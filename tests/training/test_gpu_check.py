"""The check that is made for GPUs, on devices of a CPU: it works, and what does not hold is a line that says so."""

import importlib
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.command import Command
from training.loop.machine import this_machine

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "gpu_check.py"


@pytest.fixture(scope="module")
def gpu_check():
    sys.path.insert(0, str(PROGRAM.parent))
    yield importlib.import_module("gpu_check")
    sys.path.remove(str(PROGRAM.parent))


def test_it_compares_and_reports(gpu_check, tmp_path, monkeypatch):
    """Only a device that is divided needs a process of its own; `auto` is `one` on a CPU, which is done once."""
    in_a_process, here = gpu_check.run_job, cache(gpu_check.run_here)
    monkeypatch.setattr(
        gpu_check, "run_job", lambda job: in_a_process(job) if job.split else here(replace(job, strategy="one"))
    )
    asked = ("--small", "--device", "cpu", "--only", "strategies")
    Command(gpu_check.main).succeeds(*asked, "--out", tmp_path / "gpu-check.md")
    report = (tmp_path / "gpu-check.md").read_text()
    assert "TensorFlow 2." in report.splitlines()[0]
    assert "| one device divided in two, losses of the first step | yes |" in report
    assert "| no |" not in report


def test_without_a_gpu_it_says_what_to_install(gpu_check, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "machine_of", lambda device: str(this_machine()))
    refused = Command(gpu_check.main).is_refused("--small", "--out", tmp_path / "gpu-check.md")
    assert "tensorflow[and-cuda]" in refused
    assert not (tmp_path / "gpu-check.md").exists()


def test_a_check_that_there_is_not_is_refused(gpu_check, tmp_path):
    refused = Command(gpu_check.main).is_refused("--only", "memory,speeed", "--out", tmp_path / "gpu-check.md")
    assert "'speeed'" in refused
    assert "kill_and_continue" in refused


def test_losses_that_differ_do_not_hold(gpu_check):
    def outcome(*losses):
        return gpu_check.Outcome([list(pair) for pair in losses], 1.0, 1.0, 1)

    one, other = outcome((1.0, 2.0), (1.0, float("nan"))), outcome((1.0, 2.0), (1.5, float("nan")))
    assert one.apart(other, 1) == 0
    assert one.apart(other, 2) == 0.5
    assert gpu_check.within("a", 0.5, 0.3).holds == "no"
    assert gpu_check.within("a", float("nan"), 0.3).holds == "no"
    assert gpu_check.within("a", 0.2, 0.3).holds == "yes"
    assert not outcome((float("nan"), 1.0)).is_finite
    assert one.apart(outcome((1.0, float("inf")), (1.0, 1.0)), 1) == float("inf")


def test_a_job_that_breaks_is_named(gpu_check, tmp_path):
    with pytest.raises(gpu_check.Broken, match="no shards there"):
        gpu_check.run_job(gpu_check.Job("classic", str(tmp_path), "cpu"))


def test_what_would_not_end_in_time_is_left_out_and_the_report_says_so(gpu_check, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "machine_of", lambda device: "a slow one")
    output = Command(gpu_check.main).succeeds(
        "--small", "--device", "cpu", "--minutes", 1e-9, "--out", tmp_path / "gpu-check.md"
    )
    report = (tmp_path / "gpu-check.md").read_text()
    for check in gpu_check.CHECKS:
        assert f"| {check.__name__.replace('_', ' ')} | left out | about " in report
    assert "7 checks were left out" in output


def test_lines_are_in_the_report_as_soon_as_they_are_known(gpu_check, tmp_path, monkeypatch):
    out = tmp_path / "gpu-check.md"

    def two_lines(base):
        yield gpu_check.Line("first", "yes", "1")
        assert "| first | yes | 1 |" in out.read_text()
        yield gpu_check.Line("second", "no", "2")

    monkeypatch.setattr(gpu_check, "machine_of", lambda device: "a machine")
    monkeypatch.setattr(gpu_check, "CHECKS", {two_lines: 2})
    ended = Command(gpu_check.main)("--small", "--device", "cpu", "--out", out)
    assert ended.exit_code == 1
    assert "two lines, about 0 s:\n" in ended.output
    assert "| second | no | 2 |" in out.read_text()
    assert "1 of 2 lines do not hold" in ended.output
