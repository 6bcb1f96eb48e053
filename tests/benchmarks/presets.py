"""Every preset from scratch for the same time on two cores, scored alike. Prints the table of docs/presets.md.

python tests/benchmarks/presets.py --shards data/*.tfrecord [--presets classic,lite] [--minutes 5,10,20] [--seed 0]
    [--change "--batch-size 128"] [--change --no-flip] [--features-dir FOLDER]

The clock is CPU time: 20 minutes on two cores are 40 CPU minutes of the training's process, from its start, imports
and compilation included, to the signal that lets it save and end. So what else runs on the machine does not enter, but
for the caches that it takes.

The presets are trained one after the other on the train- shards, and scored against as many training and held-out
photos in the feature space `attributes`, which is learnt first where it is not there. With several
--minutes a run is scored at each of them, and curve.png shows the Frechet distance over minutes and over images; each
stop costs the run the start of a process, about 10 CPU seconds. Whatever ends this, the same command goes on where it
was: beside the runs the folder keeps the CPU time that each has taken, and the scores, PRESET.scores.json. With more
minutes the runs go on from what they are; fewer are refused unless the run was scored then, as are another seed and
other photos. There are also the table, table.md, and 64 faces each, from the same unselected z: PRESET.png, and the
first four of them: PRESET-4.png.

A preset may come with options of training.run: --presets "lite,r3gan --width 0.125". With --change every preset is
also trained with each change of its parts, one at a time.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from measure import cpu_seconds_of_ended, python, table

from system.files import write_text
from training.loop.machine import this_machine
from training.options import FindShards, features_dir_option, shards_options

CORES = 2
PHOTOS = ("train", "held_out")  # columns of an evaluation that faces are scored in
HEAD = ("preset", "minutes", "images seen", "images/s", "SWD", "FD", "KID", "precision", "recall")
STOPPED = 128 + signal.SIGTERM
GRACE = 60  # CPU seconds in which a run saves after its time is over


def times_of(_context: click.Context, _parameter: click.Parameter, value: str) -> list[float]:
    """Read --minutes."""
    try:
        times = sorted(float(time) for time in value.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if times[0] < 0.5:
        raise click.BadParameter("half a minute is the least.")
    return times


def cpu_seconds(pid: int) -> float:
    """CPU time of a running process, all of its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime: proc(5)


def spend(command: list[str], log: Path, budget: float, note: Callable[[float], None]) -> None:
    """Run a command until it has taken its CPU time, then let it save.

    Args:
        command: what to run.
        log: what it says goes to the end of this file.
        budget: CPU seconds.
        note: told how many it has taken, every two seconds and at the end.

    Raises:
        ClickException: it ended by itself.
    """
    before = cpu_seconds_of_ended()
    with log.open("ab") as written, subprocess.Popen(command, stdout=written, stderr=written) as process:
        try:
            while process.poll() is None and (taken := cpu_seconds(process.pid)) < budget:
                note(taken)
                time.sleep(2)
        finally:  # also where this process is told to end: what was learnt is kept
            process.terminate()
            process.wait()
            note(cpu_seconds_of_ended() - before)
    if process.returncode not in (STOPPED, -signal.SIGTERM):  # the latter before it had begun to listen
        raise click.ClickException(f"{' '.join(command)} ended with {process.returncode}. See {log}.")


@dataclass(frozen=True)
class Scored:
    """What a run was when it was scored."""

    minutes: float  # how long it was to train, on all cores
    cpu_seconds: float  # how long it has trained
    images: float  # how many photos D has seen
    figures: dict[str, dict[str, float]]  # by column: train, held_out, held_out_train, floor
    features: str = ""  # digest of the feature space: distances in two of them do not compare


