"""The loader on a small frozen graph with the original's names and its oldest habits."""

import base64
import hashlib
import io
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from click import ClickException, UsageError

from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training.data.shards import find
from training.metrics import inception

WIDTH = 2048


def frozen_graph(prefix="", width=WIDTH):
    """One JPEG -> a batch of one -> 299x299 -> -1..1 -> convolution -> normalisation as of 2015 -> mean: a GraphDef."""
    graph = tf.Graph()
    rng = np.random.default_rng(0)
    kernel, beta = rng.normal(size=(3, 3, 3, width)).astype(np.float32), rng.normal(size=width).astype(np.float32)
    with graph.as_default():
        contents = tf.compat.v1.placeholder(tf.string, (), name="DecodeJpeg/contents")
        decoded = tf.cast(tf.image.decode_jpeg(contents, channels=3, name="DecodeJpeg"), tf.float32, name="Cast")
        x = tf.expand_dims(decoded, 0, name="ExpandDims")
        x = tf.compat.v1.image.resize_bilinear(x, (299, 299), name="ResizeBilinear")
        x = tf.multiply(tf.subtract(x, 128.0), 1 / 128, name="Mul")
        x = tf.nn.conv2d(x, tf.constant(kernel), 32, "SAME", name="conv/Conv2D")
        # Gone from TensorFlow since graphs of version 9; the published graph is older and has it.
        x = tf.raw_ops.Add(x=x, y=tf.constant(beta), name="before")
        x = tf.nn.relu(x, name="conv")
        x = tf.raw_ops.AvgPool(value=x, ksize=[1, 10, 10, 1], strides=[1, 1, 1, 1], padding="VALID", name="pool_3")
        tf.squeeze(x, name="pool_3/_reshape")
    definition = graph.as_graph_def()
    normalisation = next(node for node in definition.node if node.name == "before")
    normalisation.op, normalisation.name = "BatchNormWithGlobalNormalization", "conv/batchnorm"
    del normalisation.input[1:]
    for name, value in (("mean", 0 * beta), ("variance", 0 * beta + 1), ("beta", beta), ("gamma", 0 * beta + 1)):
        constant = definition.node.add(name=name, op="Const")
        constant.attr["dtype"].type = tf.float32.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        normalisation.input.append(name)
    normalisation.attr["variance_epsilon"].f = 0.0
    normalisation.attr["scale_after_normalization"].b = False
    for node in definition.node:
        node.input[:] = [prefix + ("conv/batchnorm" if name == "before" else name) for name in node.input]
        node.name = prefix + node.name
    definition.versions.producer, definition.versions.min_consumer = 8, 0
    return definition.SerializeToString(), kernel, beta


def expected_features(images, kernel, beta):
    """The same, by TensorFlow's present operations."""
    rgb = np.repeat(images, 3 // images.shape[-1], axis=-1).astype(np.float32)
    x = (tf.compat.v1.image.resize_bilinear(rgb, (299, 299)) - 128) / 128
    return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, kernel, 32, "SAME") + beta), axis=(1, 2)).numpy()


@pytest.fixture
def shards(shard_folder):
    return find([str(shard_folder)])


@pytest.mark.parametrize(("prefix", "channels"), [("", 1), ("FID_Inception_Net/", 3)])
def test_features_are_the_pool_of_the_graph(tmp_path, prefix, channels):
    content, kernel, beta = frozen_graph(prefix)
    (tmp_path / "graph.pb").write_bytes(content)
    images = np.random.default_rng(1).integers(0, 256, (4, 16, 16, channels), dtype=np.uint8)
    write_shards(tmp_path / "data", images, (4,))
    space = inception.load(find([str(tmp_path / "data")]), tmp_path / "graph.pb")
    features = space.features(images)
    assert features.shape == (4, WIDTH)
    np.testing.assert_allclose(features, expected_features(images, kernel, beta), rtol=1e-4, atol=1e-5)


def write_archive(path, content):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("LICENSE", b"Apache"), ("classify_image_graph_def.pb", content)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def test_the_published_archive_is_read_as_it_is(tmp_path, shards):
    content = frozen_graph()[0]
    write_archive(tmp_path / "inception.tgz", content)
    (tmp_path / "graph.pb").write_bytes(content)
    packed, plain = (inception.load(shards, tmp_path / name) for name in ("inception.tgz", "graph.pb"))
    assert packed.digest == plain.digest
    images = numbered_images(3)
    assert np.array_equal(packed.features(images), plain.features(images))


def refused(shards, file):
    with pytest.raises(UsageError) as error:
        inception.load(shards, file)
    assert str(file) in error.value.message
    assert f"Get {inception.URL}" in error.value.message
    return error.value.message


