"""What `make` does: as `make --dry-run` says, or with modules in place of the stages that say what they were given."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REQUIREMENTS = sorted(path.name for path in ROOT.glob("requirements*.txt"))


@pytest.fixture
def place(tmp_path):
    """A folder as after a clone."""
    place = tmp_path / "a [2021] clone 얼굴"
    (place / "data").mkdir(parents=True)
    for package in ("system", "explore", "tests"):
        (place / package).mkdir()
    shutil.copy(ROOT / "Makefile", place)
    for name in REQUIREMENTS:
        (place / name).touch()
    for module in ("preprocess.run", "training.run"):
        path = place / f"{module.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"import json, sys; print(json.dumps([sys.prefix, {module!r}, *sys.argv[1:]]))")
    return place


def make(place, *arguments):
    settings = {name: os.environ[name] for name in ("PATH", "HOME")}  # none of the `make test` that may be running this
    command = ["make", *arguments]
    done = subprocess.run(command, cwd=place, env=settings, capture_output=True, timeout=60, check=False)
    return subprocess.CompletedProcess(command, done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))


def would_do(place, *arguments):
    done = make(place, "--dry-run", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stages(place, *arguments):
    """The commands of the stages, each as its environment, its module and its options."""
    done = make(place, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def options(output):
    """The words of all commands."""
    return shlex.split(output.replace("\\\n", ""))


def value(words, option):
    return words[words.index(option) + 1]


def shards_from(place, photos, data="data"):
    (place / data / "manifest.json").write_text(json.dumps({"source": {"paths": [photos]}}))


def test_without_photos_and_shards_the_drawn_faces_are_taken(place):
    output = would_do(place, "train")
    assert "No CelebA found" in output
    photos = value(options(output), "--source")
    assert (ROOT / photos).is_file()
    assert f"--source '{photos}' --out 'data'" in output
    assert "--out 'runs/classic-drawn_faces'" in output


def test_shards_that_are_there_are_never_replaced_by_those_of_the_drawn_faces(place):
    shards_from(place, "/photos/img_align_celeba.zip")
    output = would_do(place, "train", "PRESET=lite")
    assert "preprocess" not in output
    assert "made from /photos/img_align_celeba.zip" in output
    assert "--out 'runs/lite-img_align_celeba'" in output


@pytest.mark.parametrize("manifest", ["{", '{"source": {}}', json.dumps({"source": {"paths": ["caf\udce9"]}})])
def test_shards_whose_manifest_does_not_tell_their_photos_stay_too(place, manifest):
    (place / "data/manifest.json").write_text(manifest)
    assert [module for _, module, *_ in stages(place, "train", "VENV=", f"PYTHON={sys.executable}")] == ["training.run"]


def test_a_run_on_the_drawn_faces_is_continued_where_it_was(place):
    shards_from(place, "/clone/docs/drawn_faces/drawn_faces.zip")
    output = would_do(place, "train")
    assert "preprocess" not in output
    assert "--out 'runs/classic-drawn_faces'" in output


def test_options_of_stage_1_are_handed_on(place):
    output = would_do(place, "shards", "CELEBA=own_photos", "SHARD_ARGS=--crop center --limit 100")
    assert "--attributes auto --partitions auto --crop center --limit 100" in " ".join(options(output))


@pytest.mark.parametrize("named", [True, False])
def test_photos_that_are_named_or_in_their_place_are_taken_whatever_shards_there_are(place, named):
    shards_from(place, "docs/drawn_faces/drawn_faces.zip")
    (place / "data/img_align_celeba.zip").touch()
    output = would_do(place, "train", *(["CELEBA=data/img_align_celeba.zip"] if named else []))
    assert "--source 'data/img_align_celeba.zip' --out 'data' --overwrite" in output
    assert "--out 'runs/classic-img_align_celeba'" in output


NAMES = ["my data", "a [2021] copy", "얼굴 사진", 'it\'s "mine"', "two  spaces", "a, b) (c; d & e", "*", "`f` \\n"]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_takes_any_name(place, name):
    shards = [place / name / f"{number} of {name}.tfrecord" for number in (1, 2)]
    shards[0].parent.mkdir()
    for shard in shards:
        shard.touch()
    (place / "python").mkdir()
    python = place / "python" / name
    python.symlink_to(sys.executable)
    settings = [f"{setting}={name}" for setting in ("DATA", "PRESET", "EPOCHS")]
    photos = f"photos of {name}/{name}.zip"
    (_, _, *making), (_, _, *training) = stages(
        place, "train", "VENV=", f"PYTHON={python}", f"CELEBA={photos}", *settings, "ARGS=--seed 1 --note 'a  b'"
    )
    assert value(making, "--source") == photos
    assert value(making, "--out") == name
    assert training[:3] == ["--shards", *(str(shard.relative_to(place)) for shard in shards)]
    assert value(training, "--preset") == value(training, "--epochs") == name
    assert value(training, "--out") == f"runs/{name}-{name}"
    assert training[-4:] == ["--seed", "1", "--note", "a  b"]

    shards_from(place, f"/old {name}", name)
    [(_, module, *training)] = stages(place, "train", "VENV=", f"PYTHON={python}", f"DATA={name}", f"RUN=~/{name}")
    assert module == "training.run"
    assert value(training, "--out") == str(Path.home() / name)


def test_clean_removes_from_a_folder_with_a_space_what_the_stages_wrote_there(place):
    kept = ["my/photo.jpg", "data/manifest.json", "my data/labels.json", "my data/own.zip", "my data/features/own.json"]
    removed = [f"my data/{name}" for name in (
        "manifest.json", "features.json", "dataset_info.json", "rejected.jsonl", "train-00000-of-00001.tfrecord",
        ".unfinished/settings.json", "features/attributes.keras", "features/a-10-of-0.npz",
    )]  # fmt: skip
    for name in kept + removed:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    done = make(place, "clean", "DATA=my data")
    assert done.returncode == 0, done.stderr
    assert [name for name in kept + removed if (place / name).exists()] == kept


def test_an_environment_of_any_name_is_made_once_and_again_where_its_python_is_gone_or_requirements_change(place):
    venv = place / "my venv's"

    def prefix():
        return {command[0] for command in stages(place, "shards", f"VENV={venv.name}", f"PYTHON={sys.executable}")}

    def made():
        return (venv / "pyvenv.cfg").stat().st_mtime_ns

    assert prefix() == {str(venv)}
    first = made()
    assert prefix() == {str(venv)}
    assert made() == first
    for python in (venv / "bin").glob("python*"):
        python.unlink()
        python.symlink_to("/no/longer/there")
    assert prefix() == {str(venv)}
    assert made() > first
    (place / "requirements.txt").write_text("./no-such-package\n")
    done = make(place, "shards", f"VENV={venv.name}")
    assert done.returncode == 2
    assert "no-such-package" in done.stderr


def test_a_pip_that_installs_for_the_user_installs_into_the_environment(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    (place / ".config/pip").mkdir(parents=True)
    (place / ".config/pip/pip.conf").write_text("[install]\nuser = true\n")
    done = make(place, "ready", f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0", None])
def test_a_python_that_tensorflow_does_not_support_is_named_before_anything_is_made(place, version):
    python = place / "my python"
    if version:
        python.write_text(f"#!/bin/sh\ncase $1 in --version) echo Python {version};; *) exit 1;; esac\n")
        python.chmod(0o755)
    done = make(place, "train", f"PYTHON={python}")
    assert done.returncode == 2
    line, _ = done.stderr.splitlines()  # and make's own
    assert (f"Python {version}" if version else "not found") in line
    assert str(python) in line
    assert "make train PYTHON=python3.13" in line
    assert not (place / ".venv").exists()


def test_the_pythons_are_the_same_everywhere():
    [listed] = re.findall(r"^PYTHONS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    first, *_, last = listed.split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == f">={first},<3.{int(last.split('.')[1]) + 1}"
    assert project["tool"]["ruff"]["target-version"] == f"py{first.replace('.', '')}"
    workflow = (ROOT / ".github/workflows/test.yml").read_text()
    assert f"python: {json.dumps(listed.split())}" in workflow
