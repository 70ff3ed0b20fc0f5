"""The maps of a received picture, drawn."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from witt.pictures.canvas import MARGIN, TITLE, places, shown_size
from witt.pictures.maps import (
    BELOW,
    ERROR_COLOURS,
    HEAD,
    USES_COLOURS,
    Maps,
    coloured,
    limit_of,
    maps_png,
    rmse_map,
)

HEADS = ("a.png", "witt_light, AWGN", "100 channel uses")


def maps(height: int, width: int, expected: bool = True) -> Maps:
    uses, told, measured = np.random.default_rng(0).uniform(0, 9, (3, height, width))
    return Maps(uses / 10, told if expected else None, measured)


def drawn(received: np.ndarray, found: Maps, why_not: str = "") -> np.ndarray:
    with Image.open(BytesIO(maps_png(received, found, HEADS, why_not))) as image:
        return np.asarray(image.convert("RGB"))


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_error_of_a_square_is_that_of_its_pixels() -> None:
    """Against a loop; squares at the edges are cut."""
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 256, (2, 11, 17, 3), dtype=np.uint8)
    found = rmse_map(one, other, 4)
    assert found.shape == (11, 17)
    for y in range(0, 11, 4):
        for x in range(0, 17, 4):
            part = (slice(y, y + 4), slice(x, x + 4))
            error = one[part].astype(float) - other[part]
            assert np.allclose(found[part], np.sqrt(np.mean(error**2)))


@pytest.mark.parametrize(
    ("most", "limit"), [(0.0, 1), (0.18, 0.2), (0.2, 0.2), (0.21, 0.3), (4.1, 5), (81.0, 100)]
)
def test_scales_end_at_plain_numbers(most: float, limit: float) -> None:
    values = np.full((10, 20), most)
    values[0, 0] = 1000  # a single pixel may be beyond
    assert limit_of(values) == pytest.approx(limit)


def test_what_was_expected_and_measured_have_one_scale() -> None:
    """So that equal colours are equal errors."""
    found = Maps(np.ones((4, 4)), np.full((4, 4), 3.0), np.full((4, 4), 30.0))
    assert found.error_limit == 30
    assert found._replace(expected=None, measured=found.expected).error_limit == 3


def test_colours_are_those_of_the_values() -> None:
    """Brighter where there is more, and the last colour beyond the limit."""
    values = np.array([[0.0, 1.0, 2.0, 4.0, 8.0]])
    for colours in (USES_COLOURS, ERROR_COLOURS):
        shades = coloured(values, 4.0, colours).astype(int).sum(axis=2)[0]
        assert (np.diff(shades[:4]) > 0).all()
        assert shades[3] == shades[4]


def test_maps_are_shown_pixel_for_pixel() -> None:
    received, found = photo(400, 600), maps(400, 600)
    picture = drawn(received, found)
    expected = (
        received,
        coloured(found.uses, 1.0, USES_COLOURS),
        coloured(found.expected, 10.0, ERROR_COLOURS),
        coloured(found.measured, 10.0, ERROR_COLOURS),
    )
    for (x, y), pixels in zip(places(600, 400), expected, strict=True):
        top = y + TITLE + HEAD
        assert np.array_equal(picture[top : top + 400, x : x + 600], pixels)


def test_without_an_expected_error_its_place_says_why() -> None:
    received = photo(400, 600)
    picture = drawn(received, maps(400, 600, expected=False), "because of that")
    x, y = places(600, 400)[2]
    cell = picture[y + TITLE + HEAD : y + TITLE + HEAD + 400, x : x + 600]
    assert (cell[:100] == 238).all()
    assert 50 < (cell[180:220] < 100).all(axis=2).sum() < 5000  # letters


@pytest.mark.parametrize("size", [(512, 768), (1, 1), (4000, 3), (3, 4000)])
def test_everything_is_in_the_figure(size: tuple[int, int]) -> None:
    width, height = size
    picture = drawn(photo(height, width), maps(height, width))
    shown = shown_size(width, height)
    right = max(x + max(shown[0], 200) for x, _ in places(*shown))
    bottom = max(y + TITLE + HEAD + shown[1] for _, y in places(*shown))
    assert picture.shape[1] >= right + MARGIN
    assert picture.shape[0] == bottom + BELOW
    # The margin is empty: no title runs out of the figure.
    assert (picture[:, -4:] == 255).all()
    assert (picture[-2:] == 255).all()
