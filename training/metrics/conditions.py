"""Whether faces have the attributes that they were asked for: a judge's answers, and distances within each class.

The judge is a network that recognises attributes (`training.metrics.attributes`), trained on photos that the generator
was not trained on. It errs on photos too: what counts is its rate on faces beside its rate on photos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.metrics import MIN_IMAGES, Sample, frechet

Answers = Callable[[np.ndarray], np.ndarray]
"""uint8 [count, height, width, channels] -> bool [count, attributes]."""


def judge(
    names: Sequence[str], labels: np.ndarray, faces: Sample, photos: Sample, answers: Answers
) -> dict[str, dict[str, float | None]]:
    """Return the figures of each condition, by its name.

    They are "faces" and "photos", the shares for which the judge gives the answer that was asked for, or that the photo
    has; the same "_with" and "_without" the attribute; and "frechet_with" and "_without", the distance between faces
    and photos of that class. A figure of a class with too few photos is None.

    Args:
        names: the conditions.
        labels: float32 [count, len(names)], -1 or 1: of the photos, and asked of the faces in the same order.
        faces: the generated faces. Features are needed for the distances only.
        photos: photos that the judge was not trained on.
        answers: the judge, for these conditions.
    """
    asked = labels > 0
    said = {"faces": answers(faces.images), "photos": answers(photos.images)}
    figures = {}
    for column, name in enumerate(names):
        classes = {"_with": asked[:, column], "_without": ~asked[:, column]}
        figures[name] = {}
        for kind, all_answers in said.items():
            right = all_answers[:, column] == asked[:, column]
            figures[name][kind] = float(right.mean())
            for suffix, members in classes.items():
                figures[name][kind + suffix] = float(right[members].mean()) if members.any() else None
        if faces.features is not None:
            for suffix, members in classes.items():
                figures[name]["frechet" + suffix] = _frechet(photos.features[members], faces.features[members])
    return figures


def _frechet(real: np.ndarray, fake: np.ndarray) -> float | None:
    if len(real) < MIN_IMAGES:
        return None
    return frechet.distance(frechet.Gaussian.of(real), frechet.Gaussian.of(fake))
