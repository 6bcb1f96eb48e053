"""Whether faces have the attributes that they were asked for: a judge's answers, and distances within each class.

The judge is a network that recognises attributes (`training.metrics.attributes`), trained on photos that the generator
was not trained on. It errs on photos too: what counts is its rate on faces beside its rate on photos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.metrics import Sample, frechet

# A class with fewer has no distance: a covariance needs more photos than features, and the floor hides the rest. Of 384
# photos of CelebA, twice the 192 features, it is 6.0 ± 0.3, of 20 it is 55 ± 4, of 3,180 it is 0.72 ± 0.03.
PHOTOS_PER_FEATURE = 2

Answers = Callable[[np.ndarray], np.ndarray]  # uint8 [count, height, width, channels] -> bool [count, attributes]


def judge(
    names: Sequence[str], faces: Sample, photos: Sample, other_photos: Sample, answers: Answers
) -> dict[str, dict[str, float | None]]:
    """Return the figures of each condition, by its name.

    They are "faces" and "photos", the shares for which the judge gives the answer that was asked for, or that the photo
    has; the same "_with" and "_without" the attribute; "frechet_with" and "_without", the distance between faces and
    photos of that class; and each of these with "_floor", that between as many `other_photos` and the photos. A figure
    of a class with too few photos is None. The labels of the photos, which the judge was not trained on, were asked of
    the faces in the same order. Faces without features have no distances.
    """
    asked, other_labels = (np.asarray(sample.labels) > 0 for sample in (photos, other_photos))
    recognised = {"faces": answers(faces.images), "photos": answers(photos.images)}
    figures: dict[str, dict[str, float | None]] = {}
    for column, name in enumerate(names):
        classes = {"_with": asked[:, column], "_without": ~asked[:, column]}
        figures[name] = {}
        for kind, all_answers in recognised.items():
            right = all_answers[:, column] == asked[:, column]
            figures[name][kind] = float(right.mean())
            for suffix, members in classes.items():
                figures[name][kind + suffix] = float(right[members].mean()) if members.any() else None
        if faces.features.size:
            other_classes = {"_with": other_labels[:, column], "_without": ~other_labels[:, column]}
            for suffix, members in classes.items():
                distance, floor = _distance_and_floor(
                    photos.features[members], faces.features[members], other_photos.features[other_classes[suffix]]
                )
                figures[name] |= {f"frechet{suffix}": distance, f"frechet{suffix}_floor": floor}
    return figures


def _distance_and_floor(
    real: np.ndarray, fake: np.ndarray, other_real: np.ndarray
) -> tuple[float, float] | tuple[None, None]:
    """Return the distances of fakes and of other photos to the photos, all of one count, on which both depend."""
    count = min(len(real), len(other_real))
    if count < PHOTOS_PER_FEATURE * real.shape[1]:
        return None, None
    of_photos, of_fakes, of_others = (frechet.Gaussian.of(features[:count]) for features in (real, fake, other_real))
    return frechet.distance(of_photos, of_fakes), frechet.distance(of_photos, of_others)
