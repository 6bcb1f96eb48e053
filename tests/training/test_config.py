from dataclasses import replace

import pytest
from click import UsageError

from training import config as configs
from training.config import Config
from training.presets import PRESETS

CONFIG = Config("classic", PRESETS["classic"], 0, "train", 1000, "abc", (64, 64, 1), cache=True)


def test_a_saved_config_is_the_same_after_loading(tmp_path):
    configs.save(tmp_path, CONFIG)
    assert configs.differences(configs.load(tmp_path), CONFIG) == []


def test_every_difference_is_listed_with_both_values(tmp_path):
    configs.save(tmp_path, CONFIG)
    other = replace(CONFIG, seed=7, method=replace(CONFIG.method, lr_g=0.5, clip_norm=1.0))
    assert configs.differences(configs.load(tmp_path), other) == [
        "seed: 0 in the run, 7 asked for",
        "lr_g: 0.0002 in the run, 0.5 asked for",
        "clip_norm: None in the run, 1.0 asked for",
    ]


def test_no_config_is_no_run(tmp_path):
    assert configs.load(tmp_path) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "something else"}'])
def test_a_file_that_is_not_a_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match=r"config\.json"):
        configs.load(tmp_path)
