"""The benchmark of presets, as far as it can be tried without minutes of training."""

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from click import UsageError


@pytest.fixture(scope="module")
def presets():
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module("presets")
    sys.path.remove(folder)


def test_scores_of_two_feature_spaces_are_not_mixed(presets, tmp_path):
    run = presets.Run(tmp_path, "lite --no-flip")
    presets.check_features(run, "abc")  # not begun
    run.folder.mkdir()
    (run.folder / "config.json").write_text("{}")
    scored = asdict(presets.Scored(5.0, 600.0, 1e5, {"train": {"frechet": 4.0}}, "abc"))
    run.scores.write_text(json.dumps([scored]))
    presets.check_features(run, "abc")
    for others, name in ([scored | {"features": "def"}], "def"), ([{**scored, "features": ""}], ""):
        run.scores.write_text(json.dumps([scored, *others]))
        with pytest.raises(UsageError, match=rf"lite-no-flip\.scores\.json .*\({name}\).* \(abc\)"):
            presets.check_features(run, "abc")
