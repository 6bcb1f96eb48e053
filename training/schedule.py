"""A value that changes while a run goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ramp:
    """From `start` to `end` along half a cosine, then flat: "2e-4:5e-5" on the command line, or one number."""

    start: float
    end: float | None = None
    """None: it stays at `start`."""

    def at(self, decay: float) -> float:
        """The value where `start` counts for `decay` and `end` for the rest, 1 to 0; also of a tensor.

        `training.models.gan.cosine_decay` falls along half a cosine (Huang et al. 2024, R3GAN's `cosine_decay_with_warmup`).
        """
        end = self.start if self.end is None else self.end
        return end + (self.start - end) * decay

    @property
    def goes(self) -> bool:
        """Whether it has two values."""
        return self.end is not None

    @property
    def is_zero(self) -> bool:
        """Whether it is 0 throughout."""
        return not self.start and not self.end

    @classmethod
    def parse(cls, text: str) -> Ramp:
        """Read "START" or "START:END".

        Raises:
            ValueError: it is neither.
        """
        start, *end = (float(part) for part in text.split(":"))
        if len(end) > 1:
            raise ValueError(text)
        return cls(start, *end)

    def __str__(self) -> str:
        """As `parse` reads it."""
        return str(self.start) if self.end is None else f"{self.start}:{self.end}"
