"""The two READMEs say the same, and what they name is there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGLISH, KOREAN = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))


def code_blocks(text):
    return re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)


def test_the_code_blocks_of_both_languages_are_the_same():
    assert len(code_blocks(ENGLISH)) > 3
    assert code_blocks(ENGLISH) == code_blocks(KOREAN)


def test_both_have_the_same_sections_pictures_and_code_words():
    for pattern in (r"^#+ ", r"\]\((?!README)[^)]*\)", r"^\|"):
        assert len(re.findall(pattern, ENGLISH, re.MULTILINE)) == len(re.findall(pattern, KOREAN, re.MULTILINE))
    words = [
        set(re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))) for text in (ENGLISH, KOREAN)
    ]
    assert words[0] - words[1] == set()


def test_what_the_readme_names_is_there():
    for link in re.findall(r"\]\((?!http|#)([^)]*)\)", ENGLISH):
        assert (ROOT / link).exists(), link
    for text in (ENGLISH, KOREAN):
        sections = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)", text, re.MULTILINE)}
        assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= sections
    for target in re.findall(r"\bmake ([a-z-]+)\b", " ".join(re.findall(r"`[^`]+`", ENGLISH) + code_blocks(ENGLISH))):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_the_python_of_the_readme_reads_the_shards(tmp_path):
    """Its code block, run in a folder where `data` holds shards of photos with attributes."""
    photos = tmp_path / "photos"
    lists = ["--attributes", photos / "list_attr_celeba.txt"]
    for command in (
        ["preprocess.sample_photos", "--out", photos, "--count", 5],
        ["preprocess.run", "--source", photos / "img_align_celeba", "--out", tmp_path / "data", *lists],
    ):
        run([sys.executable, "-m", *map(str, command)], cwd=ROOT)
    [code] = re.findall(r"^```python\n(.*?)^```", ENGLISH, re.MULTILINE | re.DOTALL)
    show = (
        "for batch in faces: print(batch['image'].shape, batch['attributes'].shape, sorted(batch['image_id'].numpy()))"
    )
    output = run([sys.executable, "-c", code + show], cwd=tmp_path)
    ids = [f"{number:06d}.jpg".encode() for number in range(1, 6)]
    assert output == f"(5, 64, 64, 1) (5, 40) {ids}\n"


def run(command, cwd):
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=120).stdout
