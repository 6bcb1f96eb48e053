import numpy as np
import pytest

from training.models.step import LOSSES

LOGITS = np.array([-3.0, -0.5, 0.0, 0.7, 4.0])


def test_cross_entropy_of_a_certain_discriminator_is_finite():
    loss = LOSSES["cross_entropy"]
    far = np.array([1e4, -1e4], np.float32)
    np.testing.assert_allclose(loss.discriminator(far, far), [1e4, 1e4])
    np.testing.assert_allclose(loss.generator(None, far), [0, 1e4])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hinge", lambda real, fake: np.maximum(0, 1 - real) + np.maximum(0, 1 + fake)),
        ("wasserstein", lambda real, fake: fake - real),
    ],
)
def test_hinge_and_wasserstein_are_those_of_their_papers(name, expected):
    loss, real, fake = LOSSES[name], np.float32(LOGITS), np.float32(LOGITS[::-1])
    np.testing.assert_allclose(loss.discriminator(real, fake), expected(LOGITS, LOGITS[::-1]), rtol=1e-6)
    np.testing.assert_allclose(loss.generator(None, fake), -LOGITS[::-1], rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_chance_is_the_loss_of_a_discriminator_that_cannot_tell(name):
    loss, nothing = LOSSES[name], np.zeros(1, np.float32)
    if loss.chance is not None:
        np.testing.assert_allclose(loss.discriminator(nothing, nothing), loss.chance, rtol=1e-6)
