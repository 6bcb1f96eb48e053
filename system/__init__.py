"""What both stages ask of the operating system: files, locks, limits, streams, errors. Knows neither stage."""

import sys

if sys.platform == "win32":
    sys.exit(
        "This needs Linux or macOS. On Windows use WSL2, which is Linux within Windows: install it with wsl --install, "
        "and give all commands in there."
    )
