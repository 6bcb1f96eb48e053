"""Processors are not alike: what is said of this one, and what is done on one that can do less."""

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict

import pytest
import tensorflow as tf
from click import UsageError

from training import config as configs
from training.loop import machine
from training.loop.machine import Machine, choose_precision, this_machine

HERE = asdict(Machine("EPYC", "AVX2", 2, True, "2.21.0", ()))


def steps_of(*presets, **settings):
    """What a process with these settings in its environment says of each preset."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    process = subprocess.run(
        [sys.executable, "-m", "tests.training.every_preset", *presets],
        env={**environment, **settings}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return {line["preset"]: line for line in map(json.loads, process.stdout.splitlines())}


def test_a_network_with_grouped_convolutions_trains_with_avx2_alone():
    """Their gradient is in oneDNN alone; bfloat16 gives way to float32."""
    line = steps_of("r3gan", ONEDNN_MAX_CPU_ISA="AVX2")["r3gan"]
    assert line["precision"] == "float32"
    assert all(map(math.isfinite, line["losses"]))


def test_without_onednn_what_needs_it_is_refused_and_others_train():
    lines = steps_of("lite", "r3gan", TF_ENABLE_ONEDNN_OPTS="0")
    assert "unset TF_ENABLE_ONEDNN_OPTS" in lines["r3gan"]["refused"]
    assert all(map(math.isfinite, lines["lite"]["losses"]))


@pytest.fixture
def without_bfloat16(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    machine.can_train.cache_clear()
    yield
    machine.can_train.cache_clear()


def test_a_precision_that_was_asked_for_is_refused_where_it_cannot_be_had(without_bfloat16):
    with pytest.raises(UsageError, match="cannot train r3gan in bfloat16"):
        choose_precision("r3gan", 1.0, "bfloat16", is_given=True)


def test_a_precision_of_the_preset_gives_way_and_it_is_said(without_bfloat16):
    assert choose_precision("r3gan", 1.0, "bfloat16", is_given=False) == (
        "float32", "r3gan computes in float32, since this machine has no fast bfloat16."
    )  # fmt: skip
    assert choose_precision("r3gan", 1.0, "float32", is_given=True) == ("float32", "")


def test_a_precision_of_the_preset_stays_where_the_machine_is_fast_in_it(monkeypatch):
    monkeypatch.setattr(machine, "has_fast_bfloat16", lambda: True)
    monkeypatch.setattr(machine, "can_train", lambda *_: True)
    assert choose_precision("r3gan", 1.0, "bfloat16", is_given=False) == ("bfloat16", "")


@pytest.mark.parametrize(
    ("vendor", "flags", "limit", "onednn", "is_fast"),
    [
        ("AuthenticAMD", "avx2 avx512f avx512_bf16", "", True, True),
        ("AuthenticAMD", "avx2 avx512f avx512_bf16", "avx512_core_vnni", True, False),
        ("AuthenticAMD", "avx2 avx512f avx512_bf16", "", False, False),
        ("AuthenticAMD", "avx2 avx512f", "", True, False),
        ("GenuineIntel", "avx2 avx512f avx512_bf16 amx_bf16", "ALL", True, True),
        ("GenuineIntel", "avx2 avx512f avx512_bf16 amx_bf16", "avx512_core_amx", True, True),
        ("GenuineIntel", "avx2 avx512f avx512_bf16 amx_bf16", "avx512_core_bf16", True, False),
        ("GenuineIntel", "avx2 avx512f avx512_bf16", "", True, False),  # a virtual machine that hides AMX
        ("GenuineIntel", "avx2", "", True, False),
    ],
)
def test_a_processor_is_fast_in_bfloat16_where_its_instructions_for_it_are(
    monkeypatch, vendor, flags, limit, onednn, is_fast
):
    monkeypatch.setattr(machine, "_read", lambda path: f"vendor_id\t: {vendor}\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    monkeypatch.setattr(machine, "has_onednn", lambda: onednn)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert machine.has_fast_bfloat16() == is_fast


@pytest.mark.parametrize(("capability", "is_fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_is_fast_in_bfloat16_from_8_0_on(monkeypatch, capability, is_fast):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a", "b"] if kind == "GPU" else [])
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details",
        lambda gpu: {"compute_capability": (9, 0) if gpu == "a" else capability},
    )  # fmt: skip
    assert machine.has_fast_bfloat16() == is_fast


def test_where_training_is_imported_first_onednn_is_on():
    assert this_machine().onednn
    assert machine.onednn_advice() == ""


def test_where_tensorflow_was_imported_first_it_is_said_what_to_do(monkeypatch):
    """On a processor without AVX512-VNNI, where oneDNN is off by default."""
    monkeypatch.setattr(machine, "has_onednn", lambda: False)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert not this_machine().onednn
    assert "is off: import training before tensorflow" in machine.onednn_advice()


def test_the_machine_is_described_as_linux_describes_it(monkeypatch):
    cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu sse2 avx avx2 avx512f\n\nprocessor\t: 1\n"
    monkeypatch.setattr(machine, "_read", lambda path: cpuinfo)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert (this_machine().processor, this_machine().instructions) == (
        "Some CPU @ 2 GHz", "AVX-512 (oneDNN: AVX2 at most)"
    )  # fmt: skip


def test_a_run_says_that_another_machine_continues_it():
    saved = json.loads(json.dumps(HERE))
    assert configs.machine_changes(saved, HERE) == ""
    warning = configs.machine_changes(saved, HERE | {"instructions": "AVX-512", "tensorflow": "2.21.1"})
    assert "instructions AVX2 -> AVX-512; tensorflow 2.21.0 -> 2.21.1" in warning
    assert "bits may differ" in warning


def test_photos_are_cached_where_they_take_a_quarter_of_the_memory_at_most(monkeypatch):
    quarter = 100 * 16 * 16
    monkeypatch.setattr(machine, "usable_memory", lambda free: 4 * quarter)
    assert machine.fits_in_memory(quarter)
    monkeypatch.setattr(machine, "usable_memory", lambda free: 4 * quarter - 1)
    assert not machine.fits_in_memory(quarter)


def test_the_memory_that_is_free_is_that_of_this_machine():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine.fits_in_memory(total // 4000)
    assert not machine.fits_in_memory(total // 4 + 1)
