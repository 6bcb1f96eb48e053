"""Everything of stage 2 that could be different on a GPU, in about ten minutes: one table of what holds and what not.

make gpu-check, or: python tests/benchmarks/gpu_check.py [--out gpu-check.md]

Each check runs in processes of its own, so that one that crashes or hangs is a line in the table. Before it begins, it
says how long it takes, by the processes before it; what would end after --minutes is left out, and the report, which
is written anew after each line, says so. It names the machine; please paste it into an issue. With --device cpu --small
the same program runs on logical CPU devices.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
from measure import ROOT, table

from system.files import write_text

TIMEOUT_S = 300
# Bounds of losses that should be equal, as parts of the largest: of the first step, and of the first 20. Rounding moves
# a LeakyReLU's input over zero now and then, and Adam's first steps turn that into steps of the learning rate: on 1 and
# on 4 CPU devices the presets differ by up to 2e-1.
FIRST_STEP, ALL_STEPS = 1e-3, 0.3
BFLOAT16 = 0.1  # the same in bfloat16, which has 8 bits, of the first step
BIASES = 0.12  # of gradients of biases in bfloat16 against float32: summed in bfloat16 they are 0.87 off
# With the width at which losses are compared.
PRESETS = {"classic": 1.0, "dcgan": 1.0, "wgan-gp": 1.0, "sngan": 1.0, "lite": 1.0, "r3gan": 0.125}

LEFT_OUT = "left out"


@dataclass(frozen=True)
class Job:
    """Some steps of a preset in a process of its own."""

    preset: str
    shards: str
    device: str  # "gpu" or "cpu"
    steps: int = 20
    batch_size: int = 16
    width: float = 1.0
    precision: str = "float32"
    jit: bool = False
    deterministic: bool = False
    strategy: str = "one"
    split: int | None = None  # divide the device into so many
    micro_batch: int | None = None
    is_constant: bool = False  # whether one batch stays in memory in place of shards that are read


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    losses: list[list[float]]  # D's and G's of each step; NaN for a step without an update of G
    images_per_second: float  # of the second half of the steps
    memory_mb: float
    devices: int

    def apart(self, other: Outcome, steps: int) -> float:
        """The largest difference of a loss over the first steps, as a part of the largest loss."""
        if not (self.is_finite and other.is_finite):
            return float("inf")
        here, there = (np.nan_to_num(outcome.losses)[:steps] for outcome in (self, other))
        return float(np.max(np.abs(here - there) / np.maximum(np.max(np.abs(here), axis=0), 1e-6)))

    @property
    def is_finite(self) -> bool:
        """Whether every loss is; G's is NaN in a step that does not update it, and D's in the next if G's was."""
        d_losses, g_losses = np.transpose(self.losses)
        return bool(np.isfinite(d_losses).all() and not np.isinf(g_losses).any())


@dataclass(frozen=True)
class Line:
    """A line of the report."""

    check: str
    holds: str  # "yes", "no", LEFT_OUT, or "" for a figure without a bound
    figure: str
    bound: str = ""


class Broken(Exception):
    """A job that ended with an error; the message is its last line."""


