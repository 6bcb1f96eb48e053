"""The trained generator in docs/ draws the pictures and has the figures of docs/."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from explore.directions import directions
from explore.page import build
from explore.page.layers import describe
from explore.sample import main as sample
from tests.command import Command
from tests.documents import DOCS, MODEL, text_of
from tests.explore.by_the_page import apart, drawn
from training import draw


def test_the_generator_of_the_docs_draws_the_picture_of_the_docs(tmp_path):
    out = tmp_path / "faces.png"
    Command(sample).succeeds("--run", MODEL, "--count", 64, "--out", out)
    faces, shown = (np.asarray(Image.open(path)).astype(int) for path in (out, MODEL / "faces.png"))
    assert np.abs(faces - shown).max() <= 3, "processors round differently"
    output = Command(sample).succeeds("--run", MODEL, "--strip", "Smiling", "--out", out)
    assert "earlier state" not in output
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 10_000_000


@pytest.fixture(scope="module")
def data():
    """What the page of the docs holds."""
    [text] = re.findall(r'<script id="data"[^>]*>(.*?)</script>', text_of(DOCS / "faces.html"))
    return json.loads(text)


def test_the_page_of_the_docs_is_what_is_built_today_of_what_is_in_the_docs(data):
    assert text_of(DOCS / "faces.html") == build.page(data["title"], data)
    assert (DOCS / "faces.html").stat().st_size < 3_000_000
    assert data["layers"] == describe(draw.load(MODEL / "generator.keras"))
    moves = directions.load(MODEL)
    for entry in data["directions"]:
        vector = moves.vectors[moves.names.index(entry["name"])]
        np.testing.assert_allclose(entry["vector"], vector, atol=1e-5)
    assert data["report"]["scores"] == json.loads((MODEL / "evaluation.json").read_text())["scores"]


def test_the_page_of_the_docs_draws_the_faces_of_keras(data):
    z = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    expected = np.asarray(draw.load(MODEL / "generator.keras")(z, training=False))
    assert apart(drawn(data["layers"], {"z": z}), expected) < 2


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_card_has_the_figures_of_the_evaluation(name):
    card, scores = text_of(MODEL / name), json.loads((MODEL / "evaluation.json").read_text())["scores"]
    for metric in ("frechet", "kid", "swd", "precision", "recall"):
        assert f"{scores['train'][metric]:.3g} / {scores['held_out'][metric]:.3g}" in card
        assert f"{scores['floor'][metric]:.3g}" in card


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_card_has_the_figures_of_the_judge(name):
    card = text_of(MODEL / name)
    with (MODEL / "directions.csv").open(newline="") as file:
        rows = {row["direction"]: row for row in csv.DictReader(file)}
    for attribute in ("Male", "Smiling", "Eyeglasses"):
        shares = {other: float(share) for other, share in rows[attribute].items() if other in rows}
        own = shares.pop(attribute)
        assert f"{own:.0%}" in card
        assert f"{np.mean(list(shares.values())):.1%}" in card
