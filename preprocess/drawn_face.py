"""A drawn face in place of a CelebA photo: its attributes in CelebA's words, and its picture.

The picture is made of soft ovals, lit as the relief of a head would be. Positions and lengths are photo pixels, from
the upper left corner.
"""

from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageFilter

RGB = tuple[int, int, int]
Colour = RGB | np.ndarray

SIZE = (178, 218)  # width and height of CelebA's aligned photos
EYES = ((69.0, 111.0), (108.0, 111.0))  # where the alignment puts them
MIDDLE, MOUTH = 88.5, 152.0  # x between the eyes, y of the lips
BEHIND, SKULL, LIPS, NOSE = -9.0, -5.5, 2.0, 6.0  # how far a turned head moves its layers, while the eyes stay

SKINS = ((92, 62, 48), (158, 112, 84), (204, 156, 126), (226, 182, 154))
PALE_SKIN, RED, BLACK = (242, 214, 196), (172, 30, 48), (18, 14, 14)
IRISES = ((52, 32, 20), (78, 50, 28), (70, 92, 60), (72, 104, 140))
HAIR_COLOURS = {
    "Black_Hair": (30, 26, 26),
    "Brown_Hair": (92, 60, 38),
    "Blond_Hair": (214, 180, 116),
    "Gray_Hair": (168, 166, 164),
}


@dataclass(frozen=True)
class Face:
    """Everything that drawing needs: equal faces give equal pixels."""

    attributes: frozenset[str]
    """CelebA's names for what is there; a name that is missing was not drawn."""
    seed: str
    """Decides all that the attributes leave open."""

    def has(self, *names: str) -> bool:
        """Return whether one of these attributes is there."""
        return not self.attributes.isdisjoint(names)

    def value(self, name: str, low: float, high: float) -> float:
        """Return a number that the seed and `name` alone decide. Extremes are rare, as among people."""
        rng = Random(f"{self.seed}:{name}")
        return low + (high - low) * (rng.random() + rng.random()) / 2

    def colour(self, name: str, low: int = 50, high: int = 205) -> RGB:
        """Return a colour whose parts lie within 50 of a brightness that is drawn so."""
        grey = self.value(name, low, high)
        red, green, blue = (round(grey + self.value(f"{name} {part}", -50, 50)) for part in ("red", "green", "blue"))
        return red, green, blue


def random_face(seed: str) -> Face:
    """Return a face that the seed alone decides, its attributes about as frequent as CelebA's."""
    rng = Random(seed)

    def some(shares: dict[str, float]) -> set[str]:
        return {name for name, share in shares.items() if rng.random() < share}

    def one(weights: dict[str, float]) -> set[str]:
        return set(rng.choices(list(weights), list(weights.values())))

    names = some({"Smiling": 0.5, "Mouth_Slightly_Open": 0.45, "Young": 0.75, "Eyeglasses": 0.13, "Wearing_Hat": 0.1})
    names |= some({"Big_Nose": 0.2, "Narrow_Eyes": 0.12, "Pale_Skin": 0.08, "Blurry": 0.05, "Bags_Under_Eyes": 0.2})
    names |= some({"Bushy_Eyebrows": 0.15, "Arched_Eyebrows": 0.25, "Big_Lips": 0.2, "Bangs": 0.2})
    names |= one({"Black_Hair": 4, "Brown_Hair": 3, "Blond_Hair": 2, "Gray_Hair": 0.1 if "Young" in names else 3})
    names |= one({"Straight_Hair": 2, "Wavy_Hair": 3})
    if rng.random() < 0.45:
        names |= {"Male"} | one({"No_Beard": 5, "5_o_Clock_Shadow": 2, "Mustache": 1, "Goatee": 1})
        names |= some({"Bald": 0.12, "Receding_Hairline": 0.15, "Wearing_Necktie": 0.3})
    else:
        names |= {"No_Beard"} | some({"Wearing_Lipstick": 0.65, "Heavy_Makeup": 0.4, "Wearing_Earrings": 0.35})
        names |= some({"Rosy_Cheeks": 0.25})
    if "Wearing_Hat" in names:
        names -= {"Bald", "Receding_Hairline", "Bangs"}
    elif "Bald" in names:
        names -= {*HAIR_COLOURS, "Straight_Hair", "Wavy_Hair", "Receding_Hairline", "Bangs"}
    elif "Receding_Hairline" in names:
        names -= {"Bangs"}
    return Face(frozenset(names), seed)


