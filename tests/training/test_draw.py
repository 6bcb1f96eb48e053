import keras
import numpy as np
import pytest

from training import draw


@pytest.fixture
def generator():
    z = keras.Input((4,), name="z")
    return keras.Model(z, keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64, activation="sigmoid")(z)))


def test_progress_is_told_with_every_batch(generator):
    told = []
    faces = draw.faces(generator, 70, 3, "normal", on_progress=told.append)
    assert faces.shape == (70, 8, 8, 1)
    assert (sum(told), len(told)) == (70, 3)


def test_a_digest_is_that_of_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert draw.digest(tmp_path / "a") == "ba7816bf8f01cfea"  # SHA-256 of FIPS 180's own example, of which 16 digits
    (tmp_path / "a").write_bytes(b"abd")
    assert draw.digest(tmp_path / "a") != "ba7816bf8f01cfea"


def test_the_faces_of_a_seed_are_those_of_its_z(generator):
    z = draw.latents(generator, 70, 3, "normal")
    assert (z.dtype, z.shape) == (np.float32, (70, 4))
    np.testing.assert_array_equal(draw.render(generator, z), draw.faces(generator, 70, 3, "normal"))
    np.testing.assert_allclose(draw.latents(generator, 5, 3, "normal"), z[:5], rtol=1e-6)
    expected = np.rint(255 * np.asarray(generator(z, training=False)))
    np.testing.assert_allclose(draw.render(generator, z).astype(int), expected, atol=1)
    assert np.abs(z).max() > 1.5
    assert np.abs(draw.latents(generator, 70, 3, "uniform")).max() <= 1
