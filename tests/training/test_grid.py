import numpy as np
from PIL import Image

from training.grid import tile, to_pixels, write_png


def test_tile_lays_images_out_row_by_row():
    images = np.arange(5)[:, None, None, None] * np.ones((5, 2, 3, 1), int) + 1
    picture = tile(images)
    assert picture.shape == (4, 9, 1)
    assert picture[::2, ::3, 0].tolist() == [[1, 2, 3], [4, 5, 0]]


def test_to_pixels_rounds_and_clips():
    assert to_pixels(np.array([-0.1, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 1.5])).tolist() == [0, 0, 0, 1, 255, 255]


def test_a_png_holds_the_pixels(tmp_path):
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        picture = rng.integers(0, 256, (6, 4, channels), dtype=np.uint8)
        write_png(tmp_path / "x.png", picture)
        assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")).reshape(picture.shape), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
