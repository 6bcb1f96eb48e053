"""Which combinations of labels there are among the training photos, and how often: labels.json of a run.

Generated faces get labels at these frequencies, so that what goes together in photos goes together in faces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click import UsageError

from system.files import parsed_json, write_json
from training.data.shards import ShardSet

FILE_NAME = "labels.json"


@dataclass(frozen=True, eq=False)
class LabelFrequencies:
    """The combinations of labels among some photos."""

    names: tuple[str, ...]  # the attributes
    combinations: np.ndarray  # float32 [combinations, len(names)], -1 or 1, each once
    photos: np.ndarray  # how many photos have each: int64 [combinations]
    # Those of which one holds at most, and one for each photo where no combination is without.
    exclusive: tuple[str, ...] = ()

    @property
    def may_have_none(self) -> bool:
        """Whether there are photos with none of the exclusive attributes."""
        columns = [self.names.index(name) for name in self.exclusive]
        return bool((self.combinations[:, columns] < 0).all(axis=1).any())

    def draw(self, count: int, seed: int, given: Mapping[str, bool] | None = None) -> np.ndarray:
        """Draw labels as often as the photos have them together: float32 [count, len(names)], -1 or 1.

        The first rows of a seed are the same for any count. `given` are attributes that all rows are to have, or not to
        have; the rest is drawn among the photos of which that is true, or among all where it is true of none.
        """
        given = given or {}
        columns = [self.names.index(name) for name in given]
        answers = np.where(list(given.values()), 1.0, -1.0).astype(np.float32)
        fitting = np.where((self.combinations[:, columns] == answers).all(axis=1), self.photos, 0)
        photos = fitting if fitting.any() else self.photos
        rows = np.random.default_rng(seed).random(count)
        labels = self.combinations[np.searchsorted(np.cumsum(photos) / photos.sum(), rows, side="right")]
        labels[:, columns] = answers
        return labels

    def completed(self, given: Mapping[str, bool]) -> dict[str, bool]:
        """Return what is given, with what follows from it: where one exclusive attribute holds, no other does.

        Raises UsageError where no photo can have what is given.
        """
        held = [*self.exclusive, *([None] if self.may_have_none else [])]
        possible = [
            one for one in held if all(given.get(name, name == one) == (name == one) for name in self.exclusive)
        ]
        if not possible:
            asked = {name: given[name] for name in self.exclusive if name in given}
            share = "at most" if any(asked.values()) else "exactly"
            listed = ",".join(f"{name}={answer:d}" for name, answer in asked.items())
            raise UsageError(f"No photo has {listed}: {share} one of these holds for each. Set one of them to 1.")
        follows = {name: name == possible[0] for name in self.exclusive} if len(possible) == 1 else {}
        return {**given, **follows}


def count_labels(shards: ShardSet, names: Sequence[str]) -> LabelFrequencies:
    """Count the combinations of these attributes among the photos."""
    from training.data.reading import attribute_batches  # TensorFlow, which who draws labels can do without

    counts: Counter[tuple[int, ...]] = Counter()
    for attributes in attribute_batches(shards, names):
        counts.update(map(tuple, attributes.astype(int).tolist()))
    exclusive = [name for name in shards.exclusive_attributes if name in names]
    return _of_counts(names, sorted(counts.items()), exclusive if len(exclusive) > 1 else [])


def save(folder: Path, frequencies: LabelFrequencies) -> None:
    """Write labels.json: the names, the number of photos by combination, such as "101", and what is exclusive."""
    rows = zip((frequencies.combinations > 0).astype(int).tolist(), frequencies.photos.tolist(), strict=True)
    photos = {"".join(map(str, answers)): count for answers, count in rows}
    exclusive = {"exclusive": frequencies.exclusive} if frequencies.exclusive else {}
    write_json(folder / FILE_NAME, {"names": frequencies.names, "photos": photos} | exclusive)


def load(folder: Path) -> LabelFrequencies:
    """Return what `save` wrote; raise UsageError where it is missing or cannot be read."""
    path = folder / FILE_NAME
    try:
        saved = parsed_json(path.read_bytes())
        counts = [(tuple(map(int, answers)), int(count)) for answers, count in saved["photos"].items()]
        return _of_counts(saved["names"], counts, saved.get("exclusive", []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Continue the run: it writes the file again.") from None


def _of_counts(
    names: Sequence[str], counts: Sequence[tuple[tuple[int, ...], int]], exclusive: Sequence[str]
) -> LabelFrequencies:
    answers, photos = zip(*counts, strict=True)
    combinations = 2.0 * np.array(answers, np.float32).reshape(len(counts), len(names)) - 1.0
    return LabelFrequencies(tuple(names), combinations, np.array(photos, np.int64), tuple(exclusive))
