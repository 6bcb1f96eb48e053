"""The feature space `inception`: the network that the FID was defined with, so that figures compare with papers'.

It is the graph of 2015-12-05 that Heusel et al. 2017 took (fid.py of TTUR), from its input after the JPEG decoder,
pixels in 0..255 which it resizes to 299x299 by itself, to `pool_3`, 2,048 wide. Other Inceptions, and other ways to
resize, give other figures.
"""

from __future__ import annotations

import base64
import hashlib
import tarfile
import time
import urllib.request
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
from click import ClickException, UsageError
from google.protobuf.message import DecodeError

from system.files import replacing
from training.batch import ImageShape
from training.data.shards import ShardSet
from training.metrics.space import FeatureSpace, progress

NAME = "inception"
URL = "https://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"
HOW_TO_GET = f"Get {URL} on a machine that can, and name it: --inception {URL.rsplit('/', 1)[1]}"
FILE = "classify_image_graph_def.pb"
INPUT = "ExpandDims"
OUTPUT = "pool_3"
WIDTH = 2048
# What stands before the names: nothing as published, the second where a graph was saved again after fid.py.
PREFIXES = ("", "FID_Inception_Net/")

SILENCE_SECONDS = 30
DOWNLOAD_SECONDS = 1_200  # 89 MB at 74 kB/s


def load(shards: ShardSet, file: Path | None) -> FeatureSpace:
    """Return the space of the graph in `file`; without one, of that in the folder of features, downloaded if missing.

    Raises UsageError where the file is not that graph, and ClickException where it cannot be downloaded.
    """
    if file is None:
        file = shards.features_dir / FILE
        if not file.exists():
            _fetch(file, shards.image_shape)
    content = read_graph(file)
    return FeatureSpace(NAME, hashlib.sha256(content).hexdigest()[:16], features_of(content, file, shards.image_shape))


def read_graph(file: Path) -> bytes:
    """Return the serialized graph in a .pb, or in the .tgz that holds it."""
    try:
        if not tarfile.is_tarfile(file):
            return file.read_bytes()
        with tarfile.open(file) as archive:
            for entry in archive:
                if entry.isfile() and Path(entry.name).name == FILE and (graph := archive.extractfile(entry)):
                    return graph.read()
            raise UsageError(f"{file} holds no {FILE}. {HOW_TO_GET}")
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UsageError(f"{file} cannot be read ({error}). {HOW_TO_GET}") from None


def features_of(content: bytes, file: Path, image_shape: ImageShape) -> Callable[[np.ndarray], np.ndarray]:
    """Return `FeatureSpace.batch_features` of a graph for images of this shape; one channel is taken three times."""
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
    except DecodeError:
        raise UsageError(f"{file} is not a TensorFlow graph. {HOW_TO_GET}") from None
    nodes = {node.name for node in graph.node}
    prefix = next((prefix for prefix in PREFIXES if {prefix + INPUT, prefix + OUTPUT} <= nodes), None)
    if prefix is None:
        raise UsageError(f"{file} is another graph: it has no {INPUT} and {OUTPUT}. {HOW_TO_GET}")

    # A session of its own: the graph has operations that TensorFlow runs for a graph as old as this one (version 8) and
    # in no function of today's version.
    with tf.Graph().as_default() as whole:
        images = tf.compat.v1.placeholder(tf.uint8, (None, *image_shape))
        pixels = tf.tile(tf.cast(images, tf.float32), (1, 1, 1, 3 // image_shape[-1]))
        (pooled,) = tf.graph_util.import_graph_def(
            graph, input_map={f"{prefix}{INPUT}:0": pixels}, return_elements=[f"{prefix}{OUTPUT}:0"]
        )
        features = tf.squeeze(pooled, (1, 2))
    if features.shape[-1] != WIDTH:
        raise UsageError(f"{file} is another graph: its {OUTPUT} is {features.shape[-1]} wide. {HOW_TO_GET}")
    session = tf.compat.v1.Session(graph=whole)
    return lambda faces: session.run(features, {images: faces})


def _fetch(path: Path, image_shape: ImageShape) -> None:
    """Write the published graph to `path`, whole and checked, or raise ClickException."""
    print(f"Fetching {URL} (89 MB) once, to {path}.", flush=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as place:
            archive = Path(place) / "inception.tgz"
            _download(URL, archive)
            content = read_graph(archive)
        features_of(content, path, image_shape)
        with replacing(path) as partial:
            partial.write_bytes(content)
    except (OSError, HTTPException) as error:  # urllib's own errors are OSErrors
        raise ClickException(
            f"The Inception graph cannot be downloaded to {path.parent} ({str(error).strip()}). {HOW_TO_GET}\n"
            "To keep it in another folder, use --features-dir."
        ) from None


def _download(url: str, path: Path) -> None:
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(url, timeout=SILENCE_SECONDS) as response, path.open("wb") as file:
        size = int(response.headers.get("Content-Length", 0))
        hashes = [part.strip() for line in response.headers.get_all("x-goog-hash", []) for part in line.split(",")]
        with progress(size, "Inception") as bar:
            while chunk := response.read(1 << 20):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not done after {DOWNLOAD_SECONDS // 60} minutes")
    if size and path.stat().st_size != size:
        raise OSError(f"{path.stat().st_size:,} of {size:,} bytes arrived")
    # Google's storage sends "x-goog-hash: md5=..." in base64; whoever publishes the graph publishes no other digest.
    promised = next((text for text in hashes if text.startswith("md5=")), None)
    if promised and promised != f"md5={base64.b64encode(digest.digest()).decode()}":
        raise OSError("the file has another MD5 than its server says: it was changed on the way")
