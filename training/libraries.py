"""The settings of libraries that decide numbers, as this package relies on them."""

from __future__ import annotations

import sys

from click import UsageError


def settle() -> None:
    """Take back what the code that imported these libraries before this package may have set in them.

    What files and the environment say is left out already, by `training/__init__.py`.

    Raises:
        UsageError: Keras was imported with another backend.
    """
    if keras := sys.modules.get("keras"):
        if keras.config.backend() != "tensorflow":
            raise UsageError(
                f"Keras has been imported with the backend {keras.config.backend()}, which it keeps. Import training "
                "before keras, or set the environment variable KERAS_BACKEND to tensorflow."
            )
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")
    if tf := sys.modules.get("tensorflow"):
        tf.config.optimizer.set_experimental_options(
            {"auto_mixed_precision": False, "auto_mixed_precision_onednn_bfloat16": False}
        )
    if numpy := sys.modules.get("numpy"):
        numpy.seterr(divide="warn", over="warn", under="ignore", invalid="warn")  # as it is imported
