import numpy as np

from training.losses import LOSSES

LOGITS = np.array([-3.0, -0.5, 0.0, 0.7, 4.0])


def binary_cross_entropy(label, logit):
    probability = 1 / (1 + np.exp(-logit))
    return -(label * np.log(probability) + (1 - label) * np.log(1 - probability))


def test_cross_entropy_has_real_one_fake_zero_and_one_for_the_generator():
    loss = LOSSES["cross_entropy"]
    real, fake = LOGITS.astype(np.float32), LOGITS[::-1].astype(np.float32)
    expected = binary_cross_entropy(1, LOGITS) + binary_cross_entropy(0, LOGITS[::-1])
    np.testing.assert_allclose(loss.discriminator(real, fake), expected, rtol=1e-6)
    np.testing.assert_allclose(loss.generator(fake), binary_cross_entropy(1, LOGITS[::-1]), rtol=1e-6)


def test_cross_entropy_of_a_certain_discriminator_is_finite():
    loss = LOSSES["cross_entropy"]
    far = np.array([1e4, -1e4], np.float32)
    np.testing.assert_allclose(loss.discriminator(far, far), [1e4, 1e4])
    np.testing.assert_allclose(loss.generator(far), [0, 1e4])
