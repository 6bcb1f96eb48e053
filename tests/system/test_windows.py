"""What a user of Windows is told."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["preprocess", "training", "explore"])
def test_on_windows_a_command_says_in_a_sentence_what_to_do(package):
    program = f"import sys; sys.platform = 'win32'; import {package}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("This needs Linux or macOS. On Windows use WSL2")
    assert "Traceback" not in ended.stderr
