"""Damage of every kind is named."""

import pytest

from preprocess.verify import report_lines
from tests.preprocess.damage import damage, edit, frames, stamps


@pytest.mark.parametrize("workers", [1, 3])
def test_a_whole_folder_is_one_line_and_stays_as_it_is(verify, shards, workers):
    before = stamps(shards)
    status, said = verify(shards, "--workers", workers)
    assert (status, len(said)) == (0, 1), said
    assert f"{len(list(shards.glob('*.tfrecord')))} shards, 40 records" in said[0]
    assert stamps(shards) == before


def test_all_damage_is_named_at_once(verify, folder):
    expected = {f"{name}: {what}" for name, lines in damage(folder).items() for what in lines}
    status, said = verify(folder)
    assert status == 1
    assert set(said[:-1]) == expected
    assert "--repair" in said[-1]


def test_a_folder_without_manifest_is_said_with_what_to_do(verify, folder, tmp_path):
    (folder / "manifest.json").unlink()
    for path in (folder, tmp_path):
        status, said = verify(path)
        assert (status, "no manifest.json" in said[-1] or "no manifest.json" in " ".join(said)) == (2, True)
    assert verify(tmp_path / "nothing")[0] == 2


def test_rejected_photos_are_held_against_the_manifest(verify, folder):
    (folder / "rejected.jsonl").write_text('{"id": "a.jpg", "reason": "empty file"}\n')
    status, said = verify(folder)
    assert status == 1
    assert said[:-1] == ["rejected.jsonl: is missing, or differs from the manifest"]
    edit(folder / "manifest.json", lambda it: it.update(rejected={"empty file": 1}))
    assert verify(folder)[0] == 0


def test_a_photo_in_two_records_is_named(verify, folder):
    one, other = sorted(folder.glob("train-*"))[:2]
    (_, length), (at, _) = frames(one)[0], frames(other)[1]
    photo = one.read_bytes()[: length + 16]
    other.write_bytes(other.read_bytes()[:at] + photo + other.read_bytes()[at + length + 16 :])
    status, said = verify(folder)
    assert status == 1
    assert any(
        line.startswith(f"{other.name}: record 1 at byte {at}: '") and f"in record 0 of {one.name}" in line
        for line in said
    )


def test_of_many_findings_the_first_are_listed_and_the_rest_is_counted():
    findings = [("a", f"{number}") for number in range(2000)] + [("b", "x")]
    lines = list(report_lines(findings))
    assert lines == [f"a: {number}" for number in range(20)] + ["b: x", "a: 1,980 more findings"]
