"""Damage to a finished folder of shards, and what tells whether a file of it was touched."""

import json
import struct
from pathlib import Path


def frames(path: Path) -> list[tuple[int, int]]:
    """Where each record begins, and how many bytes of data it has."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        found.append((at, length))
        at += length + 16
    return found


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


def damage(folder: Path) -> dict[str, list[str]]:
    """Damage a file in each way; return for each what is to be said of it, word for word or as a beginning."""
    paths = sorted(folder.glob("train-*"), key=lambda path: -len(frames(path))) + sorted(folder.glob("[tv][ae][sl]*"))
    data, length, cut, gone, longer, emptied = paths[:6]
    last = frames(longer)[-1]
    at = {path: [offset for offset, _ in frames(path)] for path in paths}
    size = {path: path.stat().st_size for path in paths}
    count = {path: len(at[path]) for path in paths}
    spare = longer.read_bytes()[last[0] :]

    flip(data, at[data][1] + 12 + 50)
    flip(data, at[data][3] + 12 + 50)
    flip(length, at[length][2])
    cut.write_bytes(cut.read_bytes()[: at[cut][2] + 100])
    gone.unlink()
    longer.write_bytes(longer.read_bytes() + spare)
    emptied.write_bytes(b"")
    (folder / "train-00000-of-00009.tfrecord").write_bytes(spare)
    edit(folder / "dataset_info.json", lambda it: it["splits"][0]["shardLengths"].reverse())
    (folder / "features.json").unlink()
    return {
        data.name: [
            "has another SHA-256 than the manifest says",
            f"record 1 at byte {at[data][1]}: its data is damaged",
            f"record 3 at byte {at[data][3]}: its data is damaged",
            f"has {count[data] - 2} whole records; the manifest says {count[data]}",
        ],
        length.name: [
            "has another SHA-256 than the manifest says",
            f"record 2 at byte {at[length][2]}: its length is damaged, so what follows cannot be read",
            f"has 2 whole records; the manifest says {count[length]}",
        ],
        cut.name: [
            f"has {at[cut][2] + 100:,} bytes; the manifest says {size[cut]:,}",
            f"record 2 at byte {at[cut][2]}: it is cut off",
            f"has 2 whole records; the manifest says {count[cut]}",
        ],
        gone.name: ["is missing"],
        longer.name: [
            f"has {size[longer] + len(spare):,} bytes; the manifest says {size[longer]:,}",
            f"record {count[longer]} at byte {size[longer]}: the manifest says that there is none",
        ],
        emptied.name: [
            f"has 0 bytes; the manifest says {size[emptied]:,}",
            f"has 0 whole records; the manifest says {count[emptied]}",
        ],
        "train-00000-of-00009.tfrecord": ["is not in the manifest: move it away, or it will be trained on"],
        "dataset_info.json": ["is missing, or differs from the manifest"],
        "features.json": ["is missing, or differs from the manifest"],
    }
