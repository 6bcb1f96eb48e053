"""Faces as the page draws them: its engine in V8, in a wheel."""

import json
from importlib.resources import files

import numpy as np
from py_mini_racer import MiniRacer

# V8 alone lacks what every browser has.
ATOB = """
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
function atob(text) {
  let bits = 0, held = 0, out = "";
  for (const letter of text.replace(/=/g, "")) {
    held = (held << 6 | DIGITS.indexOf(letter)) & 0xffff;
    bits += 6;
    if (bits >= 8) out += String.fromCharCode(held >> (bits -= 8) & 255);
  }
  return out;
}
"""


def engine():
    """V8 with the page's engine."""
    context = MiniRacer()
    context.eval(ATOB)
    context.eval((files("explore.page") / "engine.js").read_text())
    return context


def drawn(layers, values):
    """The generator's output for rows of its inputs: float64 [count, pixels].

    Args:
        layers: of `describe`.
        values: [count, length] by the name of the input.
    """
    context = engine()
    context.eval(f"const draw = generatorOf({json.dumps(layers)})")
    count = len(values["z"])
    rows = [{name: rows[index].tolist() for name, rows in values.items()} for index in range(count)]
    text = context.eval(f"JSON.stringify({json.dumps(rows)}.map(row => Array.from(draw(row))))")
    return np.array(json.loads(text))


def apart(images, expected):
    """The largest difference of two sets of images as they are shown, in levels of gray of 0 to 255."""
    difference = np.clip(np.reshape(images, expected.shape), 0, 1) - np.clip(expected, 0, 1)
    return 255 * np.abs(difference).max()
