import keras
import numpy as np
import pytest
from PIL import Image

from training import draw


@pytest.fixture
def generator():
    z = keras.Input((4,), name="z")
    return keras.Model(z, keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64, activation="sigmoid")(z)))


def test_progress_is_reported_with_every_batch(generator):
    counts = []
    draw.render(generator, np.zeros((70, 4), np.float32), on_progress=counts.append)
    assert counts == [32, 32, 6]


def test_the_faces_of_a_seed_are_those_of_its_z(generator):
    z = draw.latents(generator, 70, 3, "normal")
    assert (z.dtype, z.shape) == (np.float32, (70, 4))
    faces = draw.faces(generator, 70, 3, "normal")
    assert faces.shape == (70, 8, 8, 1)
    np.testing.assert_array_equal(draw.render(generator, z), faces)
    np.testing.assert_allclose(draw.latents(generator, 5, 3, "normal"), z[:5], rtol=1e-6)
    expected = np.rint(255 * np.asarray(generator(z, training=False)))
    np.testing.assert_allclose(draw.render(generator, z).astype(int), expected, atol=1)
    assert np.abs(z).max() > 1.5
    np.testing.assert_array_equal(draw.latents(generator, 70, 3, "normal", 0.5), z / 2)
    assert np.abs(draw.latents(generator, 70, 3, "uniform")).max() <= 1


def test_pixels_are_rounded_and_clipped():
    values = np.array([-0.1, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 1.5])
    assert draw.to_pixels(values).tolist() == [0, 0, 0, 1, 255, 255]


def test_images_are_tiled_row_by_row():
    images = np.arange(5)[:, None, None, None] * np.ones((5, 2, 3, 1), int) + 1
    picture = draw.tile(images)
    assert picture.shape == (4, 9, 1)
    assert picture[::2, ::3, 0].tolist() == [[1, 2, 3], [4, 5, 0]]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_pixels(tmp_path, channels):
    picture = np.random.default_rng(0).integers(0, 256, (6, 4, channels), dtype=np.uint8)
    draw.write_png(tmp_path / "x.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")).reshape(picture.shape), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_a_network_and_its_digest_are_of_one_state_of_its_file(tmp_path, generator, monkeypatch):
    path, load, later = tmp_path / "generator.keras", draw.load, iter(["state"])
    generator.save(path)

    def load_while_a_run_trains(path):
        network = load(path)
        if next(later, None):
            generator.set_weights([np.zeros_like(values) for values in generator.get_weights()])
            generator.save(path)
        return network

    monkeypatch.setattr(draw, "load", load_while_a_run_trains)
    network, digest = draw.load_with_digest(path)
    assert digest == draw.digest(path)
    assert not np.any(network.get_weights()[0])
