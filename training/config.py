"""What a run resolved to, as it is printed, saved in config.json, and compared when the run is continued."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from click import UsageError

from training.files import write_text
from training.presets import Preset
from training.schedule import Ramp

if TYPE_CHECKING:
    from training.loop.machine import Machine

FILE_NAME = "config.json"

HOW = {"micro_batch", "jit", "precision"}
"""Settings of how a run is computed: a continued run may have others. Micro-batches do change what is learnt where
there is BatchNormalization, whose statistics are those of what is computed at once. Weights are float32 in any
precision, and a processor may lack bfloat16."""

_TITLES = {"data": "data (the shards' content)"}

MACHINE = "machine"
"""Under this name config.json has what computed the run last."""


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run learns, but for its length: a longer run goes on where a shorter one ended."""

    preset: str
    method: Preset
    """The preset after the command line's overrides."""
    seed: int
    train_on: str
    """The split that is trained on, or "all"."""
    photos: int
    data: str
    """`ShardSet.fingerprint` of the training shards."""
    image_shape: tuple[int, int, int]
    cache: bool
    """Decoded images in memory. The order of photos is another one when they are streamed."""
    micro_batch: int | None = None
    """How many examples a device computes at once; None for its whole share of a batch."""
    jit: bool = False
    """Networks compiled with XLA."""

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training photos."""
        return self.photos // self.method.batch_size


def rows(config: Config) -> dict[str, object]:
    """Every setting by its name, in the order in which it is printed; values as JSON has them."""
    flat = {field.name: getattr(config, field.name) for field in fields(config)}
    flat["image_shape"] = list(config.image_shape)
    method = flat.pop("method")
    for field in fields(method):
        value = getattr(method, field.name)
        flat[field.name] = str(value) if isinstance(value, Ramp) else value
    return flat


def table(values: dict[str, object]) -> str:
    """Aligned lines of name and value."""
    width = max(map(len, values))
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in values.items())


# What a setting was before there was one: a run of an older version has no row for it.
_DEFAULTS = {
    field.name: str(field.default) if isinstance(field.default, Ramp) else field.default
    for kind in (Config, Preset)
    for field in fields(kind)
    if field.default is not MISSING
}


def load(folder: Path) -> dict[str, object] | None:
    """The settings of the run in `folder`, or None where there is none.

    Raises:
        UsageError: the file is not a run's config.
    """
    path = folder / FILE_NAME
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Choose another --out.") from None
    if not isinstance(saved, dict) or "latent" not in saved:
        raise UsageError(f"{path} is not the config of a run. Choose another --out.")
    return saved | {name: value for name, value in _DEFAULTS.items() if name not in saved}


def load_with_generator(folder: Path) -> tuple[dict[str, object], Path]:
    """The settings of the run in `folder`, and where its generator is.

    Raises:
        UsageError: it is not a run, or has no generator yet.
    """
    settings = load(folder)
    if settings is None:
        raise UsageError(f"{folder} is not a run (it has no {FILE_NAME}). Runs lie under runs/.")
    path = folder / "generator.keras"
    if not path.exists():
        raise UsageError(f"{path} is not there yet: it is written at the end of the first epoch.")
    return settings, path


def save(folder: Path, config: Config, machine: Machine) -> None:
    """Write config.json."""
    values = {**rows(config), MACHINE: asdict(machine)}
    write_text(folder / FILE_NAME, json.dumps(values, indent=2) + "\n")


def differences(saved: dict[str, object], config: Config) -> list[str]:
    """What would change if the saved run were continued with this config, a line each."""
    wanted = rows(config)
    return [
        f"{_TITLES.get(name, name)}: {saved.get(name)} in the run, {wanted.get(name)} asked for"
        for name in {**saved, **wanted}
        if name not in HOW | {MACHINE} and saved.get(name) != wanted.get(name)
    ]


def of_another_machine(saved: dict[str, object], machine: Machine) -> str:
    """Say how the machine differs from the one that computed the run so far; "" where it does not or none is known."""
    before = saved.get(MACHINE) or {}
    changes = [
        f"{name} {before[name]} -> {value}"
        for name, value in json.loads(json.dumps(asdict(machine))).items()
        if name in before and before[name] != value
    ]
    return (
        f"Another machine continues this run ({'; '.join(changes)}): its bits may differ from those of a run that was "
        "not interrupted."
        if changes
        else ""
    )