@dataclass(frozen=True)
class Run:
    """A preset, perhaps changed, and where it is trained."""

    out: Path  # the folder of all runs
    method: str  # a preset's name, and options of training.run after it: lite --no-flip

    @property
    def name(self) -> str:
        """As files are called: lite-no-flip."""
        return re.sub(r"[^\w.]+", "-", self.method)

    @property
    def folder(self) -> Path:
        """The run's own folder, beside which its files lie."""
        return self.out / self.name

    @property
    def clock(self) -> Path:
        """The file of the CPU seconds that it has taken."""
        return self.out / f"{self.name}.cpu-seconds"

    @property
    def scores(self) -> Path:
        """The file of its scores."""
        return self.out / f"{self.name}.scores.json"

    def scored(self) -> list[Scored]:
        """What it was at the times when it was scored, by time."""
        if not self.is_there() or not self.scores.exists():
            return []
        return [Scored(**values) for values in json.loads(self.scores.read_text())]

    def spent(self) -> float:
        """CPU seconds that it has taken so far."""
        return float(self.clock.read_text()) if self.is_there() and self.clock.exists() else 0.0

    def is_there(self) -> bool:
        """Whether it was begun, and its folder has not been removed since."""
        return (self.folder / "config.json").exists()


def check(run: Run, seed: int, photos: str, minutes: float) -> None:
    """Refuse a run of another seed, of other photos than these, or of more time that was not scored in time."""
    if not run.is_there():
        return
    settings = json.loads((run.folder / "config.json").read_text())
    if (settings["seed"], settings["data"]) != (seed, photos):
        raise click.UsageError(f"{run.folder} was trained with another seed or on other photos: choose another --out.")
    in_time = run.spent() <= CORES * 60 * minutes + GRACE
    if not in_time and minutes not in [scored.minutes for scored in run.scored()]:
        raise click.UsageError(f"{run.folder} has had {run.spent() / CORES / 60:.1f} minutes: say as many, or more.")


def train(run: Run, shards: tuple[str, ...], seed: int, budget: float) -> None:
    """Train until the run's time is over; nothing where it was before."""
    before = run.spent()
    if before >= budget:
        return
    preset, *changes = shlex.split(run.method)
    options = ["--shards", *shards, "--out", str(run.folder), "--preset", preset, *changes, "--seed", str(seed)]
    length = ["--kimg", "1e6", "--strategy", "one", "--status-seconds", "60"]
    command = [sys.executable, "-m", "training.run", *options, *length]
    log = run.out / f"{run.name}.log"
    spend(command, log, budget - before, lambda taken: write_text(run.clock, f"{before + taken:.2f}\n"))


def score(run: Run, shards: tuple[str, ...], features_dir: Path, minutes: float) -> None:
    """Score a run's generator, keep the scores and draw its grid; nothing where it was scored then."""
    before = run.scored()
    if minutes in [scored.minutes for scored in before]:
        return
    space = ("--features", "attributes", "--features-dir", features_dir)
    python("-m", "training.evaluate", "--run", run.folder, *space, "--shards", *shards)
    records = map(json.loads, (run.folder / "stats.jsonl").read_text().splitlines())
    images = 1000 * max(record["kimg"] for record in records if record["event"] == "status")
    evaluation = json.loads((run.folder / "evaluation.json").read_text())
    now = Scored(minutes, run.spent(), images, evaluation["scores"], evaluation["features"]["digest"])
    scored = sorted([*before, now], key=lambda one: one.minutes)
    write_text(run.scores, json.dumps([asdict(one) for one in scored], indent=1) + "\n")
    for count, name in ((64, run.name), (4, f"{run.name}-4")):
        picture = run.out / f"{name}.png"
        python("-m", "explore.sample", "--run", run.folder, "--count", count, "--seed", 0, "--out", picture)


def learn_features(shards: tuple[str, ...], features_dir: Path) -> str:
    """Learn the feature space where it was not before; return its digest."""
    card = features_dir / "attributes.json"
    if not card.exists():
        python("-m", "training.features", "--out", features_dir, "--shards", *shards)
    return json.loads(card.read_text())["digest"]


def check_features(run: Run, features: str) -> None:
    """Refuse a run that was scored in another feature space than this one."""
    if others := {scored.features for scored in run.scored()} - {features}:
        raise click.UsageError(
            f"{run.scores} has scores of another feature space ({', '.join(others)}) than that beside the shards "
            f"({features}), and their distances do not compare: remove this file, or choose another --out."
        )


def row(run: Run, scored: Scored) -> tuple[str, ...]:
    """A run's line of the table, at a time."""
    figures = [cells(scored.figures[photos]) for photos in PHOTOS if photos in scored.figures]
    paired = (" / ".join(of_metric) for of_metric in zip(*figures, strict=True))
    speed = scored.images / (scored.cpu_seconds / CORES)
    return (f"`{run.method}`", f"{scored.minutes:g}", f"{scored.images:,.0f}", f"{speed:,.0f}", *paired)


