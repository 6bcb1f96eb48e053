"""One photo's bytes to pixels, held against Pillow done the slow way."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps
from PIL.PngImagePlugin import PngInfo

from preprocess.crop import CELEBA_BOXES, FILTERS, MAX_PIXELS, SIZE, Crop, UnusablePhoto, parse, pixels
from tests.preprocess.archives import chunk, encoded

ANY = Crop("center", "box")


def grey_levels(photo: bytes, crop: Crop = ANY) -> set[int]:
    return set(pixels(photo, crop))


def the_slow_way(photo: bytes, box, filter_name: str) -> bytes:
    whole = Image.open(io.BytesIO(photo)).convert("RGB").convert("L")
    cut = whole.crop(box)
    shrunk = cut.reduce(2) if cut.size == (128, 128) else cut.resize((64, 64), FILTERS[filter_name])
    return shrunk.tobytes()


def differences(ours: bytes, theirs: bytes) -> list[int]:
    assert len(ours) == len(theirs) == 64 * 64
    return [abs(a - b) for a, b in zip(ours, theirs, strict=True)]


def test_what_other_code_has_set_in_pillow_does_not_count(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    whole = encoded(Image.effect_noise((80, 80), 9), "JPEG")
    assert len(pixels(whole, ANY)) == SIZE * SIZE
    with pytest.raises(UnusablePhoto, match="truncated"):
        pixels(whole[: len(whole) // 2], ANY)


@pytest.mark.parametrize("name", CELEBA_BOXES)
def test_a_named_crop_is_what_the_slow_way_gives(jpeg, name):
    crop = parse(name)
    for seed in range(5):
        photo = jpeg(seed)
        apart = differences(pixels(photo, crop), the_slow_way(photo, crop.box, crop.filter))
        assert max(apart) <= 3
        assert sum(apart) / len(apart) <= 0.1


@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_every_filter_and_format(jpeg, filter_name, kind):
    photo = encoded(Image.open(io.BytesIO(jpeg(7))), kind)
    crop = parse("10,20,140,170", filter_name)
    assert max(differences(pixels(photo, crop), the_slow_way(photo, (10, 20, 140, 170), filter_name))) <= 3


def test_the_usual_crop_is_the_exact_mean_of_four():
    levels = Image.frombytes("L", (178, 218), bytes((x * 7 + y * 13) % 256 for y in range(218) for x in range(178)))
    ours = pixels(encoded(levels, "PNG"), parse("progan"))
    for x, y in [(0, 0), (63, 0), (17, 40), (63, 63)]:
        four = [levels.getpixel((25 + 2 * x + dx, 57 + 2 * y + dy)) for dx in (0, 1) for dy in (0, 1)]
        assert abs(ours[64 * y + x] - sum(four) / 4) <= 0.5


def test_center_is_the_largest_square_in_the_middle():
    wide = Image.new("L", (300, 100), 0)
    wide.paste(200, (100, 0, 200, 100))
    assert grey_levels(encoded(wide, "PNG")) == {200}
    assert grey_levels(encoded(wide.transpose(Image.Transpose.ROTATE_90), "PNG")) == {200}


def test_a_small_photo_is_enlarged():
    assert grey_levels(encoded(Image.new("L", (20, 30), 90), "PNG")) == {90}


def by_exif(orientation: int) -> dict:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def by_xmp(orientation: int) -> dict:
    return {"xmp": f'<rdf:Description tiff:Orientation="{orientation}"/>'.encode()}


def by_xmp_of_png(orientation: int) -> dict:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", f"<tiff:Orientation>{orientation}</tiff:Orientation>")
    return {"pnginfo": info}


def by_text_of_png(orientation: int) -> dict:
    exif = by_exif(orientation)["exif"].tobytes()
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
    return {"pnginfo": info}


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize(
    ("kind", "carried"),
    [
        *(("JPEG", by) for by in (by_exif, by_xmp)),
        *(("WEBP", by) for by in (by_exif, by_xmp)),
        *(("PNG", by) for by in (by_exif, by_xmp_of_png, by_text_of_png)),
    ],
)
def test_a_turned_photo_is_turned_back(jpeg, orientation, kind, carried):
    turned = encoded(Image.open(io.BytesIO(jpeg(1))), kind, quality=95, **carried(orientation))
    upright = encoded(ImageOps.exif_transpose(Image.open(io.BytesIO(turned))), "PNG")
    box = "5,15,165,175"
    assert max(differences(pixels(turned, parse(box)), the_slow_way(upright, parse(box).box, "lanczos"))) <= 3


def test_a_png_that_says_behind_its_pixels_how_it_is_turned(jpeg):
    photo = encoded(Image.open(io.BytesIO(jpeg(1))), "PNG")
    at = photo.index(b"IEND") - 4
    turned = photo[:at] + chunk(b"eXIf", by_exif(3)["exif"].tobytes()[6:]) + photo[at:]
    middle = parse("25,45,153,173", "box")  # an exact mean, so that it does not matter which way it is taken
    assert pixels(turned, middle) == pixels(photo, middle)[::-1]


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("JPEG", b"Exif\0\0broken"),
        ("JPEG", by_exif(1)["exif"].tobytes()[:-8]),
        ("WEBP", b"broken"),
        ("PNG", chunk(b"eXIf", b"broken")),
        ("PNG", chunk(b"eXIf", by_exif(1)["exif"].tobytes()[6:], wrong=1)),
        ("PNG", chunk(b"tEXt", b"Author\0somebody", wrong=1)),
        ("PNG", chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 9\nbroken"))),
        ("PNG", chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2 << 20)))),  # more than Pillow takes
        ("PNG", chunk(b"iCCP", b"broken")),
        ("PNG", chunk(b"pHYs", b"short")),
    ],
    ids=["exif", "cut-exif", "exif", "exif", "exif-crc", "text-crc", "text-exif", "long-text", "icc", "short"],
)
@pytest.mark.parametrize("where", [b"IDAT", b"IEND"])
def test_what_is_broken_beside_the_pixels_changes_nothing(jpeg, kind, broken, where):
    image = Image.open(io.BytesIO(jpeg(1)))
    sound = encoded(image, kind)
    if kind == "PNG":
        at = sound.index(where) - 4
        photo = sound[:at] + broken + sound[at:]
    else:
        photo = encoded(image, kind, exif=broken)
    assert pixels(photo, ANY) == pixels(sound, ANY)


def test_what_follows_a_photo_is_ignored(jpeg):
    for kind in ("JPEG", "PNG", "WEBP"):
        sound = encoded(Image.open(io.BytesIO(jpeg(1))), kind)
        assert pixels(sound + b"\0more" * 50, ANY) == pixels(sound, ANY)
    several = encoded(Image.open(io.BytesIO(jpeg(1))), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert pixels(several, ANY) == pixels(encoded(Image.open(io.BytesIO(jpeg(1))), "JPEG"), ANY)


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    assert grey_levels(encoded(clear, "PNG")) == {255}
    assert grey_levels(encoded(clear, "WEBP", lossless=True)) == {255}
    palette = Image.new("P", (80, 80), 1)
    palette.putpalette([255, 0, 0, 10, 10, 10])
    assert grey_levels(encoded(palette, "PNG", transparency=1)) == {255}
    assert grey_levels(encoded(palette, "PNG")) == {10}
    assert grey_levels(encoded(Image.new("L", (80, 80), 30), "PNG", transparency=30)) == {255}
    assert grey_levels(encoded(Image.new("LA", (80, 80), (30, 255)), "PNG")) == {30}
    assert grey_levels(encoded(Image.new("1", (80, 80), 1), "PNG")) == {255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_half_transparent_lies_on_white(jpeg, mode):
    photo = Image.open(io.BytesIO(jpeg(2)))
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo = photo.quantize(64) if mode == "PA" else photo.convert(mode)  # a palette with an alpha for each colour
    white = Image.new("RGBA", photo.size, "white")
    white.alpha_composite(photo.convert("RGBA"))
    flat = encoded(white.convert("RGB"), "PNG")
    assert pixels(encoded(photo, "PNG"), parse("progan")) == the_slow_way(flat, parse("progan").box, "box")


def test_cmyk_is_converted(jpeg):
    photo = jpeg(3, mode="CMYK")
    assert Image.open(io.BytesIO(photo)).mode == "CMYK"
    assert pixels(photo, parse("progan")) == the_slow_way(photo, parse("progan").box, "box")


def test_of_16_bits_a_colour_the_upper_eight_are_taken():
    header = struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes((y + byte) % 256 for byte in range(64 * 6)) for y in range(64))
    photo = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    upper = b"".join(bytes((y + byte) % 256 for byte in range(0, 64 * 6, 2)) for y in range(64))
    assert pixels(photo, ANY) == Image.frombytes("RGB", (64, 64), upper).convert("L").tobytes()


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (b"", "empty"),
        (b"not an image at all", "not a JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 7943\n", "git lfs pull"),
        (encoded(Image.new("L", (80, 80)), "PNG")[:30], "truncated"),
        (encoded(Image.new("L", (80, 80)), "BMP"), "not a JPEG"),
        (encoded(Image.new("I;16", (80, 80)), "PNG"), "8 bits"),
        (encoded(Image.new("1", (8001, 8001)), "PNG"), "larger than 64 megapixels"),
        (encoded(Image.new("1", (20_000, 20_000)), "PNG"), "megapixels"),  # which is where Pillow itself raises
        (encoded(Image.effect_noise((80, 80), 9), "PNG")[:-300], "truncated"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_the_reason(photo, reason, recwarn):
    assert MAX_PIXELS < 8001**2
    with pytest.raises(UnusablePhoto, match=reason):
        pixels(photo, ANY)
    assert not recwarn.list


def test_a_photo_that_lacks_a_byte_is_rejected(jpeg):
    whole = jpeg(0)
    pixels(whole, parse("progan"))
    for missing in (3, 10, len(whole) // 2):
        with pytest.raises(UnusablePhoto, match="truncated"):
            pixels(whole[:-missing], parse("progan"))


@pytest.mark.parametrize("megabytes", [20, 75])  # too few to decode it, and too few to turn it as well
def test_a_photo_for_which_the_memory_does_not_do_is_neither_damaged_nor_upright(megabytes, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    large = Image.new("L", (20000, 2400))
    large.save(tmp_path / "large.jpg", exif=exif)
    large.crop((0, 0, 20, 24)).save(tmp_path / "small.jpg", exif=exif)
    program = f"""
