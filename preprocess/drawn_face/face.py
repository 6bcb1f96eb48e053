"""What a drawn face is: one frozen description, filled in by chance and named in CelebA's words."""

import random
from dataclasses import dataclass

RGB = tuple[int, int, int]

# An aligned CelebA photo, in pixels from its upper left corner.
SIZE = (178, 218)  # width, height
EYES = ((69.0, 111.0), (108.0, 111.0))
MIDDLE = 88.5  # x between the eyes
MOUTH = 152.0  # y
WIDEST = 114.0  # y of the cheekbones

# Depth under a turned head: how far each layer slides at a full turn, while the eyes stay where CelebA has them.
BEHIND, SKULL, LIPS, NOSE = -9.0, -5.5, 2.0, 6.0

SKINS: tuple[RGB, ...] = (
    (92, 62, 48),
    (122, 82, 62),
    (158, 112, 84),
    (204, 156, 126),
    (226, 182, 154),
    (240, 208, 188),
)
HAIR_COLOURS: dict[str, RGB] = {
    "Black_Hair": (30, 26, 26),
    "Brown_Hair": (92, 60, 38),
    "Blond_Hair": (214, 180, 116),
    "Gray_Hair": (168, 166, 164),
    "Red_Hair": (142, 66, 30),  # CelebA has no word for it: such a photo carries none of the four
}
IRISES: tuple[RGB, ...] = ((52, 32, 20), (78, 50, 28), (70, 92, 60), (72, 104, 140), (96, 108, 116))


def mix(a: RGB, b: RGB, part: float) -> RGB:
    """Colour between `a` (part 0) and `b` (part 1)."""
    return tuple(round(x + (y - x) * part) for x, y in zip(a, b, strict=True))


@dataclass(frozen=True, slots=True)
class Head:
    """The skull, in photo pixels. `turn` is -1 (to the viewer's left) to 1; `jaw` is 0 (pointed) to 1 (square)."""

    skin: RGB
    width: float  # half the width at the cheekbones
    crown: float  # y of the top of the skull
    chin: float  # y of the chin
    jaw: float
    turn: float
    nose: float  # half the width of the nose
    age: float  # 0 young to 1 old: draws folds, bags and lines
    blush: float  # 0 none to 1


@dataclass(frozen=True, slots=True)
class Hair:
    """What grows on the skull. Heights are y in photo pixels, the rest 0..1 unless said otherwise."""

    name: str  # a key of HAIR_COLOURS
    colour: RGB
    bald: bool
    volume: float  # pixels beyond the skull
    line: float  # y of the hairline above the nose
    recede: float  # 1: none on top, a wreath at the sides
    bangs: float  # how far the front falls from the hairline to the brows
    part: float  # -1 left to 1 right: where it is parted
    length: float  # y where the sides end
    wave: float  # pixels of waviness
    curl: bool
    bun: bool


@dataclass(frozen=True, slots=True)
class Look:
    """Eyes, brows and mouth: what a face expresses. Gaze, tilt and smile run from -1 to 1."""

    iris: RGB
    openness: float  # of the eyes, 1 is usual
    gaze: tuple[float, float]
    tilt: float  # pixels the outer corner of the eye is raised
    brow: float  # thickness in pixels
    brow_raise: float  # pixels
    brow_tilt: float  # above 0 worried, below 0 stern
    mouth: float  # half its width in pixels
    lips: float  # 0 thin to 1 full
    smile: float
    gap: float  # pixels between the lips


@dataclass(frozen=True, slots=True)
class Worn:
    """What was put on. An empty name means nothing of that kind."""

    makeup: float  # 0 none to 1
    beard: str  # "", "stubble", "mustache", "goatee", "full"
    glasses: str  # "", "round", "square", "dark"
    frame: RGB
    hat: str  # "", "cap", "beanie", "brim"
    hat_colour: RGB
    garment: str  # "crew", "suit", "bare"
    cloth: RGB
    earrings: bool
    necktie: bool
    tie: RGB


@dataclass(frozen=True, slots=True)
class Scene:
    """What is around the face: light, backdrop and the camera."""

    light: tuple[float, float]  # x -1..1 from left or right, y -1..1 from above or below
    ambient: float  # 0..1, how much light comes from everywhere
    exposure: float  # 1 is usual
    backdrop: str  # "plain", "bokeh", "board", "bars", "leaves"
    far: RGB
    near: RGB
    grain: float  # standard deviation of the noise, in grey levels
    blur: float  # pixels


