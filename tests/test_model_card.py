"""The trained generator in docs/ draws the pictures and has the figures of docs/."""

import json
import re

import numpy as np
from PIL import Image

from tests.command import Command
from tests.documents import DOCS, MODEL, text_of
from training import draw
from training.explore.layers import describe
from training.sample import main as sample


def test_the_generator_of_the_docs_draws_the_picture_of_the_docs(tmp_path):
    out = tmp_path / "faces.png"
    Command(sample).succeeds("--run", MODEL, "--count", 64, "--out", out)
    drawn, shown = (np.asarray(Image.open(path)).astype(int) for path in (out, MODEL / "faces.png"))
    assert np.abs(drawn - shown).max() <= 3, "processors round differently"
    said = Command(sample).succeeds("--run", MODEL, "--strip", "Smiling", "--out", out)
    assert "earlier state" not in said
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 10_000_000


def test_the_page_of_the_docs_has_the_generator_of_the_docs():
    [data] = re.findall(r'<script id="data"[^>]*>(.*?)</script>', text_of(DOCS / "faces.html"))
    assert json.loads(data)["layers"] == describe(draw.load(MODEL / "generator.keras"))
    assert (DOCS / "faces.html").stat().st_size < 3_000_000


def test_the_card_has_the_figures_of_the_evaluation():
    scores = json.loads((MODEL / "evaluation.json").read_text())["scores"]
    assert f"{scores['train']['frechet']:.3g} / {scores['held_out']['frechet']:.3g}" in text_of(MODEL / "README.md")
