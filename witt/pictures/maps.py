"""Maps of a received picture: where its channel uses went, what error was expected and what came.

received                │ channel uses
expected error          │ measured error     (one scale for both)
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from witt.pictures.canvas import (
    INK,
    MARGIN,
    NARROWEST,
    TITLE,
    Box,
    canvas,
    places,
    resize,
    shown_size,
)
from witt.pictures.images import Pixels

LEVELS = 255  # errors are in steps of 8 bits
USES_COLOURS, ERROR_COLOURS = "viridis", "magma"
NAMES, SCALES = 14, 12  # sizes of letters: the maps are often shown reduced
ENDS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)  # of scales, times a power of ten
USUAL = 0.99  # of the pixels are within the scale of colours
LINE, BELOW = 1000, 34  # room for a line above the maps, and for a scale of colours below one
HEAD = 70  # height of the lines above the maps
Map = npt.NDArray[np.floating]


class Maps(NamedTuple):
    """Of a picture, each (H, W).

    uses: channel uses a pixel.
    expected: root mean squared error that the receiver expects, in 8-bit steps; None where it
        cannot say.
    measured: root mean squared error of the square that a pixel is in, in 8-bit steps.
    """

    uses: Map
    expected: Map | None
    measured: Map

    @property
    def error_limit(self) -> float:
        """End of the scale of colours of both errors."""
        return limit_of(*(each for each in (self.expected, self.measured) if each is not None))


def rmse_map(original: Pixels, received: Pixels, side: int) -> Map:
    """`Maps.measured`.

    Args:
        original, received: (H, W, 3) uint8.
        side: of the squares, from the top left.
    """
    squared = np.square(received.astype(np.float64) - original).mean(axis=2)
    height, width = squared.shape
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    sums = np.add.reduceat(np.add.reduceat(squared, rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    means = np.repeat(np.repeat(sums / counts, side, axis=0), side, axis=1)
    root: Map = np.sqrt(means[:height, :width])
    return root


def limit_of(*maps: Map) -> float:
    """End of a scale of colours: a plain number that most pixels are below."""
    most = max(float(np.quantile(each, USUAL)) for each in maps)
    if most <= 0:
        return 1.0
    tens = 10.0 ** math.floor(math.log10(most))
    return next(step * tens for step in ENDS if most <= step * tens * (1 + 1e-9))


def coloured(values: Map, limit: float, colours: str) -> Pixels:
    """(H, W, 3) uint8 of values from 0 to a limit and beyond."""
    import matplotlib

    shown: Pixels = matplotlib.colormaps[colours](np.minimum(values / limit, 1), bytes=True)
    return shown[..., :3]


def maps_png(
    received: Pixels,
    maps: Maps,
    heads: Sequence[str],
    why_not: str = "",
) -> bytes:
    """PNG of the maps; the same arguments give the same bytes.

    Args:
        received: (H, W, 3) uint8.
        maps: of this picture.
        heads: a title and at most two lines below it.
        why_not: where nothing is expected, why.
    """
    height, width = received.shape[:2]
    shown = shown_size(width, height)
    limit, most_uses = maps.error_limit, limit_of(maps.uses)
    boxes = [Box(x, y + TITLE + HEAD, *shown) for x, y in places(*shown)]
    right = max(box.x + max(box.width, NARROWEST) for box in boxes)
    bottom = max(box.y + box.height for box in boxes)
    size = (max(right, LINE) + MARGIN, bottom + BELOW)
    with canvas(size) as drawing:

        def show(box: Box, name: str, values: Map, end: float, colours: str, unit: str) -> None:
            pixels = resize(coloured(values, end, colours), shown)
            drawing.picture(box, name, pixels, NAMES)
            drawing.scale(box, colours, f"{end:g} {unit}", SCALES)

        for line, text in enumerate(heads):
            style = {"size": 12} if line else {"size": 15, "weight": "bold"}
            drawing.text(MARGIN, MARGIN + 12 + 24 * line, text, **style)
        received = resize(received, shown)
        drawing.picture(boxes[0], f"Received, {width} × {height}", received, NAMES)
        show(boxes[1], "Channel uses", maps.uses, most_uses, USES_COLOURS, "a pixel")
        errors = (limit, ERROR_COLOURS, f"of {LEVELS}")
        if maps.expected is not None:
            show(boxes[2], "Expected RMSE", maps.expected, *errors)
        else:
            blank = np.full((*shown[::-1], 3), 238, np.uint8)
            drawing.picture(boxes[2], "Expected RMSE", blank, NAMES)
            middle = boxes[2].x + shown[0] / 2, boxes[2].y + shown[1] / 2
            words = textwrap.fill(why_not, max(shown[0] // 11, 18))
            drawing.text(*middle, words, size=12, color=INK, ha="center", va="center")
        show(boxes[3], "Measured RMSE", maps.measured, *errors)
        return drawing.png()