def draw(face: Face) -> Image.Image:
    """Return the picture of a face: RGB, 178x218."""
    rng = np.random.default_rng(list(face.seed.encode()))
    canvas = _Canvas(face.colour("far"))
    for x, y, r, share in rng.uniform((0, 0, 8, 0), (*SIZE, 40, 0.8), (rng.integers(20), 4)):
        canvas.oval(x, y, r, r, face.colour("near"), share, soft=8, is_lit=False)
    _draw_head(canvas, face, rng)
    _draw_features(canvas, face)
    _draw_worn(canvas, face)
    light = 1 + (_light(face) - 1) * canvas.lit
    pixels = canvas.pixels * light[..., None] * face.value("exposure", 0.9, 1.25)
    pixels += rng.normal(0, 2, light.shape)[..., None]
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    return picture.filter(ImageFilter.BoxBlur(1)) if face.has("Blurry") else picture


class _Canvas:
    """Pixels, float64 (218, 178, 3), and how far the light on the head falls on each, (218, 178) in [0, 1]."""

    def __init__(self, colour: RGB):
        self.y, self.x = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
        self.pixels, self.lit = np.full((*self.x.shape, 3), colour, float), np.zeros(self.x.shape)

    def oval(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, strength: float = 1.0,
        soft: float = 1.0, bend: float = 0.0, power: float = 2.0, rows: tuple[float, float | np.ndarray] = (0, 999),
        hollow: float = 0.0, is_lit: bool = True,
    ) -> None:  # fmt: skip
        """Draw an oval: bent so that its ends hang `bend` lower, boxy by `power`, cut off outside `rows`, a ring.

        `soft` is the width of its edge, and of a ring `hollow` the width of the line.
        """
        down, right = ry + abs(bend) + soft, rx + soft
        box = np.s_[max(0, int(y - down)) : max(0, int(y + down) + 1), max(0, int(x - right)) : int(x + right) + 1]
        at_y, across = self.y[box], np.abs(self.x[box] - x) / rx
        distance = (across**power + np.abs((at_y - y - bend * across**2) / ry) ** power) ** (1 / power)
        depth = (1 - distance) * min(rx, ry) / soft + 0.5
        cover = np.clip(depth, 0, 1) - (np.clip(depth - hollow / soft, 0, 1) if hollow else 0)
        cover = strength * cover * (rows[0] <= at_y) * (at_y < np.broadcast_to(rows[1], self.x.shape)[box])
        self.pixels[box] += cover[..., None] * (np.broadcast_to(colour, self.pixels.shape)[box] - self.pixels[box])
        self.lit[box] += cover * (is_lit - self.lit[box])


def _mix(a: Colour, b: Colour, share: float) -> np.ndarray:
    return np.asarray(a) * (1 - share) + np.asarray(b) * share


def _skull(face: Face) -> tuple[float, float, float, float]:
    """Return how far the head is turned, -1 left to 1 right, half its width, y of its crown, y of its chin."""
    turn, width = face.value("turn", -1, 1), face.value("width", 38, 46)
    return turn, width, face.value("crown", 42, 54), face.value("chin", 176, 190)


def _skin(face: Face) -> np.ndarray:
    tone = face.value("skin", 0, len(SKINS) - 1.001)
    return np.asarray(PALE_SKIN) if face.has("Pale_Skin") else _mix(SKINS[int(tone)], SKINS[int(tone) + 1], tone % 1)


def _hair(face: Face) -> np.ndarray:
    name = next((name for name in HAIR_COLOURS if face.has(name)), "Brown_Hair")
    return _mix(HAIR_COLOURS[name], face.colour("dye"), face.value("dyed", 0, 0.12))


