"""The pages that a reader sees, in both languages: what the tests of documents share."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MODEL = DOCS / "models/lite"
DRAWN_FACES = DOCS / "drawn_faces"
ENGLISH = [
    ROOT / "README.md",
    *sorted(path for path in DOCS.glob("*.md") if not path.name.endswith(".ko.md")),
    MODEL / "README.md",
    DRAWN_FACES / "README.md",
]


def name_of(path: Path) -> str:
    """As a test is called: docs/shards."""
    return str(path.relative_to(ROOT).with_suffix(""))


def korean(path: Path) -> Path:
    """The Korean page of an English one."""
    return path.with_name(f"{path.stem}.ko.md")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str = r"\w*") -> list[str]:
    """The code blocks of a page, in a language or in any."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(path), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    """The command lines of a page, without their comments, those that are continued in one."""
    lines = "".join(blocks(path, "bash")).replace("\\\n", " ").splitlines()
    return [line for line in (line.split(" #")[0].strip() for line in lines) if line]
