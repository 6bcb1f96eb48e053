"""The bytes of one photo to 64x64 grey pixels. Knows no files, shards or records."""

import io
from dataclasses import dataclass
from typing import NamedTuple

import PIL
from PIL import Image, features

SIZE = 64  # pixels a side of what comes out: (SIZE, SIZE, 1), uint8

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, as Pillow counts them

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# Each name is the project or model that made the box known. All are for CelebA's aligned photos.
CELEBA_PHOTO = (178, 218)
CELEBA_BOXES: dict[str, tuple[Box, str]] = {
    "progan": ((25, 57, 153, 185), "box"),  # also StyleGAN, and the CelebA-64 of DDIM and later diffusion work
    "dcgan": ((35, 55, 143, 163), "bilinear"),  # DCGAN-tensorflow
    "wae": ((19, 39, 159, 179), "lanczos"),  # Wasserstein auto-encoders
    "vae": ((15, 35, 163, 183), "bilinear"),  # PyTorch-VAE
    "compare_gan": ((9, 29, 169, 189), "bilinear"),
    "stargan": ((0, 20, 178, 198), "lanczos"),  # also mimicry, and the centre crop of stylegan3
    "tutorial": ((20, 30, 160, 180), "bicubic"),  # 140x150, squashed to a square
}
CENTER = "center"

# A larger photo is a decompression bomb or a mistake: decoding it would take more memory than everything else.
MAX_PIXELS = 64_000_000
# Pillow's own limit is higher, and it prints a warning where we reject the photo by name.
Image.MAX_IMAGE_PIXELS = None

_FORMATS = ("JPEG", "PNG", "WEBP")  # hostile files must not reach rarely used decoders
_EXIF_ORIENTATION = 0x0112


class UnusablePhoto(Exception):
    """A photo that cannot be used. Its only argument is the reason, one of a few fixed texts."""

    @property
    def reason(self) -> str:
        """Why; the text does not name the photo, so that equal reasons can be counted."""
        return str(self.args[0])


class Rejection(NamedTuple):
    """A photo that is not used, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Crop:
    """The part of a photo that is kept, and how it is resized to SIZE x SIZE.

    Attributes:
        name: a key of CELEBA_BOXES, "center", or the four numbers.
        filter: a key of FILTERS.
        box: what to cut out; None means the largest centred square.
        photo_size: (width, height) that a photo must have; None takes any that holds the box.

    """

    name: str
    filter: str
    box: Box | None = None
    photo_size: tuple[int, int] | None = None


def parse(text: str, filter_name: str | None = None) -> Crop:
    """Return the crop that `text` names: a key of CELEBA_BOXES, "center", or "L,T,R,B".

    Without `filter_name` the crop gets its usual filter: the one its users take, else Lanczos.
    Raises ValueError with a sentence for the user.
    """
    if text in CELEBA_BOXES:
        box, usual = CELEBA_BOXES[text]
        return Crop(text, filter_name or usual, box, CELEBA_PHOTO)
    if text == CENTER:
        return Crop(text, filter_name or "lanczos")
    try:
        left, top, right, bottom = (int(number) for number in text.split(","))
    except ValueError:
        names = ", ".join([*CELEBA_BOXES, CENTER])
        raise ValueError(f"{text!r} is not a crop: name one of {names}, or four numbers L,T,R,B.") from None
    if not (0 <= left < right and 0 <= top < bottom):
        raise ValueError(f"{text!r} is not a box: 0 <= left < right and 0 <= top < bottom must hold.")
    return Crop(f"{left},{top},{right},{bottom}", filter_name or "lanczos", (left, top, right, bottom))


def pixels(photo: bytes, crop: Crop) -> bytes:
    """Return SIZE*SIZE grey levels (uint8, row by row) of a JPEG, PNG or WebP file.

    Raises UnusablePhoto for whatever cannot be used.
    """
    image = _open(photo)
    if image.width * image.height > MAX_PIXELS:
        raise UnusablePhoto(f"larger than {MAX_PIXELS // 1_000_000} megapixels")
    try:
        grey = _grey(image)
    except UnusablePhoto:
        raise
    except Exception:  # decoders meet hostile bytes with OSError, SyntaxError, ValueError, struct.error and more
        raise UnusablePhoto("truncated or damaged") from None
    return _shrink(grey, _box(grey.size, crop), crop.filter).tobytes()


def versions() -> dict[str, str | None]:
    """Return the versions on which the pixels depend."""
    return {"pillow": PIL.__version__, "libjpeg_turbo": features.version("libjpeg_turbo")}


def _open(photo: bytes) -> Image.Image:
    if not photo:
        raise UnusablePhoto("empty file")
    try:
        return Image.open(io.BytesIO(photo), formats=_FORMATS)
    except Exception:  # see pixels
        raise UnusablePhoto("not a JPEG, PNG or WebP image") from None


def _grey(image: Image.Image) -> Image.Image:
    """Decode to 8-bit luma (ITU-R 601-2), upright, whatever the photo's own mode."""
    # Lets libjpeg decode luma alone: twice as fast as RGB, and 0.02 grey levels apart from it on average over 1,600
    # CelebA photos (in one in nine more than 3 at some pixel, 8 at most, where RGB clips strong colours). No scale is
    # asked for: at 1/2 an odd offset such as 25 or 57 would be half a pixel off. Other formats ignore all of it.
    image.draft("L", None)
    if "exif" in image.info and image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        from PIL import ImageOps  # 30 ms that a worker on CelebA need not spend

        image = ImageOps.exif_transpose(image)
    if image.mode == "L" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith(("I", "F")):
        raise UnusablePhoto("more than 8 bits a channel")
    if image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return image.convert("RGB").convert("L")


def _box(size: tuple[int, int], crop: Crop) -> Box:
    width, height = size
    if crop.photo_size not in (None, size):
        raise UnusablePhoto("not {}x{} as this crop expects: use --crop center".format(*crop.photo_size))
    if crop.box is None:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side
    if crop.box[2] > width or crop.box[3] > height:
        raise UnusablePhoto("smaller than the crop box: use --crop center")
    return crop.box


def _shrink(grey: Image.Image, box: Box, filter_name: str) -> Image.Image:
    (across, rest_across), (down, rest_down) = divmod(box[2] - box[0], SIZE), divmod(box[3] - box[1], SIZE)
    if filter_name == "box" and across and down and not rest_across and not rest_down:
        # The exact mean, rounded once; resize rounds after each direction, which makes faces 0.36 grey levels brighter.
        return grey.reduce((across, down), box)
    # Cut first: resize(box=...) would mix in what lies outside, up to 23 grey levels at the edges of CelebA photos.
    return grey.crop(box).resize((SIZE, SIZE), FILTERS[filter_name])
