"""The shapes of a drawn face, from the backdrop to the hat, each in one flat colour. Positions are photo pixels."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from preprocess.drawn_face.face import BEHIND, EYES, LIPS, MIDDLE, MOUTH, NOSE, SIZE, SKULL, WIDEST, Face, Head, mix
from preprocess.drawn_face.pen import BACKDROP, DOME, LARGER, Pen, between, curve, lay, mirrored, moved, rounded


def paint(face: Face) -> Image.Image:
    """Paint the face and what is around it: 356x436, RGBX, X being BACKDROP, DOME or SKIN."""
    rng = np.random.default_rng(face.seed)
    canvas = _backdrop(face, rng)
    pen = Pen(canvas)
    inner, outer = _hair_edges(face, rng)
    _draw_hair_behind(pen, face, outer)
    _draw_body(pen, face)
    pen.fill(_outline(face.head), face.head.skin)
    _draw_tints(canvas, face)
    for side, eye in zip((-1, 1), EYES, strict=True):
        _draw_eye(pen, face, side, eye)
        _draw_brow(pen, face, side, eye[0])
        _draw_nostril_and_folds(pen, face, side)
    _draw_mouth(pen, face)
    if not face.hair.bald:
        _draw_hair(pen, face, inner, outer, rng)
    _draw_worn(pen, face)
    return canvas


# ---- around the face -------------------------------------------------------------------------------------------


def _backdrop(face: Face, rng: np.random.Generator) -> Image.Image:
    """Paint something out of focus: small, then smoothly enlarged."""
    scene = face.scene
    wide, high = 45, 55
    small = Image.new("RGBX", (wide, high), (*scene.far, BACKDROP))
    pen = ImageDraw.Draw(small)

    def shade(part: float) -> tuple[int, int, int, int]:
        return (*mix(scene.far, scene.near, part), BACKDROP)

    if scene.backdrop == "plain":
        for y in range(high):
            pen.line((0, y, wide, y), fill=shade(0.6 * y / high))
    elif scene.backdrop == "board":
        for row, y in enumerate(range(-3, high, 9)):
            for x in range(-6 * (row % 2) - face.seed % 9, wide, 13):
                pen.rectangle((x, y, x + rng.integers(5, 9), y + 2), fill=shade(rng.random()))
    elif scene.backdrop == "bars":
        for x in np.cumsum(rng.uniform(2, 9, 20)) - 5:
            pen.rectangle((x, 0, x + wide, high), fill=shade(rng.random()))
    else:
        count, reach = (18, 7) if scene.backdrop == "bokeh" else (70, 4)
        for x, y, r, part in rng.uniform((0, 0, reach / 3, 0), (wide, high, reach, 1), (count, 4)).tolist():
            pen.ellipse((x - r, y - r, x + r, y + r), fill=shade(part))
    # Enlarged in two steps: only the first must be smooth, and at the photo's own size that is cheap.
    photo = small.filter(ImageFilter.GaussianBlur(1)).resize(SIZE, Image.Resampling.BILINEAR)
    return photo.resize((SIZE[0] * LARGER, SIZE[1] * LARGER), Image.Resampling.NEAREST)


def _draw_body(pen: Pen, face: Face) -> None:
    """Draw ears, neck, shoulders and what covers them."""
    head, worn = face.head, face.worn
    if face.hair.bald or face.hair.length <= 130:
        for s in (-1, 1):
            x = MIDDLE + BEHIND * head.turn + s * (head.width + 1.5)
            pen.disc(x, 121, 6, 13, mix(head.skin, (90, 30, 20), 0.12), DOME)
            pen.disc(x + s, 121, 3, 8, mix(head.skin, (60, 20, 12), 0.35), DOME)
    x, half = MIDDLE + (BEHIND + 2) * head.turn, head.width * (0.68 if face.male else 0.56)
    throat = curve([(x - half, 140), (x - half, 190), (x - half - 6, 204), (x - half - 40, 219)])
    pen.fill(mirrored(throat, x), mix(head.skin, (40, 18, 10), 0.16), DOME)
    if worn.garment == "bare":
        for s in (-1, 1):
            pen.stroke([(x + s * (half + 12), 200), (x + s * (half + 8), 222)], worn.cloth, 5, DOME)
        return
    if worn.garment == "suit":
        pen.fill(mirrored([(x - 24, 222), (x - half - 3, 188), (x, 206)], x), (228, 228, 232), DOME)
    if worn.necktie:
        pen.fill([(x - 5, 205), (x + 5, 205), (x + 9, 222), (x - 9, 222)], worn.tie, DOME)
    shoulder = [(x - 100, 222), (x - 84, 212), (x - half - 16, 200), (x - half - 1, 193), (x - half * 0.6, 200)]
    left = curve([*shoulder, (x, 206 if worn.garment == "crew" else 240)])
    pen.fill(mirrored(left, x), worn.cloth, DOME)
    pen.stroke(mirrored(left[18:], x), mix(worn.cloth, (0, 0, 0), 0.35), 1.5, DOME)


# ---- the face --------------------------------------------------------------------------------------------------


def _outline(head: Head, larger: float = 0.0) -> np.ndarray:
    """Return the edge of the head, (48, 2), clockwise from the right cheekbone; points 0 to 24 are the jaw."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    power = np.where(sin > 0, 2 / (1.85 + 0.75 * head.jaw), 0.86)
    x = np.sign(cos) * np.abs(cos) ** power * (head.width + larger)
    y = np.abs(sin) ** power * np.where(sin > 0, head.chin - WIDEST + larger, head.crown - WIDEST)
    return np.stack([x + MIDDLE + SKULL * head.turn, y + WIDEST], axis=1)


