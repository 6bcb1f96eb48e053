"""What is done with a finished run: its folder in, pictures, pages and files out."""

import training  # noqa: F401  # sets what TensorFlow reads when it is imported
