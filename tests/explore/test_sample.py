"""Faces as files for other programs: a folder of PNGs and an array, whatever interrupts the command."""

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explore import files
from tests.disk import kill_at_every_step
from tests.training.runs import sample

FACES = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 1), dtype=np.uint8)
LITE = Path("docs/models/lite")


def batches():
    return iter([FACES[:3], FACES[3:]])


def pictures(folder):
    return {path.name: np.asarray(Image.open(path))[..., None] for path in sorted(folder.iterdir())}


def test_a_folder_and_an_array_hold_the_faces_of_the_seed(tmp_path):
    """More faces than a batch, of a second seed: the same from both, and those of today's grid."""
    for out in ("faces", "faces.npz", "faces.png"):
        sample.succeeds("--run", LITE, "--count", 36, "--seed", 7, "--out", tmp_path / out)
    with np.load(tmp_path / "faces.npz") as archive:
        assert list(archive) == ["faces"]
        faces = archive["faces"]
    assert (faces.shape, faces.dtype) == ((36, 64, 64, 1), np.uint8)
    grid = np.asarray(Image.open(tmp_path / "faces.png")).reshape(6, 64, 6, 64, 1).swapaxes(1, 2)
    assert np.array_equal(faces, grid.reshape(faces.shape))
    written = pictures(tmp_path / "faces")
    assert list(written) == [f"7-{index:06d}.png" for index in range(36)]
    assert np.array_equal(faces, list(written.values()))


def test_an_array_has_the_labels_of_a_run_with_conditions(tmp_path):
    labels = np.where(np.arange(10).reshape(5, 2) % 3, 1, -1).astype(np.float32)
    others = {"labels": labels, "conditions": np.array(["Male", "Smiling"])}
    files.write_array(tmp_path / "faces.npz", FACES.shape, batches(), others)
    with np.load(tmp_path / "faces.npz") as archive:
        assert {name: archive[name].tolist() for name in archive} == {
            "faces": FACES.tolist(),
            "labels": labels.tolist(),
            "conditions": ["Male", "Smiling"],
        }


def test_a_killed_command_leaves_whole_faces_and_the_next_one_completes_them(tmp_path):
    for at in kill_at_every_step(lambda at: files.write_pictures(tmp_path / str(at), 0, batches())):
        folder = tmp_path / str(at)
        whole = {name: face for name, face in pictures(folder).items() if not name.startswith(".")}
        assert all(np.array_equal(face, FACES[int(name[2:8])]) for name, face in whole.items())
        (folder / ".partial-0123abcd-0-000004.png").write_bytes(b"half of a face")
        files.check(folder, 0, len(FACES))
        files.write_pictures(folder, 0, batches())
        assert len(pictures(folder)) == len(FACES)
    assert at == len(FACES)


def test_a_full_disk_leaves_the_array_that_was_there(tmp_path):
    def full():
        yield FACES[:3]
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "faces.npz"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_array(path, FACES.shape, full(), {})
    assert caught.value.filename == str(path)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"before", [path])


def test_a_place_that_faces_do_not_belong_to_is_refused(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "0-000005.png").touch()  # of more faces
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    expected = {
        "faces": "holds other things",
        "file": "is no folder",
        "nowhere": "is no folder",
        "faces.jpg": "a grid of faces is a .png",
        "faces.npy": "an array of them a .npz",
    }
    for out, message in {**expected, "no/faces": "is not a folder"}.items():
        assert message in sample.is_refused("--run", LITE, "--count", 5, "--out", tmp_path / out)
    grid = ("--count", files.MAX_IN_GRID + 1, "--out", tmp_path / "faces.png")
    assert "too many for one picture" in sample.is_refused("--run", LITE, *grid)
    chosen = ("--count", files.MAX_FACES, "--best-of", 1000, "--out", tmp_path / "faces.npz")
    assert "more than 10,000,000 to draw" in sample.is_refused("--run", LITE, *chosen)
    assert "one picture" in sample.is_refused("--run", LITE, "--strip", "Smiling", "--out", tmp_path / "strips")
    assert sorted(tmp_path.rglob("*")) == before
