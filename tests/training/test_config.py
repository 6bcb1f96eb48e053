import json
from dataclasses import replace

import pytest
from click import UsageError

from training import config as configs
from training.config import Config
from training.presets import PRESETS, CosineSchedule

HERE = {"processor": "EPYC", "instructions": "AVX2"}
CONFIG = Config("classic", PRESETS["classic"], 0, "train", 1000, "abc", (64, 64, 1), cache=True)


def test_a_saved_config_is_the_same_after_loading(tmp_path):
    configs.save(tmp_path, CONFIG, HERE)
    assert configs.differences(configs.load(tmp_path).config, CONFIG) == []


def test_every_difference_is_listed_with_both_values(tmp_path):
    configs.save(tmp_path, CONFIG, HERE)
    other = replace(CONFIG, seed=7, method=replace(CONFIG.method, lr_g=CosineSchedule(0.5), clip_norm=1.0))
    assert configs.differences(configs.load(tmp_path).config, other) == [
        "seed: 0 in the run, 7 asked for",
        "lr_g: 0.0002 in the run, 0.5 asked for",
        "clip_norm: none in the run, 1.0 asked for",
    ]


def test_what_is_no_run_is_named_with_where_runs_are(tmp_path):
    generator = tmp_path / "generator.keras"
    generator.touch()
    with pytest.raises(UsageError, match=r"generator\.keras is not a run .* under runs/"):
        configs.load_with_generator(generator)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config\.json cannot be read .* under runs/"):
        configs.load_with_generator(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "something else"}', "\xff"])
def test_a_file_that_is_not_a_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(UsageError, match=r"config\.json"):
        configs.load(tmp_path)


def test_a_run_is_its_config_and_a_generator(tmp_path):
    with pytest.raises(UsageError, match=r"is not a run \(it has no config\.json\)"):
        configs.load_with_generator(tmp_path)
    configs.save(tmp_path, CONFIG, HERE)
    with pytest.raises(UsageError, match=r"generator\.keras is not there yet"):
        configs.load_with_generator(tmp_path)
    (tmp_path / "generator.keras").touch()
    config, path = configs.load_with_generator(tmp_path)
    assert (config, path) == (CONFIG, tmp_path / "generator.keras")


def test_how_a_run_is_computed_may_change_and_what_it_learns_may_not(tmp_path):
    configs.save(tmp_path, CONFIG, HERE)
    saved = configs.load(tmp_path).config
    how = replace(CONFIG, micro_batch=2, jit=True, method=replace(CONFIG.method, precision="bfloat16"))
    assert configs.differences(saved, how) == []
    for name in ("preset", "seed", "train_on", "photos", "data", "cache", "condition", "init"):
        [line] = configs.differences(saved, replace(CONFIG, **{name: "another"}))
        assert line.startswith(name)


@pytest.mark.parametrize("name", ["latent", "photos", "jit", "machine", "another"])
def test_a_config_has_all_settings_and_no_other(tmp_path, name):
    configs.save(tmp_path, CONFIG, HERE)
    values = json.loads((tmp_path / "config.json").read_text())
    changed = {key: value for key, value in values.items() if key != name} if name in values else values | {name: 1}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(UsageError, match="is not the config of a run"):
        configs.load(tmp_path)