@dataclass(frozen=True, slots=True)
class Face:
    """Everything that drawing needs: equal faces are equal pixels."""

    male: bool
    head: Head
    hair: Hair
    look: Look
    worn: Worn
    scene: Scene
    seed: int  # for strands, backdrop and noise


def random_face(rng: random.Random) -> Face:
    """Draw one face by lot. Only `rng` decides, so the same state gives the same face."""
    male = rng.random() < 0.45
    age = rng.random() ** 1.6
    head = _random_head(rng, male, age)
    worn = _random_worn(rng, male)
    hair = _random_hair(rng, male, head, worn)
    return Face(male, head, hair, _random_look(rng, male), worn, _random_scene(rng), rng.getrandbits(32))


def attributes(face: Face) -> frozenset[str]:
    """CelebA's names for what is visibly there; a name that is missing was not drawn."""
    head, hair, look, worn = face.head, face.hair, face.look, face.worn
    hairy = not hair.bald and (not worn.hat or hair.length > 130)  # under a hat only long hair shows
    crown = hairy and not worn.hat
    grown = worn.beard in ("mustache", "goatee", "full")
    seen = {
        "5_o_Clock_Shadow": worn.beard == "stubble",
        "Arched_Eyebrows": look.brow_raise > 2.5 and look.brow_tilt > -0.4,
        "Bags_Under_Eyes": head.age > 0.6 and worn.glasses != "dark",
        "Bald": hair.bald and not worn.hat,
        "Bangs": crown and hair.bangs > 0.6,
        "Big_Lips": look.lips > 0.7,
        "Big_Nose": head.nose > 12.5,
        hair.name: hairy,
        "Blurry": face.scene.blur > 0,
        "Bushy_Eyebrows": look.brow > 4.6,
        "Eyeglasses": bool(worn.glasses),
        "Goatee": worn.beard == "goatee",
        "Heavy_Makeup": worn.makeup > 0.6,
        "Male": face.male,
        "Mouth_Slightly_Open": look.gap > 2,
        "Mustache": worn.beard in ("mustache", "full"),
        "Narrow_Eyes": look.openness < 0.75,
        "No_Beard": not grown and worn.beard != "stubble",
        "Pale_Skin": sum(head.skin) > 3 * 200,
        "Receding_Hairline": crown and hair.recede > 0.5,
        "Rosy_Cheeks": head.blush > 0.5,
        "Smiling": look.smile > 0.4,
        "Straight_Hair": hairy and not (hair.curl or hair.wave),
        "Wavy_Hair": hairy and (hair.curl or hair.wave > 1.5),
        "Wearing_Earrings": worn.earrings,
        "Wearing_Hat": bool(worn.hat),
        "Wearing_Lipstick": worn.makeup > 0.3,
        "Wearing_Necktie": worn.necktie,
        "Young": head.age < 0.6,
    }
    return frozenset(name for name, drawn in seen.items() if drawn) - {"Red_Hair"}


def _between(rng: random.Random, low: float, high: float) -> float:
    """Chance with a middle: extremes are rare, as among people."""
    return low + (high - low) * (rng.random() + rng.random()) / 2


def _pick(rng: random.Random, odds: dict[str, float]) -> str:
    return rng.choices(list(odds), list(odds.values()))[0]


def _any_colour(rng: random.Random, low: int, high: int, dull: float = 0.0) -> RGB:
    grey = rng.randint(low, high)
    return mix((rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)), (grey, grey, grey), dull)


def _random_head(rng: random.Random, male: bool, age: float) -> Head:
    tone = rng.random() ** 0.75 * (len(SKINS) - 1.001)
    skin = mix(SKINS[int(tone)], SKINS[int(tone) + 1], tone % 1)
    return Head(
        skin=skin,
        width=_between(rng, 38, 46) + male,
        crown=_between(rng, 42, 54),
        chin=_between(rng, 176, 190) + 2 * male,
        jaw=_between(rng, 0.25, 1) if male else _between(rng, 0, 0.65),
        turn=_between(rng, -1, 1),
        nose=_between(rng, 8, 13) + male,
        age=age,
        blush=rng.random() if not male and rng.random() < 0.35 else 0.0,
    )


