"""A drawn face in place of a CelebA photo: its attributes in CelebA's words, and its picture.

The picture is made of flat shapes at twice the photo's size; light on the relief of a head then makes it look round.
Positions and lengths are photo pixels, from the upper left corner.
"""

from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

RGB = tuple[int, int, int]
Points = np.ndarray | list[tuple[float, float]]

SIZE = (178, 218)  # width and height of CelebA's aligned photos
EYES = ((69.0, 111.0), (108.0, 111.0))  # where the alignment puts them
MIDDLE, MOUTH = 88.5, 152.0  # x between the eyes, y of the lips
BEHIND, SKULL, LIPS, NOSE = -9.0, -5.5, 2.0, 6.0  # how far a turned head moves its layers, while the eyes stay
SCALE = 2  # shapes are drawn this many times larger, and averaged down for smooth edges
BACKDROP, LIT = 0, 255  # fourth value of a drawn pixel: whether the light on the head falls on it

SKINS = ((92, 62, 48), (158, 112, 84), (204, 156, 126), (226, 182, 154))
PALE_SKIN = (242, 214, 196)
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

    def colour(self, name: str, low: int, high: int) -> RGB:
        """Return a colour whose parts lie within 50 of a brightness that is drawn so."""
        grey = self.value(name, low, high)
        return tuple(round(grey + self.value(f"{name} {part}", -50, 50)) for part in ("red", "green", "blue"))

    @property
    def skull(self) -> tuple[float, float, float, float]:
        """How far the head is turned, -1 left to 1 right; half its width; y of its crown; y of its chin."""
        return (
            self.value("turn", -1, 1),
            self.value("width", 38, 46),
            self.value("crown", 42, 54),
            self.value("chin", 176, 190),
        )

    @property
    def is_long_haired(self) -> bool:
        """Whether the hair falls below the chin."""
        return not self.has("Bald") and self.value("long hair", 0, 1) > (0.8 if self.has("Male") else 0.4)

    @property
    def skin(self) -> RGB:
        """Colour of the skin."""
        tone = self.value("skin", 0, len(SKINS) - 1.001)
        return PALE_SKIN if self.has("Pale_Skin") else mix(SKINS[int(tone)], SKINS[int(tone) + 1], tone % 1)

    @property
    def shade(self) -> RGB:
        """Colour of folds and lines on the skin."""
        return mix(self.skin, (40, 14, 8), 0.42)

    @property
    def hair(self) -> RGB:
        """Colour of hair, brows and beard."""
        name = next((name for name in HAIR_COLOURS if self.has(name)), "Brown_Hair")
        return mix(HAIR_COLOURS[name], self.colour("hair", 50, 200), self.value("dye", 0, 0.12))


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Return the colour between `a` (share 0) and `b` (share 1)."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))


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
    canvas = _backdrop(face, rng)
    pen = _Pen(canvas)
    inner, outer = _hair_edges(face)
    _draw_body(pen, face, outer)
    _draw_nose(pen, face)
    _tint(canvas, face)
    for side, eye in zip((-1, 1), EYES, strict=True):
        _draw_eye(pen, face, side, *eye)
    _draw_mouth(pen, face)
    if not face.has("Bald"):
        _draw_hair(pen, face, inner, outer, rng)
    _draw_worn(pen, face)
    return _photograph(canvas, face, rng)


class _Pen:
    """Draws shapes, points (n, 2) in photo pixels, onto the larger canvas."""

    def __init__(self, canvas: Image.Image):
        self._draw = ImageDraw.Draw(canvas)

    def fill(self, points: Points, colour: RGB, lit: int = LIT) -> None:
        self._draw.polygon((np.asarray(points) * SCALE).ravel().tolist(), fill=(*colour, lit))

    def stroke(self, points: Points, colour: RGB, width: float = 1.3) -> None:
        self._draw.line((np.asarray(points) * SCALE).ravel().tolist(), (*colour, LIT), max(1, round(width * SCALE)))


def _oval(x: float, y: float, rx: float, ry: float, power: float = 1.0) -> np.ndarray:
    """Return an ellipse, or with less power a rounded box: (28, 2)."""
    angle = np.linspace(0, 2 * np.pi, 28)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x + rx * np.sign(cos) * abs(cos) ** power, y + ry * np.sign(sin) * abs(sin) ** power], axis=1)