def _draw_tints(canvas: Image.Image, face: Face) -> None:
    """Lay soft colour on the skin: beard, blush, eye shadow."""
    head, worn = face.head, face.worn
    x, y = MIDDLE + LIPS * head.turn, MOUTH
    dark = mix(face.hair.colour, (20, 14, 12), 0.35)
    mouth = curve([(x - 15, y + 1), (x, y - 5), (x + 15, y + 1), (x, y + 9 + face.look.gap), (x - 15, y + 1)])
    if worn.beard in ("stubble", "full"):
        jaw = _outline(head, 4 if worn.beard == "full" else -1)[:25]
        cheeks = mirrored([(jaw[24, 0] + 9, 122), (x - 21, y - 6), (x - 9, y - 11)], (jaw[0, 0] + jaw[24, 0]) / 2)
        lay(canvas, dark, 0.92 if worn.beard == "full" else 0.34, [np.concatenate([jaw, cheeks])], mouth)
    elif worn.beard:
        lip = curve(mirrored([(x, y - 3), (x - 20, y + 1), (x - 13, y - 9), (x - 3, y - 11)], x))
        tuft = curve([(x - 19, y), (x - 15, y + 18), (x, head.chin + 2), (x + 15, y + 18), (x + 19, y)])
        lay(canvas, dark, 0.92, [lip, tuft] if worn.beard == "goatee" else [lip], mouth)
    cheeks = [rounded(x + s * 27, 137, 11, 8) for s in (-1, 1)]
    lay(canvas, mix(head.skin, (205, 60, 70), 0.6), 0.7 * head.blush, cheeks)
    lids = [rounded(ex, ey - 4, 12, 7) for ex, ey in EYES]
    lay(canvas, mix(head.skin, (50, 30, 40), 0.75), 0.75 * worn.makeup, lids)


def _draw_eye(pen: Pen, face: Face, side: int, eye: tuple[float, float]) -> None:
    head, look, makeup = face.head, face.look, face.worn.makeup
    x, y = eye
    u = np.linspace(-1, 1, 13)  # from the left corner to the right one
    xs = x + (9.6 - 0.8 * max(0.0, side * head.turn)) * u
    slant = y + 0.6 - look.tilt * (1 + side * u) / 2
    upper = slant - 5.0 * look.openness * (1 - u**2) ** 0.75
    lower = slant + 3.2 * look.openness * (1 - u**2) * (1 - 0.25 * max(0.0, look.smile))
    lid, under = np.stack([xs, upper], axis=1), np.stack([xs, lower], axis=1)
    fold = mix(head.skin, (30, 12, 8), 0.42)
    pen.stroke(moved(lid, 0, -3.4), fold, 1.2)
    pen.fill(between(xs, upper, lower), (236, 232, 228))
    ix, iy = x + look.gaze[0] * 3.2, y - 0.8 + look.gaze[1] * 1.5
    for radius, colour in ((4.6, mix(look.iris, (10, 8, 8), 0.55)), (3.9, look.iris), (2.0, (8, 8, 10))):
        ring = rounded(ix, iy, radius, radius)
        ring[:, 1] = np.clip(ring[:, 1], np.interp(ring[:, 0], xs, upper), np.interp(ring[:, 0], xs, lower))
        pen.fill(ring, colour)
    pen.disc(ix + 1.5 * face.scene.light[0], iy - 1.4, 0.9, 0.9, (252, 252, 252))
    pen.stroke(lid, mix(head.skin, (14, 8, 8), 0.8 + 0.2 * makeup), 1.4 + 1.1 * makeup)
    pen.stroke(under, mix(head.skin, (30, 12, 8), 0.4 + 0.4 * makeup), 1)
    if head.age > 0.6:
        pen.stroke(np.stack([xs, y + 8.5 + 2.5 * (1 - u**2)], axis=1)[1:-1], fold, 1.2)


