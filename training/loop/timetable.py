"""The length of a run, and the steps at which it saves, scores and ends."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ROLLBACKS = 3


def clock(seconds: float) -> str:
    """Return hours:minutes:seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


@dataclass(frozen=True)
class Timetable:
    """The length of a run and the steps at which it does something besides training. Steps count from 1."""

    total_steps: int
    steps_per_epoch: int
    sample_every: int  # epochs between grids of samples
    save_minutes: float  # minutes between checkpoints within an epoch
    status_seconds: float  # seconds between two status lines
    save_steps: int | None = None  # steps between checkpoints, besides those by time and at the end of an epoch
    score_steps: int | None = None  # steps between scores; None for no scores
    max_rollbacks: int = 0  # how often a run whose losses are not finite may return to a checkpoint

    def next_boundary(self, step: int) -> int:
        """Return the first step after `step` at which the run saves, scores or ends."""
        periods = (self.steps_per_epoch, self.save_steps, self.score_steps)
        return min(self.total_steps, *((step // period + 1) * period for period in periods if period))

    def is_boundary(self, step: int) -> bool:
        """Whether the run saves at this step, whatever the clock says."""
        return self.next_boundary(step - 1) == step

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch ends at this step, or the run does, and with it the part of an epoch that there was."""
        return self._is_due(step, self.steps_per_epoch)

    def epoch(self, step: int) -> int:
        """Return the epoch, counted from 1, that this step belongs to."""
        return (step - 1) // self.steps_per_epoch + 1

    def steps_in_epoch(self, step: int) -> int:
        """Return how many steps of its epoch are done at this step."""
        return (step - 1) % self.steps_per_epoch + 1

    def is_scored(self, step: int) -> bool:
        """Whether the generator is scored at this step."""
        return self._is_due(step, self.score_steps)

    def is_sampled(self, step: int) -> bool:
        """Whether the epoch that ends at this step leaves a grid of samples."""
        return self.epoch(step) % self.sample_every == 0 or step == self.total_steps

    def _is_due(self, step: int, period: int | None) -> bool:
        return period is not None and (step % period == 0 or step == self.total_steps)
