"""The pages in docs/: both languages have the same code, and the code runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import Command
from tests.training.test_export import run_of
from training import draw
from training.explore import directions
from training.explore.directions import Directions
from training.explore.layers import describe
from training.export import main as export
from training.sample import main as sample

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path for path in DOCS.glob("*.md") if not path.name.endswith(".ko.md"))


def code_of(path):
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_both_languages_have_the_same_code_and_name_each_other(path):
    korean = path.with_name(f"{path.stem}.ko.md")
    assert code_of(path) == code_of(korean)
    assert f"({korean.name})" in path.read_text(encoding="utf-8")
    assert f"({path.name})" in korean.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    run = tmp_path_factory.mktemp("docs") / "run"
    run_of(run, "lite")
    directions.save(run, Directions(("Smiling",), np.eye(1, 64, dtype=np.float32), np.ones(1, np.float32)))
    for form in ("onnx", "litert", "saved_model"):
        Command(export).succeeds("--run", run, "--format", form)
    return run


def test_every_example_of_export_draws_the_same_faces(exported, monkeypatch):
    monkeypatch.chdir(exported)
    *drawing, moving = code_of(DOCS / "export.md")
    assert len(drawing) == 4
    found = []
    for code in drawing:
        names = {}
        exec(code, names)
        found.append(names["images"])
        assert found[-1].shape == (16, 16, 16, 1)
        np.testing.assert_allclose(found[-1], found[0], atol=1e-5)
    names = {}
    exec(moving, names)
    by_python = directions.load(exported).edit(names["z"], {"Smiling": 2.0}, "normal")
    np.testing.assert_allclose(names["moved"], by_python, rtol=1e-5)


def test_what_stage_1_needs_alone_is_a_part_of_what_all_needs():
    def packages(name):
        lines = (DOCS.parent / name).read_text(encoding="utf-8").splitlines()
        return {line.partition("#")[0].strip() for line in lines} - {""}

    alone = packages("requirements-preprocess.txt")
    assert alone < packages("requirements.txt")
    imported = set()
    for path in (DOCS.parent / "preprocess").rglob("*.py"):
        imported |= set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert not imported & {"tensorflow", "keras", "scipy", "matplotlib"}
    names = {re.split(r"[<>=]", line)[0].replace("-", "_") for line in alone}
    assert names == (imported & {"numpy", "tqdm", "click", "google_crc32c", "filelock"}) | {"pillow"}


MODEL = DOCS / "models/lite"


def test_the_generator_of_the_docs_draws_the_picture_of_the_docs(tmp_path):
    out = tmp_path / "faces.png"
    Command(sample).succeeds("--run", MODEL, "--count", 64, "--out", out)
    drawn, shown = (np.asarray(Image.open(path)).astype(int) for path in (out, MODEL / "faces.png"))
    assert np.abs(drawn - shown).max() <= 3, "processors round differently"
    said = Command(sample).succeeds("--run", MODEL, "--strip", "Smiling", "--out", out)
    assert "earlier state" not in said
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 10_000_000


def test_the_page_of_the_docs_has_the_generator_of_the_docs():
    [data] = re.findall(r'<script id="data"[^>]*>(.*?)</script>', (DOCS / "faces.html").read_text(encoding="utf-8"))
    assert json.loads(data)["layers"] == describe(draw.load(MODEL / "generator.keras"))
    assert (DOCS / "faces.html").stat().st_size < 3_000_000


def test_both_model_cards_have_the_same_commands_and_figures():
    cards = [(MODEL / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md")]
    assert len({tuple(re.findall(r"```.*?```", card, re.DOTALL)) for card in cards}) == 1
    figures = [sorted(re.findall(r"\d+\.\d+|\d+%|\d+,\d+", card)) for card in cards]
    assert set(figures[0]) - {"0.95"} == set(figures[1]) - {"0.95"}  # million parameters
    scores = json.loads((MODEL / "evaluation.json").read_text())["scores"]
    assert f"{scores['train']['frechet']:.3g} / {scores['held_out']['frechet']:.3g}" in cards[0]
