"""What is installed: for stage 1 alone, and exactly the versions that were tested."""

import re
import shutil
import subprocess
import sys

from packaging.requirements import Requirement

from tests.documents import ROOT, text_of


def packages(name):
    lines = text_of(ROOT / name).splitlines()
    return {line.partition("#")[0].strip() for line in lines} - {""}


def test_what_stage_1_needs_alone_is_a_part_of_what_all_needs():
    alone = packages("requirements-preprocess.txt")
    assert alone < packages("requirements.txt")
    imported = set()
    for path in [*(ROOT / "preprocess").rglob("*.py"), *(ROOT / "system").rglob("*.py")]:
        imported |= set(re.findall(r"^\s*(?:from|import) (\w+)", text_of(path), re.MULTILINE))
    assert not imported & {"tensorflow", "keras", "scipy", "matplotlib"}
    names = {re.split(r"[<>=]", line)[0].replace("-", "_") for line in alone}
    extras = {"distributed", "obstore"}  # requirements-cluster.txt, requirements-bucket.txt
    assert names == {
        {"PIL": "pillow"}.get(name, name)
        for name in imported - sys.stdlib_module_names - {"preprocess", "system"} - extras
    }


def test_every_package_is_bounded_and_the_newest_are_tested_without_their_upper_bounds(tmp_path):
    [command] = re.findall("run: (ls .*)", text_of(ROOT / ".github/workflows/newest.yml"))
    for path in ROOT.glob("requirements*.txt"):
        shutil.copy(path, tmp_path)
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    for path in ROOT.glob("requirements*[!k].txt"):  # all but the lock
        for before, after in zip(sorted(packages(path)), sorted(packages(tmp_path / path.name)), strict=True):
            bound, _ = sorted(str(Requirement(before).specifier).split(","))
            assert bound.startswith("<"), before
            assert after == (before if "dev" in path.name else before.replace(f",{bound}", ""))


def test_the_lock_is_within_the_bounds_and_names_no_host():
    lock = text_of(ROOT / "requirements-lock.txt")
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", lock, re.MULTILINE))
    for requirement in map(Requirement, packages("requirements.txt")):
        assert locked[requirement.name] in requirement.specifier, requirement
    assert lock.count(" \\\n    --hash=sha256:") >= len(locked)
    assert "://" not in lock
