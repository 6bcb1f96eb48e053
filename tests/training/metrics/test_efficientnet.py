"""The reader and the network against what PyTorch itself computes with the same file and the authors' code."""

import io
import os
import pickle

import numpy as np
import pytest
import tensorflow as tf
from click import UsageError

from training.metrics import efficientnet
from training.metrics.imagenet import PACKAGE


def picture(side):
    rows, columns, channels = np.ogrid[:side, :side, :3]
    return ((rows * 7 + columns * columns + 90 * channels * (rows // 16)) % 256).astype(np.float32)[None] / 255


def test_the_maps_are_those_that_pytorch_computes():
    # PyTorch 1.13.1, the package efficientnet-lite-pytorch 0.1.0 with pixels less 127 over 128: means of eight channels
    # after block 10, and the root of the mean square of all.
    maps = efficientnet.load()(tf.constant(picture(128))).numpy()
    assert maps.shape == (1, 8, 8, 112)
    expected = [2.6243, -3.4134, 6.6098, 4.8924, 7.4743, 2.6997, 3.8404, 4.9565]
    assert maps.mean((0, 1, 2))[:8] == pytest.approx(expected, abs=1e-3)
    assert np.sqrt(np.mean(maps**2)) == pytest.approx(7.51747, abs=1e-3)


def test_grey_is_taken_three_times():
    grey = picture(64)[..., :1]
    of_grey, of_colour = (efficientnet.load()(tf.constant(images)) for images in (grey, np.repeat(grey, 3, -1)))
    assert np.abs(of_grey - of_colour).max() < 1e-3


def test_images_are_enlarged_as_tensorflow_enlarges_them():
    enlarged = tf.image.resize(picture(48), (128, 128), antialias=True)
    assert np.abs(efficientnet.load()(tf.constant(picture(48))) - efficientnet.load()(enlarged)).max() < 1e-3


def test_24_pixels_leave_no_finer_detail():
    ramp = np.arange(64, dtype=np.uint8)[:, None, None] * 3
    checkerboard = (30 * (np.indices((64, 64)).sum(0) % 2)[..., None]).astype(np.uint8)
    images = np.stack([ramp + checkerboard, np.broadcast_to(ramp + 15, checkerboard.shape)])
    whole, coarse = (efficientnet.space((64, 64, 1), pixels).features(images) for pixels in (None, 24))
    assert whole.shape == coarse.shape == (2, 112)
    assert np.linalg.norm(coarse[1] - coarse[0]) < 0.1 * np.linalg.norm(whole[1] - whole[0])


def test_perceptual_features_have_length_1_at_each_place_and_are_clipped():
    image = tf.constant(picture(64))
    features = efficientnet.perceptual(image)
    assert features.shape == (1, 64, 112)
    assert tf.norm(features, axis=-1).numpy() * 8 == pytest.approx(np.ones((1, 64)), abs=1e-4)
    beyond = tf.where(image < 0.1, -1.0, image)
    assert np.array_equal(efficientnet.perceptual(beyond), efficientnet.perceptual(tf.maximum(beyond, 0.0)))


class Command:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_wants_more_than_tensors_need_is_refused_and_not_obeyed(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    pickles = [0, 0, {}, {}, []]
    assert efficientnet.read_weights(io.BytesIO(b"".join(map(pickle.dumps, pickles)))) == {}
    pickles[place] = [Command()]
    with pytest.raises(pickle.UnpicklingError, match="mkdir is nothing that tensors need"):
        efficientnet.read_weights(io.BytesIO(b"".join(map(pickle.dumps, pickles))))
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_one_message(tmp_path, monkeypatch):
    package = tmp_path / PACKAGE
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models/efficientnet-lite0-57934424.pth").write_bytes(pickle.dumps(Command()))
    monkeypatch.syspath_prepend(tmp_path)
    efficientnet.load.cache_clear()
    with pytest.raises(UsageError, match=r"57934424.pth is damaged: pip install -r requirements-evaluate.txt --force"):
        efficientnet.load()
    assert not (tmp_path / "made-by-a-pickle").exists()
