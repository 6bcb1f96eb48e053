"""Before any test imports TensorFlow: `training` sets the environment that TensorFlow reads when it is imported."""

import training  # noqa: F401
