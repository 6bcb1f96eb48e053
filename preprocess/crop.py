"""The bytes of one photo to the pixels of its crop. Knows no files, shards or records."""

import io
import warnings
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import PIL
from PIL import Image, ImageOps, features

SIZE = 64  # default side of the pixels, in pixels
MAX_SIZE = 2048  # a record of three channels is then below 16 MiB
CHANNELS = {"grey": 1, "rgb": 3}  # by the name of the colours; the first is the default

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, as Pillow counts them

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# By the project or model that made the box known; for CelebA's aligned photos.
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
# Pillow's warnings of damaged EXIF data name no photo, and such data change no pixel.
warnings.filterwarnings("ignore", module="PIL")

_FORMATS = ("JPEG", "PNG", "WEBP")  # hostile files must not reach rarely used decoders
_PNG = b"\x89PNG\r\n\x1a\n"
_BEGINNINGS = (b"\xff\xd8\xff", _PNG, b"RIFF")  # of files of these formats
_LFS = b"version https://git-lfs"  # a clone made without Git LFS has such text in place of each photo
_DAMAGED = "truncated or damaged"

_WITH_ORIENTATION = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # what Pillow calls such data


class UnusablePhoto(Exception):
    """A photo that cannot be used. Its text is the reason, without the photo's name: equal reasons are counted."""


class Rejection(NamedTuple):
    """A photo that is not used, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Crop:
    """The part of a photo that is kept, and how it becomes a square of pixels."""

    name: str  # a key of CELEBA_BOXES, "center", or the four numbers
    filter: str  # a key of FILTERS
    box: Box | None = None  # what to cut out; None is the largest centred square
    # (width, height) that a photo must have; None takes any that holds the box.
    photo_size: tuple[int, int] | None = None
    size: int = SIZE  # side of the square in pixels
    color: str = "grey"  # a key of CHANNELS

    @property
    def shape(self) -> tuple[int, int, int]:
        """height, width, channels of the pixels."""
        return self.size, self.size, CHANNELS[self.color]


def parse(text: str, filter_name: str | None = None, size: int = SIZE, color: str = "grey") -> Crop:
    """Return the crop that `text` names: a key of CELEBA_BOXES, "center", or "L,T,R,B", at this size and in this color.

    Without `filter_name` the crop gets its usual filter: the one its users take, else Lanczos.
    Raises ValueError with a sentence for the user.
    """
    if text in CELEBA_BOXES:
        box, usual = CELEBA_BOXES[text]
        return Crop(text, filter_name or usual, box, CELEBA_PHOTO, size, color)
    if text == CENTER:
        return Crop(text, filter_name or "lanczos", size=size, color=color)
    try:
        left, top, right, bottom = (int(number) for number in text.split(","))
    except ValueError:
        names = ", ".join([*CELEBA_BOXES, CENTER])
        raise ValueError(f"{text!r} is not a crop: name one of {names}, or four numbers L,T,R,B.") from None
    if not (0 <= left < right and 0 <= top < bottom):
        raise ValueError(f"{text!r} is not a box: 0 <= left < right and 0 <= top < bottom must hold.")
    box = (left, top, right, bottom)
    return Crop(",".join(map(str, box)), filter_name or "lanczos", box, size=size, color=color)


def pixels(photo: bytes, crop: Crop) -> bytes:
    """Return the pixels, uint8 of `crop.shape`, of a JPEG, PNG or WebP file.

    Raises UnusablePhoto for whatever cannot be used.
    """
    try:
        whole = _whole(photo, crop.color)
    except UnusablePhoto as rejection:
        if str(rejection) != _DAMAGED or not photo.startswith(_PNG):
            raise
        whole = _whole(_without_metadata(photo), crop.color)
    return _resize(whole, _box(whole.size, crop), crop).tobytes()


def versions() -> dict[str, str | None]:
    """Return the versions on which the pixels depend."""
    return {"pillow": PIL.__version__, "libjpeg_turbo": features.version("libjpeg_turbo")}


def _whole(photo: bytes, color: str) -> Image.Image:
    """Return the photo before it is cropped."""
    if not photo:
        raise UnusablePhoto("empty file")
    if photo.startswith(_LFS):
        raise UnusablePhoto("a pointer of Git LFS: git lfs pull fetches the photos")
    if not photo.startswith(_BEGINNINGS):
        raise UnusablePhoto("not a JPEG, PNG or WebP image")
    from PIL import ImageFile  # late: Image.open imports it anyway

    # Other code may have set both. Past Pillow's own limit it warns, where we reject the photo by name; a truncated
    # photo would be filled with grey.
    Image.MAX_IMAGE_PIXELS = None
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image = Image.open(io.BytesIO(photo), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise UnusablePhoto(f"larger than {MAX_PIXELS // 1_000_000} megapixels")
        return _decode(image, color)
    except (UnusablePhoto, MemoryError):
        raise
    except Exception:  # decoders meet hostile bytes with OSError, SyntaxError, ValueError, struct.error and more
        raise UnusablePhoto(_DAMAGED) from None


def _without_metadata(png: bytes) -> bytes:
    """Return a PNG without texts, colour profile and the like: Pillow refuses the whole photo for damage in these.

    Of the chunks that a decoder may ignore, transparency and EXIF stay where their checksum is right.
    """
    kept, at = [_PNG], len(_PNG)
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")  # length, name, data, checksum
        chunk = png[at:end]
        at, name = end, chunk[4:8]
        is_whole = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if name[:1].isupper() or (name in (b"tRNS", b"eXIf") and is_whole):
            kept.append(chunk)
    return b"".join(kept)


def _decode(image: Image.Image, color: str) -> Image.Image:
    """Decode to 8-bit luma (ITU-R 601-2) or RGB, upright, whatever the photo's own mode."""
    mode = "L" if color == "grey" else "RGB"
    # Lets libjpeg decode luma alone: twice as fast as RGB; the mean difference over 1,600 CelebA photos is 0.02 grey
    # levels (at most 8, where RGB clips strong colours). No scale is asked for: at 1/2 an odd offset such as 25 would
    # be half a pixel off. Other formats ignore it.
    if mode == "L":
        image.draft(mode, None)
    image.load()
    image = _upright(image)
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        raise UnusablePhoto("more than 8 bits a channel")
    if image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return image.convert("RGB").convert(mode)


def _upright(image: Image.Image) -> Image.Image:
    """Turn a loaded photo upright. Unreadable EXIF or XMP data count as none."""
    if _WITH_ORIENTATION.isdisjoint(image.info):
        return image  # asking Pillow would cost 2 percent of the time that CelebA takes
    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # decoders raise errors of many types
        return image


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


def _resize(image: Image.Image, box: Box, crop: Crop) -> Image.Image:
    (across, rest_across), (down, rest_down) = (divmod(box[i + 2] - box[i], crop.size) for i in (0, 1))
    if crop.filter == "box" and across and down and not rest_across and not rest_down:
        # The exact mean, rounded once; resize rounds after each direction, which makes faces 0.36 grey levels brighter.
        return image.reduce((across, down), box)
    # Cut first: resize(box=...) would mix in what lies outside, up to 23 grey levels at the edges of CelebA photos.
    return image.crop(box).resize((crop.size, crop.size), FILTERS[crop.filter])
