"""Where shards go: the steps from unfinished to published ones, and what a check and a repair need.

Two modules have them, staging.py for folders and bucket.py for prefixes: `out` is a Path there and a Url here. Each
step can be repeated after a kill at any moment.
"""

from pathlib import Path
from types import ModuleType

from preprocess import bucket, staging
from preprocess.manifest import Document, differences
from system.objects import Url


def destination(out: Path | Url) -> ModuleType:
    """Return the module with the steps for a folder, or for a prefix."""
    return bucket if isinstance(out, Url) else staging


def up_to_date(out: Path | Url, recipe: Document) -> Document | None:
    """Return the manifest of `out` where it holds the shards of this recipe, each in its full size, else None."""
    manifest = destination(out).finished(out)
    if manifest is None or differences(manifest, recipe):
        return None
    sizes = destination(out).sizes(out)
    return manifest if all(sizes.get(shard["name"]) == shard["bytes"] for shard in manifest["shards"]) else None
