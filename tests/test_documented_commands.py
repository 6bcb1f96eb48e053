"""Every command of the pages runs, in one folder and in the order of the pages, and every example of code.

The example for PyTorch runs where PyTorch is installed; in those for trackers and the Hugging Face Hub, which need
packages and accounts of their own, something that keeps what it is given stands in their place. What is trained is
small, and the shards of 16x16 pixels with three attributes: the options in `SHORT` are added to the commands, and what
takes long beside them is less by `LITTLE`. That all metrics go together is in training/test_evaluate.py.
"""

import csv
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from keras.src.saving import saving_lib

from explore.directions import __main__ as directions_command
from explore.directions import directions, refining
from tests.command import Command
from tests.documents import DOCS, DRAWN_FACES, ENGLISH, ROOT, blocks, commands, name_of
from training import choosing
from training.loop import forecast

SHORT = {
    "preprocess.run": "--size 16 --limit 60 --max-rejected 0.5",
    "training.run": "--kimg 0.04 --batch-size 8 --width 0.1 --penalty-every 1",
    "training.features": "--kimg 0.02",
    "training.evaluate": "--metrics frechet",
    "explore.directions": "--count 1000",
    "explore.sample": "--count 4",
    "explore.walk": "--fps 1",
    "explore.dataset": "--count 20",
}
# Runs with these options are of `classic`, which compiles faster: the last --preset counts. `lite` with labels is
# trained in training/loop/test_engine.py, and both kinds of its steps are compiled in training/test_bits.py.
OF_CLASSIC = {"--condition", "--augment"}
LITTLE = [
    (refining, "WIDTH", 8),
    (refining, "UPDATES", 10),
    (refining, "STEPS", 10),
    (directions_command, "RESCORED", 10),
    (choosing, "REFERENCE", 50),
    (forecast, "forecast", lambda *_: "a forecast"),  # of r3gan; others are in training/test_run.py
]
ATTRIBUTES = ("Male", "Smiling", "Eyeglasses")  # of CelebA's 40 those that the pages name
# What does not run here: it sets up another environment or needs other machines; `make` is tested in test_makefile.py.
SYSTEMS = ("docker ", "mkdir ", "sbatch ", "kubectl ", "gcloud ", "awk ", "xargs ")
ELSEWHERE = ("pip install", "python3 -m venv", "python -m dask", "export ", "make ", *SYSTEMS)
ON_OTHER_MACHINES = ("--cluster", "runs/two-hosts", "gs://", "az://", "https://", "hf://")
EXPLORING, BUCKETS = DOCS / "exploring.md", DOCS / "buckets.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A clone with a download of CelebA, photos of one's own with labels, and what the README's commands leave."""
    place = tmp_path_factory.mktemp("documents")
    (place / "docs").symlink_to(DOCS)
    downloads = shutil.copytree(DRAWN_FACES, place / "Downloads")
    keep_attributes(downloads / "list_attr_celeba.txt")
    (downloads / "drawn_faces.zip").rename(downloads / "img_align_celeba.zip")
    for name in ("img_align_celeba.zip", "list_eval_partition.txt"):
        shutil.copy(downloads / name, place)
    with zipfile.ZipFile(place / "img_align_celeba.zip") as archive:
        photo = archive.read("img_align_celeba/000001.jpg")
        archive.extract("img_align_celeba/000001.jpg", place / "with-glasses")  # as `unzip` does in docs/few-photos.md
    for animal in ("cat", "dog"):
        (place / "photos" / animal).mkdir(parents=True)
        for number in range(4):
            (place / "photos" / animal / f"{number}.jpg").write_bytes(photo)
    rows = [f"{animal}/{number}.jpg,{tame}" for animal, tame in (("cat", 0), ("dog", 1)) for number in range(4)]
    (place / "labels.csv").write_text("\n".join(["photo,Tame", *rows]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("HOME", str(place))
        for module, name, value in LITTLE:
            patch.setattr(module, name, value)
        run_all(place, ENGLISH[0])
        yield place


def keep_attributes(path):
    """Leave `ATTRIBUTES` alone in CelebA's list."""
    count, names, *rows = (line.split() for line in path.read_text().splitlines())
    columns = [names.index(name) for name in ATTRIBUTES]
    kept = [[photo, *(values[column] for column in columns)] for photo, *values in rows]
    path.write_text("\n".join(map(" ".join, [count, ATTRIBUTES, *kept])) + "\n")


def run_all(place, page):
    """Give every command of a page."""
    for line in commands(page):
        if not line.startswith(ELSEWHERE) and not any(word in line for word in ON_OTHER_MACHINES):
            run_line(place, line)


@cache  # what several pages say is given once
def run_line(place, line):
    program, *words = shlex.split(line)
    assert program == "python", line
    arguments = [path for word in words for path in expanded(place, word)]
    if arguments[0] == "-m":
        give(arguments[1], arguments[2:])
    else:
        parses(ROOT / arguments[0], arguments[1:])


def expanded(place, word):
    """A word as a shell hands it on."""
    if "*" in word:
        return sorted(str(path.relative_to(place)) for path in place.glob(word))
    return [re.sub("^~", str(place), word)]


def give(module, arguments):
    if hasattr(importlib.import_module(module), "__path__"):  # a package, of which `python -m` runs __main__
        module += ".__main__"
    preset = ("--preset", "classic") if OF_CLASSIC.intersection(arguments) else ()
    Command(importlib.import_module(module).main).succeeds(*arguments, *shlex.split(SHORT.get(module, "")), *preset)
    if module == "training.sheets":  # what a person does with them
        form = Path("sheets/marks.txt")
        form.write_text(form.read_text().replace("judge:", "judge: Kim").replace("broken:", "broken: 1 5"))


def parses(script, arguments):
    """A benchmark would take hours: its command line is read, and it is not run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(script.parent)
        spec = importlib.util.spec_from_file_location(script.stem, script)
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, script.stem, module)
        spec.loader.exec_module(module)
        module.main.make_context(script.name, list(arguments))


@pytest.mark.parametrize("page", [page for page in ENGLISH[1:] if page not in (EXPLORING, BUCKETS)], ids=name_of)
def test_every_command_of_a_page_succeeds(place, page):
    run_all(place, page)


def test_every_command_of_the_page_of_buckets_succeeds(place, bucket):
    archive = place / "img_align_celeba.zip"
    with zipfile.ZipFile(archive) as photos:
        bucket.objects = {f"bucket/photos/{name}": photos.read(name) for name in photos.namelist()[:100]}
    for path in (place / "Downloads").glob("list_*"):
        bucket.objects[f"bucket/photos/{path.name}"] = path.read_bytes()
    bucket.objects["bucket/photos.zip"] = archive.read_bytes()
    run_all(place, BUCKETS)


def executed(code):
    names = {}
    exec(code, names)
    return names


def test_the_readme_draws_faces_with_plain_keras(place):
    [code] = blocks(ENGLISH[0], "python")
    faces = executed(code)["faces"]
    assert faces.shape == (16, 64, 64, 1)
    assert 0 <= faces.min() < 0.2 < 0.8 < faces.max() <= 1


@pytest.fixture(scope="module")
def readers():
    names = ("tensorflow", "tfds", "shards.py", "numpy", "pytorch")
    return dict(zip(names, blocks(DOCS / "shards.md", "python"), strict=True))


@pytest.fixture(scope="module")
def records(place, readers):
    """What TensorFlow reads of the training shards: pixels and attributes by photo."""
    batches = list(executed(readers["tensorflow"])["faces"].as_numpy_iterator())
    images, attributes, ids = (
        np.concatenate([batch[name] for batch in batches]) for name in ("image", "attributes", "image_id")
    )
    assert images.shape[1:] == (16, 16, 1)
    assert attributes.shape[1:] == (len(ATTRIBUTES),)
    assert len(set(ids)) == len(ids) > 30
    return images, attributes, ids


def test_tfds_reads_what_tensorflow_reads(place, readers, records):
    [batch] = executed(readers["tfds"])["faces"].as_numpy_iterator()
    order, expected = np.argsort(batch["image_id"]), np.argsort(records[2])
    np.testing.assert_array_equal(batch["image"][order], records[0][expected])
    np.testing.assert_array_equal(batch["attributes"][order], records[1][expected])


# What each record sums up to: the pixels, and the attributes.
SUMS = {
    "numpy": "print(sorted(zip(images.reshape(len(images), -1).sum(1).tolist(), attributes.sum(1).tolist())))",
    "pytorch": "print(sorted(zip(*[torch.cat(part).flatten(1).sum(1).tolist() for part in zip(*faces)])))",
}


@pytest.mark.parametrize("library", SUMS)
def test_other_libraries_read_what_tensorflow_reads(place, readers, records, library):
    """In a process of its own, for the workers of PyTorch."""
    (place / "shards.py").write_text(readers["shards.py"])
    if library == "pytorch":
        pytest.importorskip("torch")
    command = [sys.executable, "-c", f"{readers[library]}\n{SUMS[library]}"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    sums = (part.reshape(len(part), -1).astype(int).sum(axis=1).tolist() for part in records[:2])
    assert printed == f"{sorted(zip(*sums, strict=True))}\n"


def test_every_command_of_exploring_and_the_examples_of_export_draw_the_same_faces(place, monkeypatch):
    run_all(place, EXPLORING)
    monkeypatch.chdir(place / "runs/lite")
    *drawing, moving = blocks(EXPLORING, "python")
    assert len(drawing) == 4
    by_format = [executed(code)["images"] for code in drawing]
    for images in by_format:
        assert images.shape == (16, 16, 16, 1)
        np.testing.assert_allclose(images, by_format[0], atol=1e-5)
    names = executed(moving)
    by_python = directions.load(Path()).edit(names["z"], {"Smiling": 2.0}, "normal")
    np.testing.assert_allclose(names["moved"], by_python, atol=1e-5)


@pytest.fixture(scope="module")
def elsewhere():
    return dict(zip(("wandb", "mlflow", "upload", "download"), blocks(DOCS / "elsewhere.md", "python"), strict=True))


@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_a_tracker_gets_settings_losses_and_samples(place, elsewhere, monkeypatch, package):
    got, logged = SimpleNamespace(settings={}, pictures=[]), {}

    def log(figures, step):
        assert step >= max(logged, default=0), "W&B ignores steps that go back"
        logged.setdefault(step, {}).update(figures)

    wandb = SimpleNamespace(
        init=lambda project, name, config: got.settings.update(config),
        Image=lambda path: got.pictures.append(Path(path)),
        log=log,
        finish=lambda: None,
    )
    mlflow = SimpleNamespace(
        set_experiment=lambda name: None,
        start_run=lambda run_name: nullcontext(),
        log_params=got.settings.update,
        log_metrics=log,
        log_artifacts=lambda folder, name: got.pictures.extend(Path(folder).iterdir()),
        log_artifact=lambda path: got.pictures.append(Path(path)),
    )
    monkeypatch.setitem(sys.modules, package, {"wandb": wandb, "mlflow": mlflow}[package])
    executed(elsewhere[package])
    assert got.settings == json.loads(Path("runs/lite/config.json").read_text())
    assert Path("runs/lite/samples/epoch-00001.png") in got.pictures
    assert all(path.exists() for path in got.pictures)
    [*_, epoch] = csv.DictReader(Path("runs/lite/history.csv").read_text().splitlines())
    for name in ("d_loss", "g_loss"):
        assert logged[int(epoch["step"])][f"epoch/{name}"] == float(epoch[name])
    assert "status/images_per_second" in {name for figures in logged.values() for name in figures}


def test_a_generator_comes_back_from_the_hub(place, elsewhere, monkeypatch):
    """By Keras's own code for hf://; the hub is a folder."""
    hub = Path("hub").absolute()
    api = SimpleNamespace(
        create_repo=lambda name, exist_ok: SimpleNamespace(repo_id=name),
        upload_folder=lambda repo_id, folder_path, commit_message: shutil.copytree(folder_path, hub / repo_id),
    )
    stand_in = SimpleNamespace(HfApi=lambda **about: api, snapshot_download=lambda repo_id, **about: hub / repo_id)
    monkeypatch.setattr(saving_lib, "huggingface_hub", stand_in)
    generator = executed(elsewhere["upload"])["generator"]
    for name in ("config.json", "metadata.json", "model.weights.h5", "README.md"):
        assert (hub / "YOU/faces" / name).exists()
    z = np.random.default_rng(0).standard_normal((16, 64)).astype("float32")
    np.testing.assert_array_equal(executed(elsewhere["download"])["faces"], generator.predict(z))