def _draw_brow(pen: Pen, face: Face, side: int, x: float) -> None:
    look = face.look
    u = np.linspace(0, 1, 9)  # from the nose outwards
    arch = (2.2 + look.brow_raise * 0.5) * np.sin(np.pi * u**1.3)
    y = 98.5 - look.brow_raise + look.brow_tilt * 3.6 * (u - 0.5) - arch
    thick = look.brow / 2 * np.clip(1.15 - u**2, 0.2, 1)
    dark = mix(mix(face.hair.colour, (24, 16, 12), 0.5), face.head.skin, 0.12)
    pen.fill(between(x + side * (-11 + 24 * u), y - thick, y + thick), dark)


def _draw_nostril_and_folds(pen: Pen, face: Face, side: int) -> None:
    """Draw one side of the nose; the fold beside it, deep in a smile or with age; the lines on the forehead."""
    head, look = face.head, face.look
    x, y, near = MIDDLE + NOSE * head.turn * 0.9, 136.0, side * head.nose * (1 - 0.25 * side * head.turn)
    wing = curve([(x + near * 0.92, y - 7), (x + near * 1.05, y - 1), (x + near * 0.8, y + 2.5)])
    pen.stroke(wing, mix(head.skin, (40, 14, 8), 0.42), 1.4)
    pen.disc(x + near * 0.45, y + 1.2, abs(near) * 0.24, 1.5, mix(head.skin, (20, 6, 6), 0.75))
    fold = max(0.0, look.smile) * 0.5 + head.age * 0.55
    if fold > 0.2 and face.worn.beard != "full":
        corner = MIDDLE + LIPS * head.turn + side * (look.mouth + 6)
        line = curve([(x + near + 3 * side, y - 3), (corner + side * 1.5, y + 8), (corner + side, MOUTH + 2)])
        pen.stroke(line, mix(head.skin, (40, 14, 8), min(0.4, 0.45 * fold)), 1.3)
    if head.age > 0.7:
        for y in (84, 90):
            pen.stroke(curve([(MIDDLE + side * 18, y + 1), (MIDDLE, y - 1)]), mix(head.skin, (40, 14, 8), 0.25), 1)


def _draw_mouth(pen: Pen, face: Face) -> None:
    head, look = face.head, face.look
    u = np.linspace(-1, 1, 17)
    bow = 1 - u**2
    x = MIDDLE + LIPS * head.turn + (look.mouth + 2.5 * max(0.0, look.smile)) * u
    line = MOUTH + look.smile * (2.2 - 5.2 * u**2)
    top, bottom = line - look.gap * 0.35 * bow, line + look.gap * bow
    thick = 1.5 + 2.8 * look.lips
    over = top - thick * (bow**0.7 - 0.35 * np.exp(-((u / 0.16) ** 2)))
    rose = mix(head.skin, (150, 48, 52), 0.28 if face.male else 0.42)
    lip = mix(rose, (172, 22, 44), 0.8 * face.worn.makeup)
    pen.fill(between(x, over, bottom + 1.35 * thick * bow**0.8), mix(lip, (255, 220, 220), 0.08))
    pen.fill(between(x, over, bottom), mix(lip, (30, 0, 0), 0.2))
    if look.gap:
        teeth = (bottom - top) * (0.75 if look.smile > 0.3 else 0.35)
        pen.fill(between(x, top, bottom), (58, 18, 20))
        pen.fill(between(x, top, top + teeth), (238, 234, 226))
    else:
        pen.stroke(np.stack([x, line], axis=1), mix(lip, (20, 0, 0), 0.7), 1.3)


# ---- hair and what is worn -------------------------------------------------------------------------------------