def cells(figures: dict[str, float]) -> list[str]:
    """The figures that the table has, in its order."""
    return [
        f"{figures['swd']:.3g}",
        f"{figures['frechet']:.3g}",
        f"{figures['kid']:.3g} ± {figures['kid_error']:.1g}",
        *(f"{figures[name]:.2f}" for name in ("precision", "recall")),
    ]


def lay_out(runs: list[Run], minutes: list[float], seed: int) -> str:
    """The whole table, with what it holds."""
    asked = [(run, scored) for run in runs for scored in run.scored() if scored.minutes in minutes]
    rows = [row(run, scored) for run, scored in asked]
    _, last = asked[-1]
    names = {"held_out_train": "held-out photos", "floor": "other training photos: the floor"}
    for column, name in names.items():  # photos taken for faces, the same for every run
        if column in last.figures:
            rows.append((name, "", "", "", *cells(last.figures[column])))
    return (
        f"Minutes of {CORES} cores, of CPU time; {this_machine()}; seed {seed}. Figures are against training photos / "
        f"against held-out photos.\n\n{table(HEAD, rows)}\n"
    )


def draw_curve(runs: list[Run], path: Path) -> None:
    """Draw the Frechet distance to training photos over minutes, and over images seen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 5.5), sharey=True, layout="constrained")
    for run in runs:
        scored = run.scored()
        distances = [one.figures["train"]["frechet"] for one in scored]
        axes[0].plot([one.cpu_seconds / CORES / 60 for one in scored], distances, marker="o", label=run.method)
        axes[1].plot([one.images for one in scored], distances, marker="o")
    floors = [one.figures["floor"]["frechet"] for run in runs for one in run.scored()]
    for axis, what in zip(axes, (f"minutes of {CORES} cores (CPU time)", "images seen"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel=what)
        if floors:
            axis.axhline(floors[-1], color="grey", linestyle=":", label="the floor: other training photos")
    axes[0].set_ylabel("Frechet distance, lower is better")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", fontsize="small")  # names are long
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def run_options(out: str) -> Callable[[Callable], Callable]:
    """Add the options that benchmarks of runs share; `out` is the folder of the runs, if no other is named."""
    seed_option = click.option("--seed", default=0, help="Of the training.")
    out_option = click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=out)
    return lambda command: shards_options(features_dir_option(seed_option(out_option(command))))


minutes_option = click.option("--minutes", default=8.0, help=f"For each, on {CORES} cores; 0 to train no further.")


def begin(out: Path) -> None:
    """Make the folder of the runs; end when told to; keep to the cores of the clock, as what is started here does."""
    out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


@click.command()
@run_options("runs/presets")
@click.option("--presets", default="classic,dcgan,wgan-gp,sngan,lite", help="Which, in this order.")
@click.option("--change", "changes", multiple=True, metavar="OPTIONS", help="Of a preset: --batch-size 128, say.")
@click.option(
    "--minutes", default="20", callback=times_of, help=f"For each, on {CORES} cores; several to score it at each."
)
def main(
    find_shards: FindShards,
    features_dir: Path | None,
    presets: str,
    changes: tuple[str, ...],
    minutes: list[float],
    seed: int,
    out: Path,
) -> None:
    """Train presets for the same time, and score them."""
    begin(out)
    methods = [f"{preset} {change}" for preset in presets.split(",") for change in ("", *changes)]
    runs = [Run(out, " ".join(method.split())) for method in methods]
    photos = find_shards(features_dir)
    shards = tuple(str(shard.path) for shard in photos.shards)
    for run in runs:
        check(run, seed, photos.only({"train"}).fingerprint, minutes[-1])
    features = learn_features(shards, photos.features_dir)
    for run in runs:
        check_features(run, features)
    for run in runs:
        for until in minutes:
            if run.spent() <= CORES * 60 * until + GRACE:  # else it is older than that
                print(f"{run.method}, {until:g} minutes ...", flush=True)
                train(run, shards, seed, CORES * 60 * until)
                score(run, shards, photos.features_dir, until)
    text = lay_out(runs, minutes, seed)
    write_text(out / "table.md", text)
    draw_curve(runs, out / "curve.png")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
