"""The light on a drawn face, computed from the head's relief: a flat drawing looks round. Then what a camera adds."""

import numpy as np
from PIL import Image, ImageFilter

from preprocess.drawn_face.face import EYES, LIPS, MIDDLE, MOUTH, NOSE, SIZE, SKULL, Face
from preprocess.drawn_face.pen import DOME, LARGER

_MAP = (89, 109)  # light is computed for every second pixel, which is what a 64x64 crop of 128x128 pixels keeps
_X = (np.arange(_MAP[0], dtype=np.float32) * 2 + 0.5)[None, :]
_Y = (np.arange(_MAP[1], dtype=np.float32) * 2 + 0.5)[:, None]
_SHADOW_TINT = (0.92, 1.0, 1.06)  # red, green, blue: shadows on skin are reddish


def photograph(canvas: Image.Image, face: Face) -> Image.Image:
    """Reduce the painted canvas, light it and add blur and noise: 178x218, RGB."""
    scene, flat = face.scene, canvas.reduce(LARGER)
    if scene.blur:
        flat = flat.filter(ImageFilter.BoxBlur(scene.blur))
    *colours, layer = flat.split()
    layer = np.asarray(layer, dtype=np.float32) / DOME  # 0 backdrop, 1 dome, 2 skin
    skin = _enlarged(_light(_relief(face), face) * _hollows(face)) - 1
    dome = _enlarged(_light(_dome(face), face) * _neck_shadow(face)) - 1
    gain = np.minimum(layer, 1) * dome + np.maximum(layer - 1, 0) * (skin - dome)
    noise = np.random.default_rng(face.seed).standard_normal(gain.shape, dtype=np.float32) * scene.grain
    # Plane by plane: numpy is several times slower over a last axis of three.
    lit = [
        _pixels(np.asarray(colour) * (scene.exposure * (1 + gain * tint)) + noise)
        for colour, tint in zip(colours, _SHADOW_TINT, strict=True)
    ]
    return Image.merge("RGB", [Image.fromarray(plane) for plane in lit])


def _pixels(values: np.ndarray) -> np.ndarray:
    return values.clip(0, 255).astype(np.uint8)


def _enlarged(light: np.ndarray) -> np.ndarray:
    """Return a light map at the size of the photo, shape (218, 178)."""
    levels = Image.fromarray(_pixels(light * 100))
    return np.asarray(levels.resize(SIZE, Image.Resampling.BILINEAR), dtype=np.float32) / 100


def _hill(x: float, y: float, wide: float, high: float) -> np.ndarray:
    """Return a smooth hill of height 1 on the light map, shape (109, 89)."""
    return np.exp(-(((_X - x) / wide) ** 2)) * np.exp(-(((_Y - y) / high) ** 2))


def _relief(face: Face) -> np.ndarray:
    """Return the height of the face over the picture in pixels, shape (109, 89)."""
    head, look = face.head, face.look
    turn, middle = head.turn, MIDDLE + SKULL * head.turn
    rest = 1 - ((_X - middle) / (head.width + 3)) ** 2 - ((_Y - 112) / 82) ** 2
    height = 40 * np.sqrt(np.maximum(rest, 0.02))
    down = np.clip((_Y - 98) / 36, 0, 1)
    ridge = np.exp(-(((_X - MIDDLE - NOSE * turn * down) / (3.2 + 0.55 * (head.nose - 4) * down)) ** 2))
    height += 11 * down**1.3 * ridge / (1 + np.exp((_Y - 138) / 1.6))
    for s, (x, y) in zip((-1, 1), EYES, strict=True):
        height -= 4.5 * _hill(x - s, y - 1, 12, 8)
        height += (3.5 + 2 * max(0.0, look.smile)) * _hill(MIDDLE + s * 27 + turn, 136, 13, 11)
        height += 2.0 * _hill(MIDDLE + s * 16, 97, 18, 6)
    height += 2.2 * _hill(MIDDLE + LIPS * turn, MOUTH + 1, 17, 7)
    height -= 1.6 * _hill(MIDDLE + LIPS * turn, MOUTH + 14, 13, 4)
    height += 4.0 * _hill(MIDDLE + LIPS * turn, head.chin - 9, 12, 7)
    return height


def _dome(face: Face) -> np.ndarray:
    """Return the height of hair, hat and neck, a smooth dome around the head, shape (109, 89)."""
    middle = MIDDLE + SKULL * face.head.turn
    return 62 * np.exp(-(((_X - middle) / (face.head.width + 12)) ** 2) - np.minimum((_Y - 110) / 92, 0.35) ** 2)


def _light(height: np.ndarray, face: Face) -> np.ndarray:
    """Return how brightly a surface of that relief is lit: 1 is the drawn colour, shape (109, 89)."""
    dy, dx = np.gradient(height, 2.0)
    x, y = face.scene.light
    length = (x * x + y * y + 1.1**2) ** 0.5
    x, y, z = x / length, y / length, 1.1 / length
    steep = np.sqrt(dx * dx + dy * dy + 1)
    facing = (z - dx * x - dy * y) / steep
    # The gloss is where the surface faces halfway between the light and the viewer.
    gloss = np.maximum((z + 1 - dx * x - dy * y) / steep / (2 + 2 * z) ** 0.5, 0) ** 24
    ambient = face.scene.ambient
    return ambient + (1.05 - ambient) / z**0.5 * np.maximum(facing, 0) + 0.16 * gloss


def _hollows(face: Face) -> np.ndarray:
    """Return the factor, (109, 89), of light that reaches eye sockets, under nose and lip, and under hair or hat."""
    hat, hair = bool(face.worn.hat), not (face.hair.bald or face.hair.recede)
    shade = 1 - 0.3 * sum(_hill(x, y - 2, 13, 8) for x, y in EYES)
    shade -= 0.25 * _hill(MIDDLE + NOSE * face.head.turn, 141, 11, 3.5) + 0.12 * _hill(MIDDLE, MOUTH + 13, 12, 3)
    if hat or hair:
        edge = face.hair.line + 16 * hat
        shade -= (0.5 if hat else 0.25) * np.exp(-(((_Y - edge) / 10) ** 2))
    return shade


def _neck_shadow(face: Face) -> np.ndarray:
    """Return the shadow of the chin as a factor, shape (109, 89)."""
    width = np.exp(-(((_X - MIDDLE) / (face.head.width * 0.9)) ** 4))
    return 1 - 0.5 * np.exp(-(((_Y - face.head.chin - 2) / 13) ** 2)) * width
