from dataclasses import replace

import pytest
import tensorflow as tf

from tests.training.every_preset import config_of
from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training.data.shards import find
from training.loop.forecast import Forecast, measure
from training.loop.strategy import Devices, mirrored
from training.presets import PRESETS


def test_hours_minutes_and_seconds_of_an_epoch_and_of_the_run():
    config = config_of(PRESETS["classic"])  # 1,000 photos: 15 steps of 64
    said = Forecast(["generator: ..."], 32, 2.0, 1_234.4).text(config, 3_585)
    assert said.startswith("generator: ...\n")
    assert "A step takes 2.000 s, 32.0 images/s, with 32 images per device; 1,234 MB at most." in said
    assert "An epoch takes 0:00:30, all 3,585 steps 1:59:30." in said


@pytest.mark.parametrize("devices", [1, 2])
def test_a_forecast_is_of_the_run_on_its_devices(tmp_path, devices):
    write_shards(tmp_path / "data", numbered_images(20, 8), (20,))
    config = replace(config_of(replace(PRESETS["classic"], batch_size=4)), photos=20)
    names = [device.name for device in tf.config.list_logical_devices("CPU")[:devices]]
    over = Devices("any", mirrored(names) if devices > 1 else tf.distribute.OneDeviceStrategy(names[0]))
    found = measure(config, find([str(tmp_path / "data")]), over)
    assert found.images_per_device == 4 // devices
    assert 0 < found.step_seconds < 60
    assert found.memory_mb > 10
    assert [line.partition(":")[0] for line in found.networks] == ["generator", "discriminator"]