def test_what_is_not_the_graph_is_refused(tmp_path, shards):
    assert "cannot be read" in refused(shards, tmp_path / "missing.pb")
    (tmp_path / "text.pb").write_bytes(b"\xffnot a graph")
    assert "not a TensorFlow graph" in refused(shards, tmp_path / "text.pb")
    other = tf.Graph()
    with other.as_default():
        tf.compat.v1.placeholder(tf.float32, name="ExpandDims")
    (tmp_path / "other.pb").write_bytes(other.as_graph_def().SerializeToString())
    assert "no ExpandDims and pool_3" in refused(shards, tmp_path / "other.pb")
    (tmp_path / "narrow.pb").write_bytes(frozen_graph(width=5)[0])
    assert "pool_3 is 5 wide" in refused(shards, tmp_path / "narrow.pb")
    with tarfile.open(tmp_path / "empty.tgz", "w:gz"):
        pass
    assert "holds no classify_image_graph_def.pb" in refused(shards, tmp_path / "empty.tgz")


def published(tmp_path, monkeypatch, content):
    write_archive(tmp_path / "published.tgz", content)
    monkeypatch.setattr(inception, "URL", (tmp_path / "published.tgz").as_uri())


def test_it_is_fetched_once_and_kept_beside_the_shards(tmp_path, monkeypatch, shards, shard_folder):
    published(tmp_path, monkeypatch, frozen_graph()[0])
    fetched = inception.load(shards, None)
    assert [path.name for path in (shard_folder / "features").iterdir()] == ["classify_image_graph_def.pb"]
    monkeypatch.setattr(inception, "URL", (tmp_path / "nowhere.tgz").as_uri())
    assert inception.load(shards, None).digest == fetched.digest


def test_where_it_cannot_be_fetched_one_message_says_how_to_get_it(tmp_path, monkeypatch, shards, shard_folder):
    monkeypatch.setattr(inception, "URL", (tmp_path / "nowhere.tgz").as_uri())
    with pytest.raises(ClickException, match=r"--inception inception-2015-12-05\.tgz"):
        inception.load(shards, None)
    assert list((shard_folder / "features").iterdir()) == []


def test_a_server_that_answers_in_no_words_of_http_is_one_message(monkeypatch, shards):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(inception, "URL", f"http://127.0.0.1:{server.getsockname()[1]}/inception.tgz")

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"what?\r\n\r\n")

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        with pytest.raises(ClickException, match=r"cannot be downloaded.*--inception inception-2015-12-05\.tgz"):
            inception.load(shards, None)
        answering.join(10)


def test_something_else_under_the_address_is_not_kept(tmp_path, monkeypatch, shards, shard_folder):
    published(tmp_path, monkeypatch, b"\xffa page that asks to log in")
    with pytest.raises(UsageError, match="not a TensorFlow graph"):
        inception.load(shards, None)
    assert list((shard_folder / "features").iterdir()) == []


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_another_changed_on_the_way_is_not_taken_for_the_graph(
    tmp_path, monkeypatch, shards, shard_folder, is_whole
):
    published(tmp_path, monkeypatch, frozen_graph()[0])
    content = (tmp_path / "published.tgz").read_bytes()
    digest = hashlib.md5(content if is_whole else b"another").digest()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("x-goog-hash", "crc32c=AAAAAA==")
            self.send_header("x-goog-hash", f"md5={base64.b64encode(digest).decode()}")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request).start()
        monkeypatch.setattr(inception, "URL", f"http://127.0.0.1:{server.server_port}/inception.tgz")
        if is_whole:
            assert inception.load(shards, None).name == "inception"
        else:
            with pytest.raises(ClickException, match="another MD5"):
                inception.load(shards, None)
            assert list((shard_folder / "features").iterdir()) == []


def test_a_download_has_twenty_minutes_and_no_more(tmp_path, monkeypatch, shards, shard_folder):
    published(tmp_path, monkeypatch, frozen_graph()[0])
    (shard_folder / "features").mkdir()  # of another feature space
    for second, is_in_time in ((1_201, False), (1_199, True)):
        now = iter([0.0, *[float(second)] * 1_000])
        monkeypatch.setattr(inception, "time", SimpleNamespace(monotonic=lambda clock=now: next(clock)))
        if is_in_time:
            assert inception.load(shards, None).name == "inception"
        else:
            with pytest.raises(ClickException, match="not done after 20 minutes"):
                inception.load(shards, None)
            assert list((shard_folder / "features").iterdir()) == []