def _random_worn(rng: random.Random, male: bool) -> Worn:
    garment = _pick(rng, {"suit": 4, "crew": 5} if male else {"suit": 1, "crew": 5, "bare": 4})
    return Worn(
        makeup=0.0 if male or rng.random() < 0.3 else rng.uniform(0.32, 1),
        beard=_pick(rng, {"": 5, "stubble": 2, "mustache": 0.8, "goatee": 0.8, "full": 1.2}) if male else "",
        glasses=_pick(rng, {"": 8.4, "round": 0.6, "square": 0.7, "dark": 0.3}),
        frame=mix((18, 16, 18), (130, 84, 48), rng.random() ** 2),
        hat=_pick(rng, {"": 9, "cap": 0.4, "beanie": 0.3, "brim": 0.3}),
        hat_colour=_any_colour(rng, 20, 225, 0.4),
        garment=garment,
        cloth=_any_colour(rng, 15, 230, 0.4) if garment != "suit" else mix((12, 12, 16), (92, 90, 96), rng.random()),
        earrings=not male and rng.random() < 0.35,
        necktie=male and garment == "suit" and rng.random() < 0.6,
        tie=_any_colour(rng, 20, 200, 0.2),
    )


def _random_hair(rng: random.Random, male: bool, head: Head, worn: Worn) -> Hair:
    fair = sum(head.skin) > 400  # hair that contrasts with the skin, as it mostly does
    odds = {
        "Black_Hair": 3 if fair else 8,
        "Brown_Hair": 3 if fair else 1,
        "Blond_Hair": (1.2 if male else 2.4) if fair else 0.3,
        "Gray_Hair": 6 * max(0.0, head.age - 0.55),
        "Red_Hair": 0.6 if fair else 0.1,
    }
    name = _pick(rng, odds)
    long = rng.random() < (0.07 if male else 0.72)
    recede = rng.random() < (0.12 + 0.25 * head.age if male else 0)
    bun = not male and not long and not worn.hat and rng.random() < 0.5
    curl = not recede and rng.random() < 0.14
    volume = rng.uniform(2, 5) if recede or bun or worn.hat else _between(rng, 4, 20)
    return Hair(
        name=name,
        colour=mix(HAIR_COLOURS[name], _any_colour(rng, 30, 190), rng.uniform(0, 0.12)),
        bald=male and rng.random() < 0.08,
        volume=volume + 3 * curl,
        line=_between(rng, 66, 82),
        recede=rng.uniform(0.55, 1) if recede else 0.0,
        bangs=rng.uniform(0.65, 1) if not recede and not bun and rng.random() < 0.22 else rng.uniform(0, 0.2),
        part=rng.uniform(-1, 1),
        length=rng.choice([rng.uniform(150, 180), 222.0, 222.0]) if long else rng.uniform(100, 122),
        wave=rng.choice([0.0, 0.8, rng.uniform(1.6, 4.5)]) if long else 0.0,
        curl=curl,
        bun=bun,
    )


def _random_look(rng: random.Random, male: bool) -> Look:
    smile = rng.uniform(0.45, 1) if rng.random() < 0.5 else rng.uniform(-0.45, 0.3)
    gap = rng.uniform(2.5, 8) if rng.random() < (0.75 if smile > 0.4 else 0.25) else 0.0
    return Look(
        iris=rng.choice(IRISES),
        openness=_between(rng, 0.6, 1.35) - 0.12 * max(0.0, smile),
        gaze=(_between(rng, -1, 1), _between(rng, -0.6, 0.6)),
        tilt=_between(rng, -1.5, 2.5),
        brow=_between(rng, 3, 6) if male else _between(rng, 1.8, 4.2),
        brow_raise=_between(rng, -2.5, 3) + (0 if male else 1.2),
        brow_tilt=_between(rng, -1, 1),
        mouth=_between(rng, 13.5, 17.5),
        lips=rng.random() * (0.75 if male else 1),
        smile=smile,
        gap=gap,
    )


def _random_scene(rng: random.Random) -> Scene:
    dark = rng.random() < 0.5
    far = _any_colour(rng, 5, 110, 0.6) if dark else _any_colour(rng, 130, 250, 0.6)
    return Scene(
        light=(_between(rng, -1.3, 1.3), _between(rng, -1.2, 0.4)),
        ambient=rng.uniform(0.25, 0.6),
        exposure=_between(rng, 0.9, 1.25),
        backdrop=_pick(rng, {"plain": 4, "bokeh": 3, "board": 2, "bars": 2, "leaves": 2}),
        far=far,
        near=mix(far, _any_colour(rng, 10, 245, 0.4), rng.uniform(0.25, 0.8)),
        grain=rng.uniform(1, 3.5),
        blur=rng.uniform(0.9, 1.2) if rng.random() < 0.06 else 0.0,
    )
