"""The resolved settings of a run: printed, saved in config.json, and compared when the run is continued."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from click import UsageError

from system.files import parsed_json, write_text
from training.batch import ImageShape
from training.presets import CosineSchedule, Preset

FILE_NAME = "config.json"

# Settings that a continued run may change. Micro-batches do change what is trained where there is BatchNormalization,
# whose statistics are those of what is computed at once. Weights are float32 in any precision, and a processor may lack
# bfloat16.
RESUMABLE = {"micro_batch", "jit", "precision"}

_WHERE_RUNS_ARE = "Name the folder that training.run wrote, under runs/, or docs/models/lite, a trained one."

# Settings on which it depends what the weights of both networks are, and what they mean.
OF_NETWORKS = ("image_shape", "condition", "network", "width", "latent", "latent_distribution", "san")


@dataclass(frozen=True)
class Config:
    """Everything that decides what is trained, except for the length: a longer run continues a shorter one."""

    preset: str
    method: Preset  # the preset after the command line's overrides
    seed: int
    train_on: str  # the split that is trained on, or "all"
    photos: int
    data: str  # `ShardSet.fingerprint` of the training shards
    image_shape: ImageShape
    # Decoded images in memory. The order of photos is another one when they are streamed.
    cache: bool
    micro_batch: int | None = None  # examples that a device computes at once; None for its whole share of a batch
    jit: bool = False  # networks compiled with XLA
    condition: str = ""  # attributes that the networks get as labels, separated by commas
    # The folder of the run with whose networks this one began, as it was given; None for weights of the seed.
    init: str | None = None
    init_generator: str | None = None  # `draw.digest` of that run's generator

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names in `condition`."""
        return tuple(self.condition.split(",")) if self.condition else ()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training photos."""
        return self.photos // self.method.batch_size


@dataclass(frozen=True)
class SavedRun:
    """What config.json says of a run."""

    config: Config
    machine: Mapping[str, object]  # the machine that computed it last, by the names of `Machine`'s fields


def rows(config: Config) -> dict[str, object]:
    """Return every setting by its name, in the order in which it is printed; values as JSON has them."""
    flat = {field.name: getattr(config, field.name) for field in fields(config)}
    flat["image_shape"] = list(config.image_shape)
    method = flat.pop("method")
    for field in fields(method):
        value = getattr(method, field.name)
        flat[field.name] = str(value) if isinstance(value, CosineSchedule) else value
    return flat


def table(values: Mapping[str, object]) -> str:
    """Return aligned lines of name and value."""
    width = max(map(len, values))
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in values.items())


def load(folder: Path, advice: str = "Choose another --out.") -> SavedRun | None:
    """Return the run in `folder`, or None where there is none; raise UsageError where its file cannot be read."""
    path = folder / FILE_NAME
    try:
        values = parsed_json(path.read_bytes())
        machine = values.pop("machine")
        for field in fields(Preset):
            if field.type == "CosineSchedule":
                values[field.name] = CosineSchedule.parse(str(values[field.name]))
        values["method"] = Preset(**{field.name: values.pop(field.name) for field in fields(Preset)})
        values["image_shape"] = tuple(values["image_shape"])
        config = Config(**{field.name: values.pop(field.name) for field in fields(Config)})
        if values:
            raise KeyError(*values)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}). {advice}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is not the config of a run of this version. {advice}") from None
    return SavedRun(config, machine)


def load_with_generator(folder: Path) -> tuple[Config, Path]:
    """Return a run's settings and its generator's path; raise UsageError where one of them is not there."""
    saved = load(folder, _WHERE_RUNS_ARE)
    if saved is None:
        raise UsageError(f"{folder} is not a run (it has no {FILE_NAME}). {_WHERE_RUNS_ARE}")
    path = folder / "generator.keras"
    if not path.exists():
        raise UsageError(
            f"{path} is not there yet: the run writes it at the end of its first epoch. Wait for it, or "
            "continue the run with the command that began it."
        )
    return saved.config, path


def check_shards_fit_run(config: Config, image_shape: ImageShape) -> None:
    """Raise UsageError where shards of this shape hold other images than the run draws."""
    if image_shape != config.image_shape:
        run, shards = ("x".join(map(str, shape)) for shape in (config.image_shape, image_shape))
        raise UsageError(
            f"The run draws images of {run} and the shards hold {shards} (height, width, channels). Give "
            "--shards the shards that it was trained on."
        )


def save(folder: Path, config: Config, machine: Mapping[str, object]) -> None:
    """Write config.json; `machine` has the values of a `Machine` by the names of its fields."""
    values = {**rows(config), "machine": machine}
    write_text(folder / FILE_NAME, json.dumps(values, indent=2) + "\n")


def differences(saved: Config, config: Config, names: Collection[str] | None = None) -> list[str]:
    """Return a line for each of these settings of a saved run that this config has otherwise.

    By default they are all that would have to stay if the run were continued.
    """
    before, wanted = rows(saved), rows(config)
    return [
        f"{name}: {_said(before[name])} in the run, {_said(wanted[name])} asked for"
        for name in before
        if (name in names if names else name not in RESUMABLE) and before[name] != wanted[name]
    ]


def _said(value: object) -> object:
    return "none" if value in (None, "") else value


def machine_changes(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Return a warning that names what differs between two machines, or ""."""
    values = json.loads(json.dumps(now)).items()
    changes = "; ".join(f"{name} {before.get(name)} -> {value}" for name, value in values if before.get(name) != value)
    remark = "its bits may differ from those of a run that was not interrupted."
    return f"Another machine continues this run ({changes}): {remark}" if changes else ""
