"""The pages of both languages say the same, and what they name is there."""

import re

import pytest

from tests.documents import DOCS, ENGLISH, MODEL, ROOT, blocks, commands, korean, name_of, text_of

pages = pytest.mark.parametrize("path", ENGLISH, ids=name_of)
GENERATED = "../../actions/"  # what only the site of a repository has: the badge of its tests


def prose(path):
    return re.sub(r"^```.*?^```", "", text_of(path), flags=re.MULTILINE | re.DOTALL)


@pages
def test_both_languages_have_the_same_code_and_name_each_other(path):
    assert blocks(path) == blocks(korean(path))
    assert f"({korean(path).name})" in text_of(path)
    assert f"({path.name})" in text_of(korean(path))


@pages
def test_every_block_is_of_a_language_that_is_looked_at(path):
    fences = re.findall(r"^\s*```(.*)", text_of(path), re.MULTILINE)
    assert set(fences) <= {"", "bash", "python", "mermaid"}
    assert len(fences) == 2 * len(blocks(path))


@pages
def test_both_languages_have_the_same_sections_tables_pictures_and_code_words(path):
    for pattern in (r"^#+ ", r"^\|", r"!\[", r"<img "):
        counts = [len(re.findall(pattern, prose(page), re.MULTILINE)) for page in (path, korean(path))]
        assert counts[0] == counts[1], pattern
    words = [set(re.findall(r"`[^`\n]+`", prose(page))) for page in (path, korean(path))]
    assert words[0] <= words[1]


@pages
def test_both_languages_have_the_same_figures(path):
    """Those with a decimal point; millions are counted in another way."""
    figures = [
        set(re.findall(r"(?<![\d.])\d+\.\d+(?!\d|\.\d| M\b| million)", prose(page))) for page in (path, korean(path))
    ]
    assert figures[0] == figures[1]


def anchors(path):
    headings = re.findall(r"^#+ (.*)", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*ENGLISH, *map(korean, ENGLISH)], ids=name_of)
def test_what_a_page_links_to_is_there(path):
    links = re.findall(r'\]\(([^)]*)\)|src="([^"]*)"', prose(path))
    for link in (first or second for first, second in links):
        if not link.startswith(("http", GENERATED)):
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link
    if path.name.endswith(".ko.md"):  # a reader stays in one language
        assert not [link for link, _ in links if re.search(r"(?<!\.ko)\.md", link) and link != f"{path.stem[:-3]}.md"
                    and korean((path.parent / link.partition("#")[0]).resolve()).exists()]  # fmt: skip


@pages
def test_the_targets_of_make_are_there(path):
    makefile = text_of(ROOT / "Makefile")
    for target in re.findall(r"\bmake ([a-z-]+)\b", " ".join(re.findall(r"`[^`]+`", prose(path)) + commands(path))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("path", [DOCS / "licences.md", korean(DOCS / "licences.md")], ids=name_of)
def test_the_page_of_licences_names_all_that_comes_of_celeba(path):
    """Whatever lies in docs/ and is no text, by its own name or that of a folder."""
    named = {ROOT / name for name in re.findall("`(docs/[^`]*)`", text_of(path))}
    for file in DOCS.rglob("*"):
        if file.is_file() and file.suffix not in (".md", ".ipynb"):
            assert named & {file, *file.parents}, file


def test_the_card_says_to_the_hub_that_the_model_is_not_mit():
    assert text_of(MODEL / "README.md").startswith("---\nlicense: other\nlicense_name: celeba-")


def test_the_readme_is_short():
    assert len(text_of(ROOT / "README.md").splitlines()) <= 150


def test_the_readme_leads_to_every_page():
    for path in ENGLISH[1:]:
        assert f"({path.relative_to(ROOT)})" in text_of(ROOT / "README.md")
