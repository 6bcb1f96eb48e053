"""A few dozen photos like CelebA's, as a folder and as a zip, with their lists; and the commands to run on them."""

import io
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

ATTRIBUTES = ("Bald", "Eyeglasses", "Smiling", "Young")
SPLITS = ("train", "valid", "test")


class Photos(NamedTuple):
    """The same photos in a folder and in a zip, with what the lists say of each id."""

    folder: Path
    zip: Path
    attributes: Path
    partitions: Path
    rows: dict[str, tuple[int, ...]]
    splits: dict[str, str]


def jpeg(seed: int, size: tuple[int, int] = (178, 218), mode: str = "RGB", **options) -> bytes:
    """A photo of soft colours and some noise, as a camera would give: none too strong for the colours of JPEG."""
    rng = random.Random(seed)
    colours = Image.frombytes("RGB", (6, 7), bytes(rng.randint(70, 190) for _ in range(6 * 7 * 3)))
    noise = Image.frombytes("L", size, rng.randbytes(size[0] * size[1])).convert("RGB")
    file = io.BytesIO()
    image = Image.blend(colours.resize(size, Image.Resampling.BICUBIC), noise, 0.15)
    image.convert(mode).save(file, "JPEG", quality=92, **options)
    return file.getvalue()


@pytest.fixture(scope="session", name="jpeg")
def _jpeg():
    return jpeg


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Photos:
    root = tmp_path_factory.mktemp("photos")
    folder = root / "img_align_celeba"
    folder.mkdir()
    rng = random.Random(0)
    ids = [f"{number:06}.jpg" for number in rng.sample(range(1, 300), 40)]
    with zipfile.ZipFile(root / "photos.zip", "w") as archive:
        archive.writestr("img_align_celeba/", "")
        for photo_id in ids:
            photo = jpeg(int(photo_id[:6]))
            (folder / photo_id).write_bytes(photo)
            archive.writestr(f"img_align_celeba/{photo_id}", photo)
    every = [f"{number:06}.jpg" for number in range(1, 300)]
    rows = {photo_id: tuple(rng.randint(0, 1) for _ in ATTRIBUTES) for photo_id in every}
    splits = {photo_id: SPLITS[rng.choice((0, 0, 0, 1, 2))] for photo_id in every}
    attributes, partitions = root / "list_attr_celeba.txt", root / "list_eval_partition.txt"
    listed = "".join(f"{i} {' '.join(f'{2 * bit - 1:2}' for bit in row)}\n" for i, row in rows.items())
    attributes.write_text(f"{len(every)}\n{' '.join(ATTRIBUTES)} \n{listed}")
    partitions.write_text("".join(f"{i} {SPLITS.index(split)}\r\n" for i, split in splits.items()), newline="")
    return Photos(
        folder, root / "photos.zip", attributes, partitions, {i: rows[i] for i in ids}, {i: splits[i] for i in ids}
    )


@pytest.fixture(scope="session")
def command():
    """The command line of stage 1 with these arguments, for subprocess."""
    return lambda *arguments: [sys.executable, "-m", "preprocess.run", *map(str, arguments)]


def _finished(arguments: list[str]) -> tuple[int, str]:
    """Run a command to its end; return its exit status and its output. Nothing is allowed to be a traceback."""
    done = subprocess.run(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


@pytest.fixture(scope="session")
def preprocess(command):
    """Run the command that makes shards; return its exit status and its output."""
    return lambda *arguments: _finished(command(*arguments))


@pytest.fixture(scope="session")
def listed(photos) -> list:
    """The arguments that name both lists."""
    return ["--attributes", photos.attributes, "--partitions", photos.partitions]


@pytest.fixture(scope="session")
def shards(photos, preprocess, listed, tmp_path_factory) -> Path:
    """A finished folder of shards of all photos, seven to a shard. Not to be changed."""
    out = tmp_path_factory.mktemp("shards") / "data"
    status, output = preprocess("--source", photos.zip, "--out", out, *listed, "--shard-images", 7, "--workers", 2)
    assert status == 0, output
    return out


@pytest.fixture(scope="session")
def contents():
    """Every file of a folder with its bytes."""
    return lambda folder: {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="session")
def verify():
    """Run the command that verifies; return its exit status and the lines that it printed."""

    def run(*arguments) -> tuple[int, list[str]]:
        status, output = _finished([sys.executable, "-m", "preprocess.verify", *map(str, arguments)])
        return status, output.splitlines()

    return run


@pytest.fixture
def folder(shards, tmp_path) -> Path:
    """A finished folder of shards that may be damaged."""
    return shutil.copytree(shards, tmp_path / "data")
