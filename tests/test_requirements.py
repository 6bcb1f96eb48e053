"""What stage 1 needs alone."""

import re
import sys

from tests.documents import ROOT, text_of


def test_what_stage_1_needs_alone_is_a_part_of_what_all_needs():
    def packages(name):
        lines = text_of(ROOT / name).splitlines()
        return {line.partition("#")[0].strip() for line in lines} - {""}

    alone = packages("requirements-preprocess.txt")
    assert alone < packages("requirements.txt")
    imported = set()
    for path in (ROOT / "preprocess").rglob("*.py"):
        imported |= set(re.findall(r"^\s*(?:from|import) (\w+)", text_of(path), re.MULTILINE))
    assert not imported & {"tensorflow", "keras", "scipy", "matplotlib"}
    names = {re.split(r"[<>=]", line)[0].replace("-", "_") for line in alone}
    cluster = {"distributed"}  # requirements-cluster.txt
    assert names == {
        {"PIL": "pillow"}.get(name, name) for name in imported - sys.stdlib_module_names - {"preprocess"} - cluster
    }
