"""The machine that computes a run: its processor, its memory, and the precision in which it can train a network."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil
import tensorflow as tf
from click import UsageError

from system.limits import usable_cores, usable_memory
from training.models.networks import FAMILIES
from training.models.precision import computing_in
from training.models.step import outputs_and_squared_gradient
from training.presets import Precision

# Flags of /proc/cpuinfo, the widest first, as processors are described with them.
_INSTRUCTIONS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512_vnni": "AVX-512 with VNNI",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX2 with VNNI",
    "avx2": "AVX2",
    "avx": "AVX",
    "sve": "SVE",
    "asimd": "NEON",
}
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
# Limits under which oneDNN has no bfloat16 at all; under others it may emulate it.
_WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI"}
_WITHOUT_AVX512_BFLOAT16 = _WITHOUT_BFLOAT16 | {"AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


@dataclass(frozen=True)
class Machine:
    """What the bits of a run may depend on, besides its settings."""

    processor: str
    instructions: str  # the widest vector instructions, after any limit that the environment sets for oneDNN
    cores: int  # those that this process may use
    onednn: bool  # whether TensorFlow computes with oneDNN's kernels
    tensorflow: str
    gpus: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        gpus = ", ".join(f"{self.gpus.count(name)} x {name}" for name in dict.fromkeys(self.gpus)) or "no GPU"
        onednn = "on" if self.onednn else "off"
        return (
            f"{self.processor}, {self.instructions}, {self.cores} cores; oneDNN {onednn}; "
            f"TensorFlow {self.tensorflow}; {gpus}"
        )


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    cpuinfo = _cpuinfo()
    flags = (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
    instructions = next((name for flag, name in _INSTRUCTIONS.items() if flag in flags), platform.machine())
    limit = _onednn_limit()
    details = map(tf.config.experimental.get_device_details, tf.config.get_visible_devices("GPU"))
    return Machine(
        processor=cpuinfo.get("model name") or _name_of_a_mac() or platform.processor() or platform.machine(),
        instructions=f"{instructions} (oneDNN: {limit} at most)" if limit else instructions,
        cores=usable_cores(),
        onednn=has_onednn(),
        tensorflow=tf.__version__,
        gpus=tuple(detail.get("device_name", "GPU") for detail in details),
    )


@lru_cache
def has_onednn() -> bool:
    """Whether TensorFlow computes with oneDNN on this CPU, tried in 0.2 s.

    Only oneDNN has the gradient of a grouped convolution; variables say what was asked for, not what there is.
    """
    images, kernel = tf.ones([1, 1, 1, 2]), [1, 1, 1, 2]
    try:
        with tf.device("CPU"):
            tf.raw_ops.Conv2DBackpropFilter(
                input=images, filter_sizes=kernel, out_backprop=images, strides=[1, 1, 1, 1], padding="VALID"
            )
    except tf.errors.OpError:
        return False
    return True


def onednn_advice() -> str:
    """Return what to do where oneDNN is off, else "". TensorFlow for macOS has none."""
    if sys.platform == "darwin" or has_onednn():
        return ""
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() in ("0", "false"):
        return "oneDNN, which trains up to three times as fast, is off: unset TF_ENABLE_ONEDNN_OPTS."
    return (
        "oneDNN, which trains up to three times as fast, is off: import training before tensorflow, "
        "or set TF_ENABLE_ONEDNN_OPTS=1 before."
    )


def fits_in_memory(num_bytes: int) -> bool:
    """Whether so many bytes take at most a quarter of the memory that is free."""
    return 4 * num_bytes <= usable_memory(psutil.virtual_memory().available)


def memory_mb() -> float:
    """Return the peak memory so far in MB: of the first GPU, or of this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def choose_precision(network: str, width: float, wanted: Precision, is_given: bool) -> tuple[Precision, str]:
    """Return the precision that a run computes in, and why it is not the one that was wanted, or "".

    Unless the user gave it (`is_given`), bfloat16 gives way to float32 where this machine is no faster in it.
    Raises UsageError where TensorFlow cannot train these networks here, or not in the precision that was given.
    """
    remark = ""
    if wanted == "bfloat16" and not is_given and not has_fast_bfloat16():
        wanted, remark = "float32", f"{network} computes in float32, since this machine has no fast bfloat16."
    if tf.config.get_visible_devices("GPU") or can_train(network, width, wanted):
        return wanted, remark
    if wanted == "float32" or not can_train(network, width, "float32"):
        raise UsageError(
            f"TensorFlow cannot compute the gradients of {network} on this processor. {onednn_advice()}".rstrip()
        )
    raise UsageError(f"This processor cannot train {network} in {wanted}. Use --precision float32.")


def has_fast_bfloat16() -> bool:
    """Whether this machine multiplies in bfloat16 faster than in float32.

    GPUs of compute capability 8.0 (2020) and later do, and under oneDNN processors with AMX, and AMD's with
    AVX512-BF16. Intel's without AMX, as many virtual machines have them, train `lite` 1.4 times as fast in float32.
    """
    if gpus := tf.config.get_visible_devices("GPU"):
        details = map(tf.config.experimental.get_device_details, gpus)
        return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
    cpuinfo, limit = _cpuinfo(), _onednn_limit()
    flags = cpuinfo.get("flags", "").split()
    has_amx = "amx_bf16" in flags and (not limit or "AMX" in limit)
    is_fast_amd = cpuinfo.get("vendor_id") == "AuthenticAMD" and "avx512_bf16" in flags
    return has_onednn() and (has_amx or (is_fast_amd and limit not in _WITHOUT_AVX512_BFLOAT16))


@lru_cache
def can_train(network: str, width: float, precision: str) -> bool:
    """Whether TensorFlow has all gradients of these networks on this CPU, tried on images of 8x8 in 0.2 to 0.7 s.

    On CPUs only oneDNN has the gradients of grouped convolutions, in bfloat16 only with AVX-512 or newer instructions.
    """
    if precision == "float32" and has_onednn():
        return True
    if precision == "bfloat16" and has_onednn() and _onednn_limit() in _WITHOUT_BFLOAT16:
        return False  # TensorFlow does not know of the limit, and its process would be aborted
    with computing_in(precision):
        generator = FAMILIES[network].generator((8, 8, 1), 4, min(width, 0.125))
        discriminator = FAMILIES[network].discriminator((8, 8, 1), min(width, 0.125))

    @tf.function(autograph=False)
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            images = generator(tf.ones([2, 4]), training=True)
            noise = [tf.ones([2, *entry.shape[1:]]) for entry in discriminator.inputs[1:]]
            logits, squared = outputs_and_squared_gradient(
                lambda images: discriminator([images, *noise], training=True), images
            )
            total = tf.reduce_sum(logits) + tf.reduce_sum(squared)
        return tape.gradient(total, [*generator.trainable_variables, *discriminator.trainable_variables])

    try:
        gradients()
    except tf.errors.OpError:
        return False
    return True


def _onednn_limit() -> str:
    """The widest instructions that the environment allows oneDNN: "AVX2" and the like, "" for all."""
    limit = next((os.environ[name].upper() for name in _LIMITS if os.environ.get(name)), "")
    return "" if limit in ("ALL", "DEFAULT") else limit


def _name_of_a_mac() -> str:
    if sys.platform != "darwin":
        return ""
    ask = ["sysctl", "-n", "machdep.cpu.brand_string"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor."""
    pairs = (line.partition(":") for line in _read(Path("/proc/cpuinfo")).split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
