import re
from dataclasses import replace

import pytest

from tests.training.every_preset import config_of, over_two
from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training.data.shards import find
from training.loop.forecast import forecast
from training.loop.timetable import clock
from training.presets import PRESETS


def test_a_duration_is_in_hours_minutes_and_seconds():
    assert (clock(29.6), clock(7_170), clock(360_000)) == ("0:00:30", "1:59:30", "100:00:00")


def test_a_forecast_is_of_the_run_on_its_devices(tmp_path):
    write_shards(tmp_path / "data", numbered_images(20, 8), (20,))
    config = replace(config_of(replace(PRESETS["classic"], batch_size=4)), photos=20)
    report = forecast(config, find([str(tmp_path / "data")]), over_two(), 3_600_000)
    assert [line.partition(":")[0] for line in report.splitlines()[:2]] == ["generator", "discriminator"]
    assert "with 2 images per device" in report
    seconds, images = re.search(r"A step takes ([\d.]+) s, ([\d,.]+) images/s", report).groups()
    assert float(images.replace(",", "")) == pytest.approx(4 / float(seconds), rel=0.2)
    hours = int(re.search(r"all 3,600,000 steps (\d+):", report)[1])
    assert hours == pytest.approx(1_000 * float(seconds), abs=2)
