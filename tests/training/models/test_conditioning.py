"""Labels in the networks of every family, against the papers' formulas and against networks without labels."""

import keras
import numpy as np
import pytest

from training.models.networks import FAMILIES

SHAPE, LATENT, WIDTH = (8, 8, 1), 6, 0.25
RNG = np.random.default_rng(0)
LABELS = np.float32([[1, -1, 1], [-1, -1, -1], [1, 1, -1], [-1, 1, 1]])


def discriminate(network, labels):
    """Logits of four images; what is random is the same every time."""
    images = np.random.default_rng(1).random((4, *SHAPE), np.float32)
    noises = [np.random.default_rng(2).random((4, *entry.shape[1:]), np.float32) for entry in network.inputs[1:-1]]
    return network([images, *noises, labels], training=False).numpy()[:, 0].astype(np.float64)


def with_random_ends(network):
    """Biases and the ends of residual blocks start at 0: here they are something, and labels can be seen."""
    for weight in network.trainable_variables:
        weight.assign_add(0.1 * RNG.standard_normal(weight.shape).astype(np.float32))
    return network


@pytest.mark.parametrize("name", FAMILIES)
def test_a_generator_is_the_plain_one_with_an_embedding_of_its_labels_beside_z(name):
    shape = (16, 16, 1)  # at 8x8 lite has no map that z and labels scale
    conditional = with_random_ends(FAMILIES[name].generator(shape, LATENT, WIDTH, 3))
    plain = FAMILIES[name].generator(shape, 2 * LATENT, WIDTH)
    assert [entry.name for entry in conditional.inputs] == ["z", "labels"]
    embedding, *weights = conditional.get_weights()
    assert embedding.shape == (3, LATENT)
    plain.set_weights(weights)
    z = RNG.standard_normal((4, LATENT)).astype(np.float32)
    expected = plain(np.concatenate([z, LABELS @ embedding], axis=1), training=False)
    np.testing.assert_allclose(conditional([z, LABELS], training=False), expected, atol=1e-5)
    by_name = conditional({"z": z, "labels": LABELS}, training=False)
    np.testing.assert_allclose(by_name, expected, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "r3gan"])
def test_a_logit_has_a_term_for_each_label_and_one_without(name):
    """Miyato and Koyama's projection: the logit is a(image) + the sum of label * b(image)."""
    network = with_random_ends(FAMILIES[name].discriminator(SHAPE, WIDTH, 3))
    assert network.inputs[-1].name == "labels"
    without = discriminate(network, 0 * LABELS)
    terms = [discriminate(network, np.tile(row, (4, 1))) - without for row in np.eye(3, dtype=np.float32)]
    expected = without + (LABELS * np.stack(terms, axis=1)).sum(axis=1)
    np.testing.assert_allclose(discriminate(network, LABELS), expected, atol=1e-4)
    assert min(np.abs(without).min(), np.abs(terms).min()) > 1e-4


def test_the_logit_of_r3gan_is_a_projection_alone():
    network = with_random_ends(FAMILIES["r3gan"].discriminator(SHAPE, WIDTH, 3))
    features, embedding = (
        keras.Model(network.inputs, tensor) for tensor in network.get_layer(index=-1).input
    )  # of the dot product at the end
    images = np.random.default_rng(1).random((4, *SHAPE), np.float32)
    h, v = (np.asarray(part([images, LABELS]), np.float64) for part in (features, embedding))
    assert h.shape == v.shape == (4, 192)  # the width of the 4x4 stage: a quarter of 768
    np.testing.assert_allclose(discriminate(network, LABELS), (h * v).sum(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(v, LABELS @ network.get_weights()[-1], atol=1e-5)
    np.testing.assert_array_equal(discriminate(network, 0 * LABELS), 0)


def test_the_embedding_of_r3gan_starts_at_the_scale_of_its_source():
    """N(0, 1 / (labels * width)) in D, so that logits start at power one; in G an eighth of z's deviation."""
    embedding = FAMILIES["r3gan"].discriminator(SHAPE, 1.0, 8).get_weights()[-1]
    assert embedding.shape == (8, 768)
    assert embedding.std() == pytest.approx((8 * 768) ** -0.5, rel=0.05)
    generator = FAMILIES["r3gan"].generator(SHAPE, 512, WIDTH, 8)
    assert generator.get_weights()[0].std() == pytest.approx(8**-0.5 / 8, rel=0.05)
