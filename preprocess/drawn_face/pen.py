"""The canvas of a drawn face, the pen that draws on it, and the lines and areas that it can draw.

The canvas is larger than the photo; points are given in photo pixels all the same. Beside the colour it has a fourth
value, which says what lights a shape: the backdrop lights itself, hair and cloth take the light of a smooth dome, skin
takes the light of the face's relief.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from preprocess.drawn_face.face import RGB, SIZE

LARGER = 2  # the canvas is this many times the photo, and averaged down later for smooth edges
BACKDROP, DOME, SKIN = 0, 128, 255

_T = np.arange(6)[:, None] / 6
_CATMULL_ROM = (
    np.hstack([-_T + 2 * _T**2 - _T**3, 2 - 5 * _T**2 + 3 * _T**3, _T + 4 * _T**2 - 3 * _T**3, _T**3 - _T**2]) / 2
)

Points = list[tuple[float, float]]


class Pen:
    """Draws shapes given in photo pixels onto the larger canvas."""

    def __init__(self, canvas: Image.Image):
        self._draw = ImageDraw.Draw(canvas)

    def fill(self, points: np.ndarray | Points, colour: RGB, lit: int = SKIN) -> None:
        """Fill the polygon `points`, shape (n, 2)."""
        self._draw.polygon(_enlarged(points), fill=(*colour, lit))

    def stroke(self, points: np.ndarray | Points, colour: RGB, width: float, lit: int = SKIN) -> None:
        """Draw the open line through `points`, shape (n, 2), `width` pixels wide."""
        self._draw.line(_enlarged(points), fill=(*colour, lit), width=max(1, round(width * LARGER)))

    def disc(self, x: float, y: float, rx: float, ry: float, colour: RGB, lit: int = SKIN) -> None:
        """Fill an ellipse with the given centre and radii."""
        self._draw.ellipse(_enlarged([(x - rx, y - ry), (x + rx, y + ry)]), fill=(*colour, lit))

    def arc(self, x: float, y: float, r: float, start: float, colour: RGB, lit: int = SKIN) -> None:
        """Draw 130 degrees of a circle, a pixel wide, from `start` degrees on."""
        box = _enlarged([(x - r, y - r), (x + r, y + r)])
        self._draw.arc(box, start, start + 130, fill=(*colour, lit), width=LARGER)


def _enlarged(points: np.ndarray | Points) -> list[float]:
    return (np.asarray(points) * LARGER).ravel().tolist()


def curve(points: np.ndarray | Points) -> np.ndarray:
    """Return a smooth open line through n points, shape (6 * (n - 1) + 1, 2)."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([p[:1], p, p[-1:]])
    pieces = np.stack([p[:-3], p[1:-2], p[2:-1], p[3:]], axis=1)
    return np.concatenate([(_CATMULL_ROM @ pieces).reshape(-1, 2), p[-1:]])


def rounded(x: float, y: float, rx: float, ry: float, power: float = 1.0) -> np.ndarray:
    """Return an ellipse (power 1), or with less power a rounded box, shape (28, 2)."""
    angle = np.linspace(0, 2 * np.pi, 28)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x + rx * np.sign(cos) * abs(cos) ** power, y + ry * np.sign(sin) * abs(sin) ** power], axis=1)


def between(x: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return the area between two lines over the same x, all (n,), as a polygon, (2n, 2)."""
    return np.stack([np.concatenate([x, x[::-1]]), np.concatenate([upper, lower[::-1]])], axis=1)


def mirrored(half: np.ndarray | Points, x: float) -> np.ndarray:
    """Continue an open line, (n, 2), by its mirror image at `x`, backwards: (2n, 2)."""
    half = np.asarray(half)
    return np.concatenate([half, (half * (-1, 1) + (2 * x, 0))[::-1]])


def moved(points: np.ndarray, right: float, down: float) -> np.ndarray:
    """Move points, (n, 2), by so many pixels."""
    return points + np.array((right, down))


def lay(
    canvas: Image.Image, colour: RGB, strength: float, shapes: list[np.ndarray], hole: np.ndarray | None = None
) -> None:
    """Lay `colour` softly over the skin inside `shapes`; strength 0 is not at all, 1 covers what is below."""
    scale = 2  # a soft mask needs no detail: it is drawn at half the photo's size
    mask = Image.new("L", (SIZE[0] // scale, SIZE[1] // scale))
    pen = ImageDraw.Draw(mask)
    for shape in shapes:
        pen.polygon((shape / scale).ravel().tolist(), fill=round(255 * strength))
    if hole is not None:
        pen.polygon((hole / scale).ravel().tolist(), fill=0)
    mask = mask.filter(ImageFilter.GaussianBlur(1.2))
    box, up = mask.getbbox(), scale * LARGER
    if box is None:  # too faint to see
        return
    mask = mask.crop(box)
    mask = mask.resize((mask.width * up, mask.height * up), Image.Resampling.BILINEAR)
    canvas.paste((*colour, SKIN), (box[0] * up, box[1] * up), mask)