def run_here(job: Job) -> Outcome:
    """Take the steps of a job in this process."""
    from training.command import startup_messages_hidden
    from training.data.shards import find

    photos = find([job.shards])
    with startup_messages_hidden():
        import tensorflow as tf

        from training.batch import Batch
        from training.config import Config
        from training.data.reading import read_images
        from training.loop.engine import build_on, compile_steps, global_batches, means
        from training.loop.machine import memory_mb
        from training.loop.strategy import choose, self_test
        from training.presets import PRESETS

        devices = choose(job.strategy, job.split, job.deterministic)
    method = replace(PRESETS[job.preset], batch_size=job.batch_size, width=job.width, precision=job.precision)
    config = Config(
        job.preset, method, 0, "train", photos.count, "", photos.image_shape, False, job.micro_batch, job.jit
    )
    self_test(devices)
    gan, progress = build_on(devices, config)
    take = compile_steps(gan, progress, config, devices)
    batches = global_batches(config, photos, devices, 0)
    if job.is_constant:
        images = read_images(photos.first(job.batch_size))
        batches = devices.batches(tf.data.Dataset.from_tensors(Batch(images)).repeat())
    losses = [means(take(batches, tf.constant(1, tf.int64)).numpy(), 1)[:2] for _ in range(job.steps // 2)]
    began = time.perf_counter()
    losses += [means(take(batches, tf.constant(1, tf.int64)).numpy(), 1)[:2] for _ in range(job.steps - len(losses))]
    rate = (job.steps - job.steps // 2) * job.batch_size / (time.perf_counter() - began)
    return Outcome(losses, rate, memory_mb(), devices.replicas)


def bias_error(device: str) -> float:
    """How far r3gan's gradients of biases in bfloat16 are from those in float32, in a process of its own."""
    program = (
        "import numpy as np\n"
        "from tests.training.models.test_bias_gradient import of_biases\n"
        "pairs = zip(of_biases('r3gan', 'float32'), of_biases('r3gan', 'bfloat16'))\n"
        "print(max(np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in pairs))"
    )
    return float(_python(device, "-c", "import training\n" + program))


def machine_of(device: str) -> str:
    """What this machine is, from a process of its own. Raises Broken."""
    return _python(device, "-c", "from training.loop.machine import this_machine\nprint(this_machine())")


def run_job(job: Job) -> Outcome:
    """Take the steps of a job in a process of its own. Raises Broken."""
    return Outcome(**json.loads(_python(job.device, __file__, "--job", json.dumps(asdict(job)))))


def _python(device: str, *arguments: str) -> str:
    """Run Python, on the CPU without any GPU in sight; return its last line. Raises Broken."""
    command, environment = [sys.executable, *arguments], _environment(device)
    try:
        done = subprocess.run(command, env=environment, cwd=ROOT, timeout=TIMEOUT_S, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        raise Broken(f"no end after {TIMEOUT_S} s") from None
    lines = [line for line in (done.stdout if done.returncode == 0 else done.stderr).splitlines() if line.strip()]
    if done.returncode or not lines:
        raise Broken((lines or [f"exit status {done.returncode}"])[-1][:160])
    return lines[-1]


def _environment(device: str) -> dict[str, str]:
    return {**os.environ, **({"CUDA_VISIBLE_DEVICES": "-1"} if device == "cpu" else {})}


def within(check: str, value: float, bound: float) -> Line:
    """A line that holds where a value is within its bound."""
    return Line(check, "yes" if value <= bound else "no", f"{value:.1e}", f"{bound:g}")


def losses_against_the_cpu(base: Job) -> Iterator[Line]:
    """The same steps of each preset here and on the CPU, in float32; then in bfloat16 and compiled by XLA."""
    for preset, width in PRESETS.items():
        job = replace(base, preset=preset, width=width)
        here, cpu = run_job(job), run_job(replace(job, device="cpu"))
        yield within(f"{preset}: losses of the first step against the CPU", here.apart(cpu, 1), FIRST_STEP)
        yield within(f"{preset}: losses of {job.steps} steps against the CPU", here.apart(cpu, job.steps), ALL_STEPS)
        try:
            half = run_job(replace(job, precision="bfloat16"))
        except Broken as error:
            yield Line(f"{preset}: bfloat16", "no", str(error))
        else:
            yield within(f"{preset}: bfloat16, losses of the first step", here.apart(half, 1), BFLOAT16)
        if preset in ("classic", "lite"):
            compiled = run_job(replace(job, jit=True))
            yield within(f"{preset}: --jit, losses of the first step", here.apart(compiled, 1), FIRST_STEP)


def biases(base: Job) -> Iterator[Line]:
    """Gradients of biases in bfloat16."""
    yield within("r3gan: gradients of biases in bfloat16", bias_error(base.device), BIASES)


def determinism(base: Job) -> Iterator[Line]:
    """The same bits twice."""
    for preset in ("classic", "lite"):
        job = replace(base, preset=preset, deterministic=True)
        same = run_job(job).losses == run_job(job).losses
        yield Line(f"{preset}: --deterministic twice, the same bits", "yes" if same else "no", "")


def memory(base: Job) -> Iterator[Line]:
    """Micro-batches take less memory, and learn the same."""
    job = replace(base, preset="lite", batch_size=8 * base.batch_size)
    whole, parts = run_job(job), run_job(replace(job, micro_batch=base.batch_size))
    less = "yes" if parts.memory_mb < whole.memory_mb or base.device == "cpu" else "no"
    yield Line("--micro-batch takes less memory", less, f"{parts.memory_mb:,.0f} of {whole.memory_mb:,.0f} MB")


def strategies(base: Job) -> Iterator[Line]:
    """One device divided in two, and all that there are."""
    one = run_job(base)
    two = run_job(replace(base, strategy="mirrored", split=2))
    yield within("one device divided in two, losses of the first step", one.apart(two, 1), FIRST_STEP)
    yield within(f"one device divided in two, losses of {base.steps} steps", one.apart(two, base.steps), ALL_STEPS)
    every = run_job(replace(base, strategy="auto"))
    yield within(f"all {every.devices} devices, losses of {base.steps} steps", one.apart(every, base.steps), ALL_STEPS)


def kill_and_continue(base: Job) -> Iterator[Line]:
    """A run that is killed and continued ends with the bits of one that was not."""
    with tempfile.TemporaryDirectory() as place:
        common = ["--shards", base.shards, "--batch-size", base.batch_size, "--kimg", 60 * base.batch_size / 1000]
        common += ["--save-kimg", 10 * base.batch_size / 1000, "--deterministic", "--strategy", "one"]

        def command(name: str) -> list[str]:
            return [sys.executable, "-m", "training.run", *map(str, common), "--out", f"{place}/{name}"]

        environment = _environment(base.device)
        killed = subprocess.Popen(command("killed"), env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + TIMEOUT_S
        is_saved = False
        while not is_saved and killed.poll() is None and time.monotonic() < deadline:
            is_saved = any(Path(place).glob("killed/checkpoints/*.index"))
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        for name in ("killed", "undisturbed"):
            subprocess.run(command(name), env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=TIMEOUT_S)
        rows = [_losses(Path(place, name, "history.csv")) for name in ("killed", "undisturbed")]
        yield Line("killed and continued, the same bits", "yes" if rows[0] == rows[1] else "no", "")


def _losses(history: Path) -> list[str]:
    return [line.rsplit(",", 2)[0] for line in history.read_text().splitlines()]  # without the seconds


def speed(base: Job) -> Iterator[Line]:
    """Images/s of each preset as it stands, and what reading the shards costs."""
    fast = replace(base, steps=4 * base.steps, batch_size=4 * base.batch_size)
    streamed, constant = run_job(fast), run_job(replace(fast, is_constant=True))
    share = streamed.images_per_second / constant.images_per_second
    figure = f"{streamed.images_per_second:,.0f} images/s, {share:.2f} of one constant batch"
    yield Line("classic, from shards", "", figure)
    for preset, precisions in dict.fromkeys(PRESETS, ("float32", "bfloat16")).items():
        for precision in precisions:
            width = PRESETS[preset] if base.device == "cpu" else 1.0
            try:
                done = run_job(replace(fast, preset=preset, precision=precision, width=width))
            except Broken as error:
                yield Line(f"{preset} in {precision}", "no", str(error))
                continue
            figure = f"{done.images_per_second:,.0f} images/s, {done.memory_mb:,.0f} MB"
            holds = "yes" if done.is_finite else "no"
            yield Line(f"{preset} in {precision}, batches of {fast.batch_size}, finite losses", holds, figure)


CHECKS: dict[Callable[[Job], Iterator[Line]], int] = {
    biases: 1, losses_against_the_cpu: 20, determinism: 4, memory: 2, strategies: 3, kill_and_continue: 3, speed: 14,
}  # fmt: skip
"""The checks, in their order, with how many processes each starts; a short one first tells how long the others take."""


def checks_named(_context: click.Context, _parameter: click.Parameter, value: str) -> list[Callable]:
    """Read --only."""
    by_name = {check.__name__: check for check in CHECKS}
    names = value.split(",") if value else list(by_name)
    if unknown := [name for name in names if name not in by_name]:
        raise click.BadParameter(f"there is no check {unknown[0]!r}, but {', '.join(by_name)}.")
    return [check for name, check in by_name.items() if name in names]


@dataclass
class Clock:
    """How long the checks have taken, to tell how long the next will take."""

    minutes: float
    began: float
    processes: int = 0

    def seconds_for(self, processes: int) -> float:
        """Return how long so many processes take, by those so far."""
        return processes * (time.monotonic() - self.began) / self.processes

    def has_time_for(self, processes: int) -> bool:
        """Whether they would end in time."""
        return time.monotonic() - self.began + self.seconds_for(processes) <= 60 * self.minutes


def run_check(check: Callable[[Job], Iterator[Line]], base: Job, clock: Clock) -> Iterator[Line]:
    """Yield the lines of a check, or one that says why there are no more; announce it first."""
    name, processes = check.__name__.replace("_", " "), CHECKS[check]
    seconds = clock.seconds_for(processes)
    if not clock.has_time_for(processes):
        yield Line(name, LEFT_OUT, f"about {seconds:.0f} s, more than is left of --minutes {clock.minutes:g}")
        return
    print(f"{name}, about {seconds:.0f} s:", flush=True)
    try:
        yield from check(base)
    except (Broken, OSError, subprocess.SubprocessError) as error:
        yield Line(name, "no", str(error))
    clock.processes += processes


def write_report(out: Path, machine: str, lines: list[Line]) -> None:
    """Write the machine and the table of all lines so far."""
    rows = [(line.check, line.holds, line.figure, line.bound) for line in lines]
    write_text(out, f"{machine}\n\n{table(('check', 'holds', 'figure', 'bound'), rows)}\n")


def write_photos(folder: Path, side: int, count: int) -> None:
    """Write shards of smooth images: what matters of a photo here."""
    from tests.training.shards_by_tensorflow import write_shards

    coarse = np.random.default_rng(0).uniform(0, 255, (count, side // 8, side // 8, 1))
    write_shards(folder, np.kron(coarse, np.ones((1, 8, 8, 1))).astype(np.uint8), (count // 2, count - count // 2))


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="gpu-check.md", help="The report.")
@click.option("--device", type=click.Choice(["gpu", "cpu"]), default="gpu", help="What is checked.")
@click.option("--small", is_flag=True, help="Small images and few steps, to see that this program works.")
@click.option("--only", "checks", default="", callback=checks_named, help="Checks, by commas, in place of all.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=10.0, help="How long all may take.")
@click.option("--job", hidden=True)
def main(out: Path, device: str, small: bool, checks: list[Callable], minutes: float, job: str | None) -> None:
    """Check stage 2 on the GPUs of this machine."""
    if job:
        print(json.dumps(asdict(run_here(Job(**json.loads(job))))))
        return
    with tempfile.TemporaryDirectory() as place:
        write_photos(Path(place, "shards"), 16 if small else 64, 64 if small else 4096)
        base = Job("classic", f"{place}/shards", device, steps=4 if small else 20, batch_size=4 if small else 16)
        clock = Clock(minutes, time.monotonic())
        try:
            machine = machine_of(device)
        except Broken as error:
            raise click.ClickException(f"Nothing can be computed here: {error}") from None
        clock.processes = 1
        if device == "gpu" and machine.endswith("no GPU"):
            raise click.UsageError('TensorFlow sees no GPU. Install "tensorflow[and-cuda]" in place of tensorflow.')
        print(machine, flush=True)
        lines: list[Line] = []
        for check in checks:
            for line in run_check(check, base, clock):
                lines.append(line)
                print(f"  {line.holds or '-':9}{line.check}: {line.figure}", flush=True)
                write_report(out, machine, lines)
    broken = sum(line.holds == "no" for line in lines)
    left_out = sum(line.holds == LEFT_OUT for line in lines)
    verdict = f"{broken} of {len(lines)} lines do not hold" if broken else "all that was checked holds"
    print(f"{out}: {verdict}{f'; {left_out} checks were left out for want of time' if left_out else ''}.")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