def _draw_head(canvas: _Canvas, face: Face, rng: np.random.Generator) -> None:
    """Draw hair, ears, neck, clothes and the empty face."""
    (turn, width, crown, chin), skin, hair = _skull(face), _skin(face), _hair(face)
    x, behind, volume = MIDDLE + SKULL * turn, MIDDLE + BEHIND * turn, face.value("volume", 4, 18)
    volume = 4.0 if face.has("Receding_Hairline") else volume
    is_long = not face.has("Bald") and face.value("long", 0, 1) > (0.8 if face.has("Male") else 0.4)
    length = face.value("length", 150, 222)
    canvas.oval(behind, 150, width + volume, 94, hair * 0.6, is_long, power=4, rows=(90, length))
    for side in (-1, 1):
        canvas.oval(behind + side * (width + 1), 121, 6, 12, _mix(skin, RED, 0.12), 0 if is_long else 1)
    canvas.oval(behind, 170, width * (0.7 if face.has("Male") else 0.56), 60, skin * 0.8, power=6)
    canvas.oval(behind, 246, face.value("shoulders", 70, 95), 48, face.colour("cloth"), power=3)
    canvas.oval(behind, 220, 7, 18, face.colour("tie"), face.has("Wearing_Necktie"), power=4)
    jaw = face.value("jaw", 2.2, 2.7) if face.has("Male") else face.value("jaw", 1.9, 2.3)
    canvas.oval(x, 114, width, 114 - crown, skin, power=2.3, rows=(0, 114))
    canvas.oval(x, 114, width, chin - 114, skin, power=jaw, rows=(114, 999))
    if not face.has("Bald"):
        # Strands: stripes along the hair, which waves bend.
        bent = canvas.x + face.has("Wavy_Hair") * face.value("wave", 2, 5) * np.sin(canvas.y / 6)
        stripes = np.interp(bent % 89, np.arange(90), rng.normal(1, 0.2, 90))[..., None]
        across = (canvas.x - x) / width
        line = 98 if face.has("Bangs") else face.value("hairline", 64, 80) + 12 * face.value("parting", -1, 1) * across
        edge = line + 44 * across**4 + 60 * np.maximum(np.abs(across) - 0.82, 0)  # falls down the temples
        edge = crown - 14 + 120 * across**4 if face.has("Receding_Hairline") else edge  # leaves a wreath
        top, top_row = 114 - crown + volume, 84 * face.has("Wearing_Hat")
        canvas.oval(x, 114, width + 0.7 * volume, top, hair * stripes, power=2.3, rows=(top_row, np.minimum(edge, 122)))
        for side in (-1, 1) if is_long else ():
            lock = x + side * (width + 0.4 * volume)
            canvas.oval(lock, 150, 4 + 0.4 * volume, 99, hair * stripes, power=6, rows=(112, length))


def _draw_features(canvas: _Canvas, face: Face) -> None:
    """Draw eyes, brows, nose, mouth, beard and make-up."""
    (turn, width, _, chin), skin, hair = _skull(face), _skin(face), _hair(face)
    x, makeup = MIDDLE + LIPS * turn, face.has("Heavy_Makeup")
    shadow, dark = _mix(skin, BLACK, 0.5), _mix(hair, BLACK, 0.5)
    canvas.oval(MIDDLE + SKULL * turn, 150, width - 4, chin - 150, dark, 0.45 * face.has("5_o_Clock_Shadow"), soft=12)
    canvas.oval(x, chin - 12, 17, 15, dark, 0.9 * face.has("Goatee"), soft=6)
    canvas.oval(x, 143, 19, 4, dark, 0.9 * face.has("Mustache", "Goatee"), soft=2, bend=4)
    openness = face.value("eyes", 0.55, 0.75) + (0 if face.has("Narrow_Eyes") else 0.45)
    thick = face.value("brow", 1.2, 2) + 1.2 * face.has("Bushy_Eyebrows")
    rise = face.value("rise", 2.5, 4) * face.has("Arched_Eyebrows")
    iris = IRISES[int(face.value("iris", 0, len(IRISES)))]
    for side, (eye, y) in zip((-1, 1), EYES, strict=True):
        canvas.oval(MIDDLE + side * 27, 137, 12, 9, RED, 0.4 * face.has("Rosy_Cheeks"), soft=8)
        canvas.oval(eye, y - 4, 13, 8, BLACK, 0.45 * makeup, soft=5)
        canvas.oval(eye, y, 9.6, 4.4 * openness, (236, 232, 228))
        lids = (y - 4.4 * openness, y + 4.4 * openness)
        for radius, colour in ((4.5, iris), (2.2, BLACK)):
            canvas.oval(eye + face.value("gaze", -3, 3), y - 0.5, radius, radius, colour, rows=lids)
        canvas.oval(eye, lids[0] - 0.5, 10, 1 + 0.8 * makeup, _mix(skin, BLACK, 0.85), bend=4 * openness)
        canvas.oval(eye, y + 9, 9, 0.9, shadow, face.has("Bags_Under_Eyes"), bend=-3)
        canvas.oval(eye + side, 97 - rise, 12.5, thick, dark, bend=1.5 + rise)
        near = side * (face.value("nose", 8, 11) + 3 * face.has("Big_Nose")) * (1 - 0.25 * side * turn)
        canvas.oval(MIDDLE + NOSE * turn + near * 0.5, 137, abs(near) * 0.25, 1.5, _mix(skin, BLACK, 0.7))
        canvas.oval(MIDDLE + NOSE * turn + near, 134, 1.2, 4, shadow)
        crease = 0.4 * face.has("Smiling") + 0.6 * (not face.has("Young"))
        canvas.oval(x + side * 22, 144, 1.2, 9, shadow, crease, soft=2)
    smile = face.value("smile", 3.5, 6) if face.has("Smiling") else face.value("smile", -4, 1)
    half, full = face.value("mouth", 13.5, 17.5) + max(0, smile) / 2, 2.2 + 2.2 * face.has("Big_Lips")
    gap = face.value("gap", 2, 4.5) * face.has("Mouth_Slightly_Open")
    lip = _mix(_mix(skin, (150, 48, 52), 0.4), RED, 0.75 * face.has("Wearing_Lipstick"))
    middle = MOUTH + smile / 2
    canvas.oval(x, middle, half, full + gap, lip, bend=-smile)
    canvas.oval(x, middle, half - 1.5, max(gap, 0.7), (50, 16, 18), bend=-smile)
    canvas.oval(x, middle - gap * 0.35, half - 3, gap * 0.6, (238, 234, 226), bend=-smile) if gap else None


