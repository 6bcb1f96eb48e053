import json
from dataclasses import replace
from pathlib import Path

import pytest
from click import UsageError

from training import config as configs
from training.config import Config
from training.presets import PRESETS
from training.schedule import CosineSchedule

OLDER = Path(__file__).parent / "older_version"

HERE = {"processor": "EPYC", "instructions": "AVX2", "cores": 2, "gpus": ()}
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
        "clip_norm: None in the run, 1.0 asked for",
    ]


def test_no_config_is_no_run(tmp_path):
    assert configs.load(tmp_path) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "something else"}'])
def test_a_file_that_is_not_a_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match=r"config\.json"):
        configs.load(tmp_path)


def test_a_setting_that_an_older_version_did_not_have_is_its_default():
    """config.json of a run from before --width: it has no width, and is continued where none is asked for."""
    saved = configs.load(OLDER).config
    assert "width" not in json.loads((OLDER / "config.json").read_text())
    then = replace(CONFIG, photos=640, data="6af6c8babf61d735")
    assert (saved.micro_batch, saved.jit) == (None, False)
    assert configs.differences(saved, then) == []
    other = replace(then, method=replace(then.method, width=0.5))
    assert configs.differences(saved, other) == ["width: 1.0 in the run, 0.5 asked for"]


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
    for name in ("preset", "seed", "train_on", "photos", "data", "cache"):
        [line] = configs.differences(saved, replace(CONFIG, **{name: "another"}))
        assert line.startswith(name)


def test_a_setting_of_a_newer_version_is_named(tmp_path):
    configs.save(tmp_path, CONFIG, HERE)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "spin": 1}))
    with pytest.raises(UsageError, match=r"config\.json has settings that this version does not know: spin\."):
        configs.load(tmp_path)


def test_another_machine_is_said_and_the_same_one_is_not(tmp_path):
    configs.save(tmp_path, CONFIG, HERE)
    saved = configs.load(tmp_path).machine
    assert configs.machine_changes(saved, HERE) == ""
    said = configs.machine_changes(saved, {**HERE, "instructions": "AVX512", "cores": 8})
    assert "(instructions AVX2 -> AVX512; cores 2 -> 8)" in said
    assert configs.machine_changes(configs.load(OLDER).machine, HERE) == "", "a run of an older version does not say"
    assert configs.machine_changes({"cores": 2}, HERE) == ""


def test_an_epoch_has_whole_batches():
    assert CONFIG.steps_per_epoch == 1000 // 64 == 15


def test_the_table_is_aligned():
    assert configs.table({"a": 1, "long": "x"}) == "  a     1\n  long  x"


@pytest.mark.parametrize("name", ["latent", "network", "preset", "photos"])
def test_a_config_without_what_every_run_has_is_damaged(tmp_path, name):
    configs.save(tmp_path, CONFIG, HERE)
    values = json.loads((tmp_path / "config.json").read_text())
    del values[name]
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(UsageError, match="is not the config of a run"):
        configs.load(tmp_path)
