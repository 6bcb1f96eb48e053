"""Which letters pictures can show: those of Matplotlib's font, which has most alphabets, and no Hangul."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def font_path() -> Path:
    """Return the path of the font."""
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")


def can_show(text: str) -> bool:
    """Return whether the font has all letters of a text."""
    return set(map(ord, text)) <= _letters()


@cache
def _letters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(font_path())).get_charmap())
