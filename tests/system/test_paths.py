"""No command takes a URL for a path: it would read and write a local folder of that name. Some take URLs of objects."""

from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from system.command import Place

ROOT = Path(__file__).parent.parent.parent
COMMANDS = [
    import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)).main
    for package in ("preprocess", "training", "explore")
    for path in sorted((ROOT / package).rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text()
]
PATHS = [
    pytest.param(command, option, id=f"{command.callback.__module__} {option.opts[0]}")
    for command in COMMANDS
    for option in command.params
    if isinstance(option.type, click.Path)
]
URLS = ("s3://bucket/x", "GS://bucket/*.tfrecord", "hf://a/b", "file:///tmp/x", "s3:/bucket/x", "zip::s3://x")


@pytest.mark.parametrize(("command", "option"), PATHS)
def test_a_url_is_refused(command, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    takes_urls = isinstance(option.type, Place)
    for url in URLS[3:] if takes_urls else URLS:
        name = [option.opts[0]] if isinstance(option, click.Option) else []
        result = CliRunner().invoke(command, [*name, url])
        assert result.exit_code == 2
        assert f"{url!r} is a URL{' of another kind' if takes_urls else ', and only local paths are'}" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "option"), PATHS)
def test_no_name_is_refused(command, option):
    """As of a variable of the shell that is not set: it would be the current folder."""
    name = [option.opts[0]] if isinstance(option, click.Option) else []
    result = CliRunner().invoke(command, [*name, ""])
    assert result.exit_code == 2
    assert "it is empty: name a path" in result.output


def test_a_path_with_a_colon_is_a_path(tmp_path):
    (tmp_path / "a:b").mkdir()
    for path in (tmp_path / "a:b", "C:/photos", "2026-01-01T12:00/photos"):
        result = CliRunner().invoke(COMMANDS[0], ["--source", str(path)])
        assert "URL" not in result.output
