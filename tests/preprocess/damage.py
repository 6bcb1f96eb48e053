"""Damage to a finished folder of shards, and what tells whether a file of it was touched."""

import json
import struct
from pathlib import Path


def frames(path: Path) -> list[tuple[int, int]]:
    """Where each record begins, and how many bytes of data it has."""
    data, at, records = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        records.append((at, length))
        at += length + 16
    return records


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def edit(path: Path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}


def damage(folder: Path) -> dict[str, str]:
    """Damage a file in each way; return for each what is to be reported."""
    paths = sorted(folder.glob("train-*"), key=lambda path: -len(frames(path))) + sorted(folder.glob("[tv][ae][sl]*"))
    data, length, cut, gone, longer, emptied, exchanged = paths[:7]
    at = {path: [offset for offset, _ in frames(path)] for path in paths}
    size = {path: path.stat().st_size for path in paths}
    spare = longer.read_bytes()[at[longer][-1] :]

    flip(data, at[data][1] + 12 + 50)
    flip(data, at[data][3] + 12 + 50)
    flip(length, at[length][2])
    cut.write_bytes(cut.read_bytes()[: at[cut][2] + 100])
    gone.unlink()
    longer.write_bytes(longer.read_bytes() + spare)
    emptied.write_bytes(b"")
    whole = exchanged.read_bytes()
    exchanged.write_bytes(whole[at[exchanged][-1] :] + whole[: at[exchanged][-1]])  # the last record comes first
    (folder / "train-00000-of-00009.tfrecord").write_bytes(spare)
    edit(folder / "dataset_info.json", lambda document: document["splits"][0]["shardLengths"].reverse())
    (folder / "features.json").unlink()
    other = "has another SHA-256 than the manifest says"
    return {
        data.name: f"{other}; record 1 at byte {at[data][1]} is damaged",
        length.name: f"{other}; the length of record 2 at byte {at[length][2]} is damaged",
        cut.name: f"has {at[cut][2] + 100:,} bytes; the manifest says {size[cut]:,}; "
        f"record 2 at byte {at[cut][2]} is cut off",
        gone.name: "is missing",
        longer.name: f"has {size[longer] + len(spare):,} bytes; the manifest says {size[longer]:,}",
        emptied.name: f"has 0 bytes; the manifest says {size[emptied]:,}",
        exchanged.name: other,
        "train-00000-of-00009.tfrecord": "is not in the manifest: move it away, as training refuses it",
        "dataset_info.json": "is missing, or differs from the manifest",
        "features.json": "is missing, or differs from the manifest",
    }