def _hair_edges(face: Face, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the inner and outer edge of the hair, both (49, 2), from lower left over the top to lower right."""
    head, hair = face.head, face.hair
    w, v, low, long = head.width, hair.volume, hair.length, hair.length > 130
    side = v * (0.9 if long else 0.5)
    fall = w + side + (6 if long else -1)
    outer = [(-fall, low), (-fall, (low + 110) / 2), (-w - side, 94), (-w * 0.78 - side, head.crown + 14 - v * 0.7)]
    inner = [(-w * 0.97, low), (-w * 0.95, 112), (-w * 0.9, 100), (-w * 0.7, hair.line + 11)]
    if long:
        inner[:2] = (-w * 0.9, low), (-w * 0.88, (low + 118) / 2)
    part = hair.part * w * 0.45
    outer = np.insert(mirrored(outer, 0), 4, (part * 0.3, head.crown - v), axis=0)
    inner = np.insert(mirrored(inner, 0), 4, (part, hair.line), axis=0)
    outer[1:8] += rng.normal(0, 0.12 * v, (7, 2))
    # Hair that is parted falls lower on the wider side; bangs fall to the brows.
    sweep = np.array([max(0.0, hair.part), 0.0, max(0.0, -hair.part)])
    inner[3:6, 1] += (np.array([99, 95, 99]) - inner[3:6, 1]) * np.maximum(hair.bangs, 0.55 * sweep)
    inner[3:6, 0] += (part - inner[3:6, 0]) * 0.25 * sweep
    inner[3:6] += (moved(outer[3:6], 0, 3) - inner[3:6]) * hair.recede
    inner, outer = (curve(moved(edge, MIDDLE + SKULL * head.turn, 0)) for edge in (inner, outer))
    swing = np.sin(outer[:, 1] / 7 + face.seed % 7) * hair.wave * np.clip((outer[:, 1] - 90) / 30, 0, 1)
    outer[:, 0] += swing
    inner[:, 0] += 0.6 * swing
    return inner, outer


def _draw_hair_behind(pen: Pen, face: Face, outer: np.ndarray) -> None:
    head, hair = face.head, face.hair
    if hair.bun:
        x = MIDDLE + BEHIND * head.turn + 8 * hair.part
        pen.disc(x, head.crown - 7, 17, 14, mix(hair.colour, (8, 6, 6), 0.2), DOME)
    if not hair.bald and hair.length > 130:
        pen.fill(moved(outer, (BEHIND - SKULL) * head.turn, 0), mix(hair.colour, (8, 6, 6), 0.5), DOME)


def _draw_hair(pen: Pen, face: Face, inner: np.ndarray, outer: np.ndarray, rng: np.random.Generator) -> None:
    """Draw the hair before the face: its whole shape, then curls or strands of lighter and darker tone."""
    hair, last = face.hair, len(inner) - 1
    pen.fill(np.concatenate([inner, outer[::-1]]), hair.colour, DOME)
    # On dark hair the same light strand would look white.
    light = mix(hair.colour, (255, 236, 210), 0.12 if max(hair.colour) < 80 else 0.22)
    dark = mix(hair.colour, (4, 2, 2), 0.45)
    if hair.curl:
        centres = _at(inner, outer, rng.uniform(0, last, 170), rng.uniform(-0.05, 1.1, 170)).tolist()
        looks = rng.uniform((2, 0, 0, 0), (4.5, 360, 0.45, 1), (170, 4)).tolist()
        for (x, y), (r, start, darker, lighter) in zip(centres, looks, strict=True):
            pen.disc(x, y, r, r, mix(hair.colour, dark, darker), DOME)
            pen.arc(x, y, r, start, mix(hair.colour, light, lighter), DOME)
        return
    strands = _falling(face, last, rng) if hair.length > 130 or hair.bangs > 0.6 else _combed(face, last, rng)
    tones = np.clip(rng.normal(0.5, 0.27, len(strands[0])), 0, 1).tolist()
    widths = rng.choice((0.5, 1, 1.5), len(tones)).tolist()
    for strand, tone, width in zip(_at(inner, outer, *strands), tones, widths, strict=True):
        pen.stroke(strand, mix(dark, light, tone), width, DOME)


def _falling(face: Face, last: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return strands from the parting over the skull to one side, to brows or past cheeks, as `_at` takes them."""
    count, long = 60, face.hair.length > 130
    past = (np.arange(count) % 3 > 0) & long
    start = np.full(count, last / 2 + face.hair.part * 5)
    end = np.where(past, last * rng.integers(0, 2, count), rng.uniform(8, last - 8, count))
    tips = np.where(past, rng.uniform(0.02, 0.98, count), 0)
    return _bent(start, end, rng.uniform(0.75, 1, count), rng.uniform(0.5, 1.05, count), tips)


def _combed(face: Face, last: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return strands from the hairline straight back over the skull, all leaning one way, as `_at` takes them."""
    count = 60
    start = rng.uniform(3, last - 3, count)
    end = start + 9 * face.hair.part + rng.uniform(-2, 2, count)
    return _bent(start, end, np.zeros(count), np.full(count, 0.5), rng.uniform(0.7, 1.1, count))


def _bent(
    start: np.ndarray, end: np.ndarray, root: np.ndarray, middle: np.ndarray, tip: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return places and depths, both (n, 11), of n strands with the given depths at root, middle and tip."""
    t = np.linspace(0, 1, 11)
    first, second = np.minimum(2 * t, 1), np.maximum(2 * t - 1, 0)
    depth = root[:, None] + (middle - root)[:, None] * first + (tip - middle)[:, None] * second
    return start[:, None] + (end - start)[:, None] * t, depth


def _at(inner: np.ndarray, outer: np.ndarray, place: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return points in the hair, place.shape + (2,): `place` indexes its edges, `depth` is 0 inner to 1 outer."""
    i = np.clip(place.astype(int), 0, len(inner) - 2)
    part, depth = (place - i)[..., None], depth[..., None]
    low, high = (edge[i] + (edge[i + 1] - edge[i]) * part for edge in (inner, outer))
    return low + (high - low) * depth


def _draw_worn(pen: Pen, face: Face) -> None:
    head, worn = face.head, face.worn
    if worn.earrings:
        for s in (-1, 1):
            x = MIDDLE + BEHIND * head.turn + s * (head.width + 1)
            pen.disc(x, 141, 2.5, 4, (226, 206, 140), BACKDROP)  # metal shines in any light
    if worn.glasses:
        _draw_glasses(pen, face)
    if worn.hat:
        _draw_hat(pen, face)


def _draw_glasses(pen: Pen, face: Face) -> None:
    head, kind, frame = face.head, face.worn.glasses, face.worn.frame
    for s, (x, y) in zip((-1, 1), EYES, strict=True):
        power = {"round": 1.0, "square": 0.45, "dark": 0.6}[kind]
        ring = rounded(x + s * 1.5, y + 1.5, 16, 11 if kind == "square" else 12.5, power)
        if kind == "dark":
            pen.fill(ring, (20, 20, 24))
            pen.fill(rounded(x + s * 1.5 - 4, y - 4, 7, 3), (84, 86, 94))
        pen.stroke(ring, frame, 1.9)
        pen.stroke([(x + s * 17, y - 2), (MIDDLE + SKULL * head.turn + s * head.width, y - 3)], frame, 1.9)
    pen.stroke(curve([(MIDDLE - 4, 110), (MIDDLE, 108), (MIDDLE + 4, 110)]), frame, 1.9)


def _draw_hat(pen: Pen, face: Face) -> None:
    head, kind, colour = face.head, face.worn.hat, face.worn.hat_colour
    x, w, dark = MIDDLE + SKULL * head.turn, head.width + 6, mix(colour, (0, 0, 0), 0.4)
    top = head.crown - (22 if kind == "brim" else 12)
    dome = curve([(x - w, 90), (x - w, 70), (x - w * 0.72, top + 10), (x, top)])
    edge = curve([(x - w, 90), (x, 82), (x + w, 90)])
    pen.fill(np.concatenate([mirrored(dome, x), edge[::-1]]), colour, DOME)
    if kind == "cap":
        for s in (-0.5, 0, 0.5):
            pen.stroke(curve([(x, top), (x + s * w, 60), (x + s * w * 1.1, 82)]), dark, 0.8, DOME)
        front = x + 8 * head.turn
        upper = curve([(x - w, 89), (front - w * 0.6, 78), (front, 75), (front + w * 0.6, 78), (x + w, 89)])
        lower = curve([(x + w, 89), (front + w * 0.5, 94), (front, 95), (front - w * 0.5, 94), (x - w, 89)])
        pen.fill(np.concatenate([upper, lower]), dark, DOME)
    elif kind == "beanie":
        cuff = curve([(x - w - 1, 92), (x, 85), (x + w + 1, 92)])
        pen.fill(np.concatenate([cuff, cuff[::-1] - (0, 19)]), mix(colour, (255, 255, 255), 0.2), DOME)
        for s in np.linspace(-0.95, 0.95, 15):
            pen.stroke([(x + s * w, 85 + 7 * s * s), (x + s * w, 67 + 7 * s * s)], dark, 0.8, DOME)
    else:
        pen.fill(np.concatenate([edge, edge[::-1] - (0, 11)]), dark, DOME)
        pen.fill(rounded(x, 88, w + 24, 9), mix(colour, (0, 0, 0), 0.15), DOME)
