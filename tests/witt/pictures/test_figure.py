"""The comparison picture."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from witt.pictures.canvas import TITLE, shown_size
from witt.pictures.figure import _error, _layout, comparison_png

RNG = np.random.default_rng(0)
SYMBOLS = RNG.normal(size=300) + 1j * RNG.normal(size=300)
FACTS = [("PSNR", "30.00 dB"), ("Channel", "AWGN")]


def photo(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def drawn(*args: object) -> np.ndarray:
    with Image.open(BytesIO(comparison_png(*args))) as image:
        return np.asarray(image.convert("RGB"))


def test_pictures_are_shown_pixel_for_pixel() -> None:
    """What can be seen in the comparison is the picture itself, nothing resampled."""
    original, received = photo(400, 600, 1), photo(400, 600, 2)
    picture = drawn(original, received, SYMBOLS, "a.png", FACTS)
    layout = _layout(600, 400)
    assert picture.shape[1::-1] == layout.size
    for box, expected in zip(layout.pictures, (original, received), strict=False):
        rows, columns = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
        assert np.array_equal(picture[rows, columns], expected)


def test_error_map_is_black_where_nothing_differs() -> None:
    original = photo(300, 400, 1)
    received = original.copy()
    received[:150] = np.where(original[:150] < 128, 255, 0)
    picture = drawn(original, received, SYMBOLS, "a.png", FACTS)
    box = _layout(*shown_size(400, 300)).pictures[2]
    shown = picture[box.y : box.y + box.height, box.x : box.x + box.width].astype(int).sum(axis=2)
    half = box.height // 2
    assert shown[half + 2 :].max() < 10
    assert shown[: half - 2].min() > 100


def test_error_is_the_mean_of_the_colours() -> None:
    original, received = np.full((1, 2, 3), 200, np.uint8), np.full((1, 2, 3), 200, np.uint8)
    received[0, 0] = (203, 194, 200)
    assert _error(original, received).tolist() == [[3.0, 0.0]]


def test_same_arguments_same_bytes() -> None:
    arguments = (photo(20, 30, 1), photo(20, 30, 2), SYMBOLS, "a.png", FACTS)
    assert comparison_png(*arguments) == comparison_png(*arguments)


@pytest.mark.parametrize("title", ["$x_$ [b].png", "写真.png", "x" * 300, "\ufffd.png"])
def test_any_file_name_can_be_a_title(title: str) -> None:
    """No mathematics is read into it, and a missing glyph is no warning."""
    picture = drawn(photo(1, 1, 1), photo(1, 1, 2), SYMBOLS[:1], title, FACTS)
    assert picture.ndim == 3


@pytest.mark.parametrize(
    ("width", "height"),
    [(768, 512), (512, 768), (32, 32), (1, 1), (8000, 6000), (450, 300), (4000, 3), (3, 4000)],
)
def test_layout(width: int, height: int) -> None:
    """Nothing overlaps or leaves the figure, and the aspect is kept to a pixel."""
    shown = shown_size(width, height)
    layout = _layout(*shown)
    if min(shown) > 1:
        assert shown[0] == pytest.approx(shown[1] * width / height, abs=1 + width / height)
    assert 200 < max(shown) <= 1536 * 1.5
    boxes = [*layout.pictures, layout.info]
    for box in boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= layout.size[0]
        assert box.y + box.height <= layout.size[1]
    for i, one in enumerate(boxes):
        for two in boxes[i + 1 :]:
            beside = one.x + one.width <= two.x or two.x + two.width <= one.x
            # The title is above its picture.
            above = one.y + one.height <= two.y - (two is not layout.info) * TITLE
            assert beside or above