def _moved(points: Points, right: float, down: float) -> np.ndarray:
    return np.asarray(points) + np.array((right, down))


def _mirrored(half: Points, x: float) -> np.ndarray:
    """Return a line, (n, 2), continued by its mirror image at `x`: (2n, 2)."""
    half = np.asarray(half)
    return np.concatenate([half, _moved(half * (-1, 1), 2 * x, 0)[::-1]])


def _area(x: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return the area between two lines over the same x, all (n,): (2n, 2)."""
    return np.stack([np.concatenate([x, x[::-1]]), np.concatenate([upper, lower[::-1]])], axis=1)


def _backdrop(face: Face, rng: np.random.Generator) -> Image.Image:
    """Return the canvas with something out of focus on it."""
    far, near = face.colour("far", 50, 205), face.colour("near", 50, 205)
    small = Image.new("RGBX", (45, 55), (*far, BACKDROP))
    for x, y, r, share in rng.uniform((0, 0, 2, 0), (45, 55, 9, 0.8), (rng.integers(40), 4)).tolist():
        ImageDraw.Draw(small).ellipse((x - r, y - r, x + r, y + r), fill=(*mix(far, near, share), BACKDROP))
    small = small.filter(ImageFilter.GaussianBlur(1))
    return small.resize((SIZE[0] * SCALE, SIZE[1] * SCALE), Image.Resampling.BILINEAR)


def _draw_body(pen: _Pen, face: Face, hair: np.ndarray) -> None:
    """Draw the hair at the back, ears, neck and clothes, and the head before them."""
    turn, width, _, _ = face.skull
    x, half = MIDDLE + BEHIND * turn, width * (0.68 if face.has("Male") else 0.56)
    if face.is_long_haired:
        pen.fill(_moved(hair, (BEHIND - SKULL) * turn, 0), mix(face.hair, (8, 6, 6), 0.5))
    else:
        for side in (-1, 1):
            pen.fill(_oval(x + side * (width + 1.5), 121, 6, 13), mix(face.skin, (90, 30, 20), 0.15))
    pen.fill([(x - half, 140), (x + half, 140), (x + half, 219), (x - half, 219)], mix(face.skin, (40, 18, 10), 0.3))
    shoulder = [(x - 100, 222), (x - 84, 212), (x - half - 24, 202), (x - half - 1, 193), (x, 206)]
    pen.fill(_mirrored(shoulder, x), face.colour("cloth", 50, 200))
    if face.has("Wearing_Necktie"):
        pen.fill([(x - 5, 203), (x + 5, 203), (x + 9, 222), (x - 9, 222)], face.colour("tie", 50, 200))
    pen.fill(_outline(face), face.skin)


def _outline(face: Face, larger: float = 0.0) -> np.ndarray:
    """Return the edge of the head, (48, 2), clockwise from the right cheekbone; the first 25 points are the jaw."""
    turn, width, crown, chin = face.skull
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    power = np.where(sin > 0, face.value("jaw", 0.8, 0.9 if face.has("Male") else 1.05), 0.86)
    x = np.sign(cos) * abs(cos) ** power * (width + larger)
    y = abs(sin) ** power * np.where(sin > 0, chin - 114 + larger, crown - 114)
    return np.stack([x + MIDDLE + SKULL * turn, y + 114], axis=1)


def _tint(canvas: Image.Image, face: Face) -> None:
    """Lay colour softly on the skin: beard, blush, eye shadow."""
    x, dark, jaw = MIDDLE + LIPS * face.skull[0], mix(face.hair, (20, 14, 12), 0.6), _outline(face, -1)[:25]
    around_mouth = _mirrored([(jaw[24, 0] + 9, 122), (x - 21, 146), (x - 9, 141)], jaw[[0, 24], 0].mean())
    mustache = _mirrored([(x, 149), (x - 20, 153), (x - 13, 143), (x - 3, 141)], x)
    cheeks = [_oval(MIDDLE + side * 27, 137, 11, 8) for side in (-1, 1)]
    for name, colour, strength, shapes in (
        ("5_o_Clock_Shadow", dark, 0.4, [np.concatenate([jaw, around_mouth])]),
        ("Mustache", dark, 0.92, [mustache]),
        ("Goatee", dark, 0.92, [mustache, _oval(x, 172, 17, 14)]),
        ("Rosy_Cheeks", mix(face.skin, (205, 60, 70), 0.6), 0.6, cheeks),
        ("Heavy_Makeup", mix(face.skin, (50, 30, 40), 0.75), 0.6, [_oval(eye, y - 4, 12, 7) for eye, y in EYES]),
    ):
        if face.has(name):
            mask = Image.new("L", SIZE)
            for shape in shapes:
                ImageDraw.Draw(mask).polygon(shape.ravel().tolist(), fill=round(255 * strength))
            canvas.paste((*colour, LIT), (0, 0), mask.filter(ImageFilter.GaussianBlur(2)).resize(canvas.size))


def _draw_eye(pen: _Pen, face: Face, side: int, x: float, y: float) -> None:
    """Draw the eye at x, y, and its brow."""
    u, makeup = np.linspace(-1, 1, 13), face.has("Heavy_Makeup")
    xs, openness = x + 9.4 * u, face.value("eyes", 0.55, 0.75) + (0 if face.has("Narrow_Eyes") else 0.45)
    upper, lower = y + 0.6 - 5.0 * openness * (1 - u**2) ** 0.75, y + 0.6 + 3.2 * openness * (1 - u**2)
    pen.stroke(np.stack([xs, upper - 3.4], axis=1), face.shade)
    pen.fill(_area(xs, upper, lower), (236, 232, 228))
    iris = IRISES[int(face.value("iris", 0, len(IRISES)))]
    for radius, colour in ((4.6, mix(iris, (10, 8, 8), 0.55)), (3.9, iris), (2.0, (8, 8, 10))):
        ring = _oval(x + face.value("gaze", -3.2, 3.2), y - 0.8, radius, radius)
        ring[:, 1] = np.clip(ring[:, 1], np.interp(ring[:, 0], xs, upper), np.interp(ring[:, 0], xs, lower))
        pen.fill(ring, colour)
    pen.stroke(np.stack([xs, upper], axis=1), mix(face.skin, (14, 8, 8), 0.85), 1.4 + 1.1 * makeup)
    pen.stroke(np.stack([xs, lower], axis=1), face.shade, 1 + makeup)
    if face.has("Bags_Under_Eyes"):
        pen.stroke(np.stack([xs, y + 8.5 + 2.5 * (1 - u**2)], axis=1)[1:-1], face.shade)
    outwards, rise = np.linspace(0, 1, 9), face.value("rise", 2.5, 4) * face.has("Arched_Eyebrows")
    arch = 98.5 - rise - (1.5 + rise) * np.sin(np.pi * outwards**1.3)
    thick = (3.0 if face.has("Bushy_Eyebrows") else face.value("brows", 1, 2)) * np.clip(1.15 - outwards**2, 0.2, 1)
    pen.fill(_area(x + side * (24 * outwards - 11), arch - thick, arch + thick), mix(face.hair, (24, 16, 12), 0.45))


def _draw_nose(pen: _Pen, face: Face) -> None:
    """Draw the nose, and the folds beside it, which a smile or age deepens."""
    turn, *_ = face.skull
    x = MIDDLE + NOSE * turn * 0.9
    for side in (-1, 1):
        near = side * _nose_width(face) * (1 - 0.25 * side * turn)
        pen.stroke([(x + near * 0.92, 129), (x + near * 1.05, 135), (x + near * 0.8, 138.5)], face.shade)
        pen.fill(_oval(x + near * 0.45, 137.2, abs(near) * 0.24, 1.5), mix(face.skin, (20, 6, 6), 0.75))
        corner, depth = MIDDLE + LIPS * turn + side * 23, 0.3 * face.has("Smiling") + 0.4 * (not face.has("Young"))
        fold = [(x + near + 3 * side, 133), (corner, 143), (corner + side, MOUTH + 2)]
        pen.stroke(fold, mix(face.skin, (40, 14, 8), min(depth, 0.45)))


def _nose_width(face: Face) -> float:
    """Return half the width of the nose."""
    return face.value("nose", 8, 11) + (3 if face.has("Big_Nose") else 0)


def _draw_mouth(pen: _Pen, face: Face) -> None:
    u = np.linspace(-1, 1, 17)
    bow, full = 1 - u**2, 3.8 if face.has("Big_Lips") else face.value("lips", 1.5, 3)
    smile = face.value("smile", 0.45, 1) if face.has("Smiling") else face.value("smile", -0.9, 0.3)
    gap = face.value("gap", 2.5, 8) * face.has("Mouth_Slightly_Open")
    x = MIDDLE + LIPS * face.skull[0] + (face.value("mouth", 13.5, 17.5) + 2.5 * max(0.0, smile)) * u
    line = MOUTH + smile * (2.2 - 5.2 * u**2)
    top, bottom = line - gap * 0.35 * bow, line + gap * bow
    over = top - full * (bow**0.7 - 0.35 * np.exp(-((u / 0.16) ** 2)))
    lip = mix(face.skin, (150, 48, 52), 0.28 if face.has("Male") else 0.42)
    lip = mix(lip, (172, 22, 44), 0.7 * face.has("Wearing_Lipstick"))
    pen.fill(_area(x, over, bottom + 1.35 * full * bow**0.8), lip)
    pen.stroke(np.stack([x, line], axis=1), mix(lip, (20, 0, 0), 0.7))
    if gap:
        pen.fill(_area(x, top, bottom), (58, 18, 20))
        pen.fill(_area(x, top, top + (bottom - top) * (0.75 if face.has("Smiling") else 0.35)), (238, 234, 226))


def _hair_edges(face: Face) -> tuple[np.ndarray, np.ndarray]:
    """Return the inner and the outer edge of the hair, both (41, 2), from lower left over the top to lower right."""
    turn, width, crown, _ = face.skull
    angle = np.linspace(np.pi, 2 * np.pi, 25)
    cos, sin = np.sign(np.cos(angle)) * abs(np.cos(angle)) ** 0.8, -(abs(np.sin(angle)) ** 0.8)
    low = face.value("length", 150, 222) if face.is_long_haired else 116.0
    volume = 4.0 if face.has("Receding_Hairline", "Wearing_Hat") else face.value("volume", 4, 18)
    parting, line = face.value("parting", -1, 1), face.value("hairline", 66, 82)
    outer = np.stack([cos * (width + 0.7 * volume), 112 + sin * (112 - crown + volume)], axis=1)
    inner = np.stack([cos * width * 0.94, 104 + sin * (104 - line)], axis=1)
    # Parted hair falls lower on the wider side, bangs fall to the brows, and a receding hairline leaves a wreath.
    falls = np.maximum(np.clip(parting * cos, 0, 0.5), 0.85 * face.has("Bangs")) * sin**2
    inner[:, 1] += (98 - inner[:, 1]) * falls
    inner += (_moved(outer, 0, 3) - inner) * (0.8 * sin**2 * face.has("Receding_Hairline"))[:, None]
    wave, edges = face.value("wave", 1.5, 5) * face.has("Wavy_Hair"), []
    for arc in (inner, outer):
        sides = [np.linspace((end[0] * 1.03, low), end, 8, endpoint=False) for end in (arc[0], arc[-1])]
        edge = _moved(np.concatenate([sides[0], arc, sides[1][::-1]]), MIDDLE + SKULL * turn, 0)
        edge[:, 0] += wave * np.sin(edge[:, 1] / 7) * np.clip((edge[:, 1] - 90) / 30, 0, 1)
        edges.append(edge)
    return edges[0], edges[1]


def _draw_hair(pen: _Pen, face: Face, inner: np.ndarray, outer: np.ndarray, rng: np.random.Generator) -> None:
    """Draw the hair at the front: its whole shape, then curls, or strands from the parting down, lighter and darker."""
    pen.fill(np.concatenate([inner, outer[::-1]]), face.hair)
    light = mix(face.hair, (255, 236, 210), 0.12 if max(face.hair) < 80 else 0.22)
    dark, start = mix(face.hair, (4, 2, 2), 0.45), 20 + round(face.value("parting", -5, 5))
    is_curly = face.has("Wavy_Hair") and (not face.is_long_haired or face.value("curls", 0, 1) > 0.6)
    for depth, tone in rng.uniform((0.03, 0), (0.97, 1), (50, 2)).tolist():
        line, colour = inner + (outer - inner) * depth, mix(dark, light, tone)
        if is_curly:
            for x, y in line[rng.integers(0, len(line), 4)]:
                pen.fill(_oval(x, y, 3.5, 3.5), colour)
        else:
            pen.stroke(line[: start + 1] if rng.random() < 0.5 else line[start:], colour, 0.8)


def _draw_worn(pen: _Pen, face: Face) -> None:
    """Draw earrings, glasses and hat."""
    turn, width, crown, _ = face.skull
    x, black = MIDDLE + SKULL * turn, (20, 17, 18)
    for side, (eye, y) in zip((-1, 1), EYES, strict=True):
        if face.has("Wearing_Earrings"):
            shining = BACKDROP  # metal shines in any light
            pen.fill(_oval(MIDDLE + BEHIND * turn + side * (width + 1), 141, 2.5, 4), (250, 232, 170), shining)
        if face.has("Eyeglasses"):
            ring = _oval(eye + side * 1.5, y + 1.5, 16, 11.5, face.value("frame", 0.4, 1))
            if face.value("dark glasses", 0, 1) > 0.7:
                pen.fill(ring, black)
            pen.stroke(ring, black, 1.9)
            pen.stroke([(eye + side * 17, y - 2), (x + side * width, y - 3)], black, 1.9)
            pen.stroke([(eye - side * 14, y - 1), (MIDDLE, y - 3)], black, 1.9)
    if face.has("Wearing_Hat"):
        colour, w, has_brim = face.colour("hat", 50, 200), width + 6, face.value("brim", 0, 1) > 0.5
        pen.fill(_oval(x, 90, w, 100 - crown + 12 * has_brim, 0.8)[14:], colour)
        pen.fill([(x - w - 1, 90), (x + w + 1, 90), (x + w, 76), (x - w, 76)], mix(colour, (0, 0, 0), 0.4))
        if has_brim:
            pen.fill(_oval(x, 88, w + 24, 8), mix(colour, (0, 0, 0), 0.15))


def _photograph(canvas: Image.Image, face: Face, rng: np.random.Generator) -> Image.Image:
    """Return the canvas averaged down and lit, with the camera's blur and noise."""
    *colours, lit = canvas.reduce(SCALE).filter(ImageFilter.BoxBlur(float(face.has("Blurry")))).split()
    gain = np.where(np.asarray(lit) > 127, _light(face), 1.0) * face.value("exposure", 0.9, 1.25)
    noise = rng.normal(0, 2, gain.shape)
    planes = [np.asarray(colour) * gain + noise for colour in colours]
    return Image.merge("RGB", [Image.fromarray(plane.clip(0, 255).astype(np.uint8)) for plane in planes])


def _light(face: Face) -> np.ndarray:
    """Return how brightly the relief of a head is lit, (218, 178): 1 is the drawn colour."""
    turn, width, _, chin = face.skull
    y, x = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5

    def hill(at_x: float, at_y: float, wide: float, high: float) -> np.ndarray:
        return np.exp(-(((x - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2)

    down = np.clip((y - 98) / 36, 0, 1)  # along the nose
    ridge = np.exp(-(((x - MIDDLE - NOSE * turn * down) / (3.2 + 0.55 * (_nose_width(face) - 4) * down)) ** 2))
    height = 52 * hill(MIDDLE + SKULL * turn, 112, width + 14, 88) + 11 * down * ridge / (1 + np.exp((y - 138) / 1.6))
    height += 2.2 * hill(MIDDLE + LIPS * turn, MOUTH + 1, 17, 7) + 4 * hill(MIDDLE, chin - 9, 12, 7)
    reaching = 1 - 0.25 * hill(MIDDLE + NOSE * turn, 141, 11, 3.5) - 0.4 * hill(MIDDLE, chin + 7, 60, 11)
    for side, (eye, eye_y) in zip((-1, 1), EYES, strict=True):
        height += 3.5 * hill(MIDDLE + side * 27, 136, 13, 11) - 4.5 * hill(eye, eye_y - 1, 12, 8)
        reaching -= 0.25 * hill(eye, eye_y - 2, 13, 8)
    down, across = np.gradient(height)
    light = np.array([face.value("light across", -1.3, 1.3), face.value("light down", -1.2, 0.4), 1.1])
    normal = np.stack([-across, -down, np.ones_like(down)]) / np.sqrt(across**2 + down**2 + 1)
    return (0.4 + 0.7 * np.maximum(np.tensordot(light / np.linalg.norm(light), normal, 1), 0)) * reaching
