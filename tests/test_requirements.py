"""What is installed: for stage 1 alone, and exactly the versions that were tested."""

import re
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
    cluster = {"distributed"}  # requirements-cluster.txt
    assert names == {
        {"PIL": "pillow"}.get(name, name)
        for name in imported - sys.stdlib_module_names - {"preprocess", "system"} - cluster
    }


def test_the_lock_is_within_the_bounds_and_names_no_host():
    lock = text_of(ROOT / "requirements-lock.txt")
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", lock, re.MULTILINE))
    for requirement in map(Requirement, packages("requirements.txt")):
        assert locked[requirement.name] in requirement.specifier, requirement
    assert lock.count(" \\\n    --hash=sha256:") >= len(locked)
    assert "://" not in lock