def _draw_worn(canvas: _Canvas, face: Face) -> None:
    """Draw earrings, glasses and hat."""
    turn, width, crown, _ = _skull(face)
    x, is_dark = MIDDLE + SKULL * turn, face.value("dark glasses", 0, 1) > 0.7
    for side, (eye, y) in zip((-1, 1), EYES, strict=True):
        ear = MIDDLE + BEHIND * turn + side * (width + 1)
        canvas.oval(ear, 141, 2.5, 4, (255, 240, 180), face.has("Wearing_Earrings"), is_lit=False)  # metal shines
        if face.has("Eyeglasses"):
            canvas.oval(eye + side, y + 1, 17, 12, BLACK, power=face.value("frame", 2, 5), hollow=0 if is_dark else 2)
            canvas.oval(x + side * width * 0.85, y - 3, 6, 1, BLACK)
    canvas.oval(MIDDLE, 108, 5, 1, BLACK, face.has("Eyeglasses"))
    if face.has("Wearing_Hat"):
        colour, brim = np.asarray(face.colour("hat")), face.value("brim", 0, 1) > 0.5
        canvas.oval(x, 88, width + 7, 104 - crown + 12 * brim, colour, power=3, rows=(0, 88))
        canvas.oval(x, 82, width + 8, 7, colour * 0.55, power=8)
        canvas.oval(x, 88, width + 30, 6, colour * 0.8, strength=brim)


def _light(face: Face) -> np.ndarray:
    """Return how brightly the relief of a head is lit, (218, 178): 1 is the drawn colour."""
    turn, width, _, chin = _skull(face)
    y, x = np.mgrid[: SIZE[1] : 2, : SIZE[0] : 2] + 1.0  # every second pixel is enough

    def hill(at_x: float, at_y: float, wide: float, high: float) -> np.ndarray:
        return np.exp(-(((x - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2)

    height = 52 * hill(MIDDLE + SKULL * turn, 112, width + 14, 88) + 4 * hill(MIDDLE, chin - 9, 12, 7)
    height += 8 * hill(MIDDLE + NOSE * turn, 128, 6, 16) + 2 * hill(MIDDLE + LIPS * turn, MOUTH, 17, 7)
    reaching = 1 - 0.25 * hill(MIDDLE + NOSE * turn, 141, 11, 3.5) - 0.4 * hill(MIDDLE, chin + 7, 60, 11)
    for eye, eye_y in EYES:
        height -= 4.5 * hill(eye, eye_y - 1, 12, 8)
        reaching -= 0.2 * hill(eye, eye_y - 2, 13, 8)
    down, across = np.gradient(height, 2.0)
    light = np.array([face.value("light across", -1.3, 1.3), face.value("light down", -1.2, 0.4), 1.1])
    normal = np.stack([-across, -down, np.ones_like(down)]) / np.sqrt(across**2 + down**2 + 1)
    facing = np.maximum(np.tensordot(light / np.linalg.norm(light), normal, 1), 0)
    return ((0.4 + 0.7 * facing) * reaching).repeat(2, axis=0).repeat(2, axis=1)
