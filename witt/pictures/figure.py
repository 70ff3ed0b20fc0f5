"""The comparison picture: original, received, where they differ, and the received symbols."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from witt.pictures.canvas import (
    ACCENT,
    GREY,
    MARGIN,
    TITLE,
    Box,
    Canvas,
    canvas,
    columns_of,
    places,
    resize,
    shown_size,
)
from witt.pictures.images import Pixels

FACTS = 250  # width of the facts beside the constellation
INFO = FACTS + 200
MOST_SYMBOLS, FEW_SYMBOLS = 100_000, 1000
ERROR_SCALES = (8, 16, 32, 64, 128, 255)
Symbols = npt.NDArray[np.complexfloating[Any, Any]]


class Layout(NamedTuple):
    """Where things go: the figure's size, three pictures, and the constellation with its facts."""

    size: tuple[int, int]
    pictures: tuple[Box, Box, Box]
    info: Box


def comparison_png(
    original: Pixels,
    received: Pixels,
    symbols: Symbols,
    title: str,
    facts: Sequence[tuple[str, str]],
) -> bytes:
    """PNG of the comparison; the same arguments give the same bytes.

    Args:
        original: (H, W, 3) uint8.
        received: the same shape.
        symbols: (N,) complex, as the decoder gets them (after the equaliser).
        title: name of the picture.
        facts: label and value, shown beside the constellation; the first value is the large one.
    """
    import matplotlib

    height, width = original.shape[:2]
    shown = shown_size(width, height)
    layout = _layout(*shown)
    error = resize(_error(original, received), shown)
    limit = next(s for s in ERROR_SCALES if s >= min(float(np.quantile(error, 0.99)), 255))
    if shown != (width, height):
        facts = [*facts, ("Shown at", f"{shown[0] / width:.3g}×")]
    with canvas(layout.size) as drawing:
        heat = matplotlib.colormaps["magma"](np.minimum(error / limit, 1), bytes=True)[..., :3]
        names = (f"Original, {width} × {height}", "Received", "Error, |received − original|")
        photos = (resize(original, shown), resize(received, shown), heat)
        for box, name, pixels in zip(layout.pictures, names, photos, strict=True):
            drawing.picture(box, name, pixels)
        drawing.scale(layout.pictures[2], "magma", f"{limit} of 255")
        _constellation(drawing, layout.info, symbols)
        _facts(drawing, layout.info, title, facts)
        return drawing.png()


def _layout(width: int, height: int) -> Layout:
    corners = places(width, height)
    info_width, info_height = {
        1: (max(width, INFO), 330),
        2: (max(width, INFO), max(height + TITLE, 330)),
        4: (300, max(height + TITLE, 620)),
    }[columns_of(width, height)]
    boxes = [Box(x, y + TITLE, width, height) for x, y in corners[:3]]
    info = Box(*corners[3], info_width, info_height)
    right = max(info.x + info.width, *(box.x + box.width for box in boxes))
    bottom = max(info.y + info.height, *(box.y + box.height for box in boxes))
    return Layout((right + MARGIN, bottom + MARGIN), (boxes[0], boxes[1], boxes[2]), info)


def _error(original: Pixels, received: Pixels) -> npt.NDArray[np.float32]:
    """|difference|, the mean of the three colours, in 8-bit levels, (H, W)."""
    difference = np.abs(received.astype(np.int16) - original.astype(np.int16))
    return difference.mean(axis=2, dtype=np.float32)


def _constellation(drawing: Canvas, info: Box, symbols: Symbols) -> None:
    """How often a symbol is received where: I across, Q up, on equal axes."""
    beside = info.width >= INFO
    side = min(info.height - TITLE, info.width - FACTS) if beside else min(info.width, 300)
    axes = drawing.axes(Box(info.x, info.y + TITLE, side, side))
    taken = symbols[:: max(1, math.ceil(len(symbols) / MOST_SYMBOLS))]
    reach = 1.05 * float(np.quantile(np.maximum(abs(taken.real), abs(taken.imag)), 0.99))
    reach = max(reach, 1e-3)
    axes.axhline(0, color="#c9cdd6", linewidth=0.8, zorder=0)
    axes.axvline(0, color="#c9cdd6", linewidth=0.8, zorder=0)
    if len(taken) > FEW_SYMBOLS:  # most symbols of a picture are near zero: a scatter is a blob
        grid = (80, 46)  # hexagons of equal sides
        extent = (-reach, reach, -reach, reach)
        inside = (abs(taken.real) <= reach) & (abs(taken.imag) <= reach)
        seen = taken[inside]
        colours = {"cmap": "Blues", "bins": "log", "vmin": 0.3}
        axes.hexbin(
            seen.real, seen.imag, gridsize=grid, extent=extent, mincnt=1, linewidths=0, **colours
        )
    else:
        axes.scatter(taken.real, taken.imag, s=14, color=ACCENT, alpha=0.5, linewidths=0)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#c9cdd6")
    name = f"Received symbols, I and Q to ±{reach:.2g}"
    drawing.text(info.x, info.y + TITLE - 9, name, size=11.5)


def _facts(drawing: Canvas, info: Box, title: str, facts: Sequence[tuple[str, str]]) -> None:
    """The name of the picture and its figures, beside the constellation or below it."""
    if info.width >= INFO:
        side = min(info.height - TITLE, info.width - FACTS)
        x, y = info.x + side + 24, info.y + TITLE + 14
    else:
        x, y = info.x, info.y + TITLE + min(info.width, 300) + 34
    most = 24
    short = title if len(title) <= most else f"{title[: most - 9]}…{title[-8:]}"
    drawing.text(x, y, short, size=12, weight="bold")
    for index, (label, value) in enumerate(facts):
        y += 34 if index == 0 else 22
        size = 15 if index == 0 else 10
        drawing.text(x, y, label, size=9, color=GREY)
        drawing.text(x + 74, y, value, size=size)