import resource
from pathlib import Path
from preprocess.crop import Crop, pixels
small, large = (Path({str(tmp_path)!r}, name).read_bytes() for name in ("small.jpg", "large.jpg"))
pixels(small, Crop("center", "box"))  # imports the decoder
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, 2 * (used + {megabytes << 20},))
pixels(large, Crop("center", "box"))
"""
    ended = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False)
    assert ended.stderr.endswith("MemoryError\n"), ended


def test_a_celeba_crop_takes_only_celeba_photos(jpeg):
    with pytest.raises(UnusablePhoto, match=r"not 178x218.*--crop center"):
        pixels(jpeg(0, size=(218, 178)), parse("progan"))


@pytest.mark.parametrize(
    "text", ["face", "1,2,3", "1,2,3,x", "5,5,5,9", "5,9,9,5", "5,9,9,9", "-1,0,9,9", "0,-1,9,9", ""]
)
def test_what_is_no_crop_is_reported(text):
    with pytest.raises(ValueError, match="is not a"):
        parse(text)


def test_a_box_of_numbers_takes_every_photo_that_it_fits_in(jpeg):
    assert len(pixels(jpeg(0, size=(300, 300)), parse("100,100,300,300"))) == 64 * 64
    for size in ((400, 299), (299, 400)):
        with pytest.raises(UnusablePhoto, match="smaller than the crop box"):
            pixels(jpeg(0, size=size), parse("100,100,300,300"))


@pytest.mark.parametrize("box", [(0, 0, 128, 100), (0, 0, 100, 128), (0, 0, 100, 100)])
def test_a_box_that_does_not_divide_both_ways_is_resized(jpeg, box):
    photo = jpeg(3, size=(140, 140))
    image = Image.open(io.BytesIO(photo))
    image.draft("L", None)
    expected = image.convert("L").crop(box).resize((64, 64), Image.Resampling.BOX).tobytes()
    assert pixels(photo, parse(",".join(map(str, box)), "box")) == expected


def test_luma_is_what_the_jpeg_itself_stores():
    """Not that of the clipped RGB: the fingerprints of shards rest on it."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    photo = encoded(Image.fromarray(noise), "JPEG", quality=60)
    luma = Image.open(io.BytesIO(photo))
    luma.draft("L", None)
    box = (0, 0, 128, 128)
    assert pixels(photo, parse("0,0,128,128", "box")) == luma.reduce(2, box).tobytes()
    assert luma.tobytes() != Image.open(io.BytesIO(photo)).convert("L").tobytes()
