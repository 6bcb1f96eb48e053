"""The notebook, executed on the drawn faces."""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.documents import DOCS, ROOT

NOTEBOOK = nbformat.read(DOCS / "colab.ipynb", as_version=4)


def test_it_is_kept_without_output_and_says_everything_in_both_languages():
    nbformat.validate(NOTEBOOK)
    for cell in NOTEBOOK.cells:
        assert not cell.get("outputs")
        if cell.cell_type == "markdown":
            assert re.search("[a-z]{3}", cell.source)
            assert re.search("[가-힣]", cell.source)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A clone. The commands of the notebook are those of this Python."""
    for name in ("system", "preprocess", "training", "explore", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


def test_it_names_no_repository_and_downloads_nothing_until_it_is_told_to():
    [settings] = [cell.source for cell in NOTEBOOK.cells if "parameters" in cell.metadata.get("tags", ())]
    assert 'REPOSITORY = ""' in settings
    [terms] = [index for index, cell in enumerate(NOTEBOOK.cells) if "non-commercial research only" in cell.source]
    assert NOTEBOOK.cells[terms + 1].source.startswith("CELEBA = False")


def test_it_takes_celeba_from_kaggle_for_those_who_agree(place):
    (place / "kagglehub.py").write_text("def dataset_download(name): return f'/kaggle/{name}'")
    notebook = nbformat.from_dict(NOTEBOOK)  # a copy
    [celeba] = [cell for cell in notebook.cells if cell.source.startswith("CELEBA = False")]
    celeba.source = celeba.source.replace("CELEBA = False", 'CELEBA, PHOTOS = True, ""')
    notebook.cells[notebook.cells.index(celeba) + 1 :] = [nbformat.v4.new_code_cell("print(PHOTOS)")]
    assert printed(executed(place, notebook)).endswith("/kaggle/jessicali9530/celeba-dataset/img_align_celeba\n")


def executed(place, notebook):
    """The notebook after all its cells."""
    [settings] = [index for index, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())]
    photos = "docs/drawn_faces/drawn_faces.zip"  # whatever /content holds here
    ours = f"PHOTOS, PRESET, KIMG, RUNS = {photos!r}, 'classic', 0.128, {str(place / 'drive')!r}"
    notebook.cells.insert(settings + 1, nbformat.v4.new_code_cell(ours))
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(place)}})
    return client.execute()


def printed(notebook):
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def test_it_trains_and_shows(place):
    notebook = executed(place, nbformat.from_dict(NOTEBOOK))
    images = [output for cell in notebook.cells for output in cell.get("outputs", []) if "image/" in str(output)]
    assert len(images) == 3
    assert (place / "faces.html").stat().st_size > 1_000_000
    assert (place / "drive/classic-drawn_faces/final.png").exists()
