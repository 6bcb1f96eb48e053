"""The page, and what it shows of a run."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explore.directions import rescoring
from explore.directions.directions import Directions
from explore.page.layers import Layer
from system.files import parsed_json
from training import config as configs
from training.config import Config
from training.data import labels
from training.metrics import HELD_OUT, METRICS, TRAIN

MAX_SLIDERS = 28  # of `lite` 21 directions are calibrated; the best of the others, as Male, come after them
MAX_SAMPLES = 12  # grids of samples, spread over the training
SAMPLE_PIXELS = 256  # side of what is shown of a grid: its upper left corner
MAX_SIDE = 4096  # of a picture in pixels: larger ones are made smaller, as WebP ends at 16,383


def page(title: str | None, data: Mapping[str, Any]) -> str:
    """Return the HTML; without a title it has one in the reader's language."""
    parts = {
        "TITLE": html.escape(title or "Faces that do not exist"),
        "STYLE": _file("style.css"),
        "ENGINE": _file("engine.js"),
        "APP": _file("app.js"),
        "TEXTS": _file("texts.json"),
        # "</script>" within it would end the element.
        "DATA": json.dumps({**data, "title": title}, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    text = _file("page.html")
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


def _file(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def data_of(
    folder: Path,
    config: Config,
    layers: list[Layer],
    directions: Directions | None,
    generator: str,
    face: int,
    truncation: float,
    photos: Image.Image | None,
) -> dict[str, Any]:
    """Return what the page shows of the run in `folder`, as JSON has it.

    `generator` is its digest: figures of another one are left out. The page begins with the face of this number, and
    with this truncation, which its links leave out; it hides the photos until its reader asks for them.
    """
    space, scores = _scores(folder / "evaluation.json", generator)
    saved = configs.load(folder)
    settings = {**configs.rows(config), **(saved.machine if saved else {}), **_speed(folder)}
    return {
        "layers": layers,
        "shape": list(config.image_shape),
        "latent": config.method.latent,
        "face": face,
        "truncation": truncation,
        "distribution": config.method.latent_distribution,
        "conditions": list(config.conditions),
        **(_labels(labels.load(folder)) if config.conditions else {"combinations": [], "exclusive": []}),
        "directions": _sliders(directions, rescoring.load_own(folder)) if directions else [],
        "report": {
            "charts": _charts(folder),
            "samples": _samples(folder / "samples"),
            "photos": photos and _picture(photos),
            "space": space,
            "scores": scores,
            "metrics": [[name, "lower" if metric.lower_is_better else "higher"] for name, metric in METRICS.items()],
            "settings": [[name, str(value)] for name, value in settings.items()],
        },
    }


def _labels(frequencies: labels.LabelFrequencies) -> dict[str, Any]:
    rows = zip(frequencies.combinations.astype(int).tolist(), frequencies.photos.tolist(), strict=True)
    return {
        "combinations": [{"labels": labels, "photos": photos} for labels, photos in rows],
        "exclusive": list(frequencies.exclusive),
        "may_have_none": frequencies.may_have_none,
    }


def _sliders(directions: Directions, own: Mapping[str, float]) -> list[dict[str, Any]]:
    """Calibrated directions first, then those that change their own attribute most, by the judge."""
    fields = zip(directions.names, directions.vectors.round(5).tolist(), directions.is_calibrated.tolist(), strict=True)
    rows = [{"name": name, "vector": vector, "calibrated": is_calibrated} for name, vector, is_calibrated in fields]
    return sorted(rows, key=lambda row: (not row["calibrated"], -own.get(row["name"], 0.0)))[:MAX_SLIDERS]


def _charts(folder: Path) -> list[dict[str, Any]]:
    """The losses by epoch, and each metric of training.run --metrics by thousands of images."""
    losses = _rows(folder / "history.csv", ["epoch", "d_loss", "g_loss"])
    charts = [{"of": "losses", "names": ["D", "G"], "rows": losses}] if len(losses) > 1 else []
    for name in METRICS:
        for splits in ((TRAIN, HELD_OUT), (TRAIN,)):  # the latter where no photos were held out
            columns = [name if split == TRAIN else f"{name}_{split}" for split in splits]
            rows = _rows(folder / "metrics.csv", ["kimg", *columns])
            if len(rows) > 1:
                charts.append({"of": name, "names": splits, "rows": rows})
                break
    return charts


def _speed(folder: Path) -> dict[str, str]:
    """Photos per second of wall-clock time; nothing before the first epoch has ended."""
    epochs = _rows(folder / "history.csv", ["images_seen", "seconds"])
    seconds = sum(spent for _, spent in epochs)
    return {"photos_per_second (wall clock)": f"{epochs[-1][0] / seconds:.3g}"} if seconds else {}


def _rows(path: Path, names: Sequence[str]) -> list[list[float]]:
    """The rows of a CSV that have a number in each of these columns; none where there is no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [[float(row[name] or "nan") for name in names] for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [row for row in rows if all(map(math.isfinite, row))]


def _samples(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("epoch-*.png"))
    spread = [paths[round(index)] for index in np.linspace(0, len(paths) - 1, min(len(paths), MAX_SAMPLES))]
    return [{"epoch": int(path.stem.partition("-")[2]), "picture": _picture(_corner(path))} for path in spread]


def _corner(path: Path) -> Image.Image:
    with Image.open(path) as grid:
        return grid.crop((0, 0, min(grid.width, SAMPLE_PIXELS), min(grid.height, SAMPLE_PIXELS)))


def _picture(image: Image.Image) -> str:
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _scores(path: Path, generator: str) -> tuple[str | None, dict[str, Any]]:
    """The feature space and the figures of training.evaluate; none where they are of another generator."""
    try:
        evaluation = parsed_json(path.read_bytes(), parse_constant=lambda name: None)
        if evaluation["generator"] == generator:
            return (evaluation["features"] or {}).get("name"), evaluation["scores"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or a damaged one
        pass
    return None, {}
