"""Faces are chosen within their groups, by what EfficientNet finds usual for their generator."""

import keras
import numpy as np
import pytest

from training import choosing, draw
from training.metrics import efficientnet
from training.metrics.wholeness import PatchGaussians


@pytest.fixture
def generator():
    """Smooth pictures; where the first of z is below -1, their halves do not meet."""
    z = keras.Input((6,))
    smooth = keras.layers.Dense(16, activation="sigmoid", kernel_initializer=keras.initializers.RandomNormal(seed=1))(z)
    smooth = keras.layers.UpSampling2D(8, interpolation="bilinear")(keras.layers.Reshape((4, 4, 1))(smooth))
    torn = keras.layers.Concatenate(axis=2)([smooth[:, :, :16], 1.0 - smooth[:, ::-1, 16:]])
    mixed = keras.layers.Lambda(lambda x: keras.ops.where(x[0][:, :1, None, None] < -1.0, x[1], x[2]))
    return keras.Model(z, mixed([z, torn, smooth]))


def test_of_each_group_the_least_odd_is_kept_and_broken_ones_go(generator, monkeypatch):
    monkeypatch.setattr(choosing, "REFERENCE", 200)
    z = draw.latents(generator, 120, 3, "normal")
    chosen = choosing.latents(generator, 30, 3, "normal", 4)
    assert len(chosen) == 30
    for one, group in zip(chosen, z.reshape(30, 4, 6), strict=True):
        assert any(np.array_equal(one, other) for other in group)
    assert (z[:, 0] < -1).sum() > 12
    assert (chosen[:, 0] < -1).sum() <= 1

    space = efficientnet.face_space((32, 32, 1))
    usual = PatchGaussians.of(space.features(draw.faces(generator, 200, 0, "normal")))
    oddness = usual.anomaly_score(space.features(draw.render(generator, z))).reshape(30, 4)
    np.testing.assert_array_equal(chosen, z.reshape(30, 4, 6)[np.arange(30), oddness.argmin(1)])


def test_a_group_has_one_label(monkeypatch):
    monkeypatch.setattr(choosing, "REFERENCE", 50)
    z, label = keras.Input((4,)), keras.Input((1,))
    joined = keras.layers.Concatenate()([z, label])
    image = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256, activation="sigmoid")(joined))
    generator, asked = keras.Model([z, label], image), []
    monkeypatch.setattr(
        draw, "render", lambda model, z, labels, render=draw.render: asked.append(labels) or render(model, z, labels)
    )
    labels = np.float32([[1], [-1], [1]])
    choosing.latents(generator, 3, 0, "normal", 2, labels)
    reference, groups = asked
    assert reference.ravel()[:6].tolist() == [1, -1, 1, 1, -1, 1]
    assert groups.ravel().tolist() == [1, 1, -1, -1, 1, 1]
