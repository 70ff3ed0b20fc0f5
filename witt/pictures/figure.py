"""The comparison picture: original, received, where they differ, and the received symbols."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from witt.pictures.images import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL_AREA = 768 * 512  # a Kodak picture is shown pixel for pixel
LONGEST = 1536
MARGIN, GAP, TITLE = 24, 28, 30
NARROWEST = 230  # room for the titles of a slim picture
FACTS = 250  # width of the facts beside the constellation
INFO = FACTS + 200
MOST_SYMBOLS, FEW_SYMBOLS = 100_000, 1000
ERROR_SCALES = (8, 16, 32, 64, 128, 255)
DPI = 100
Plane = npt.NDArray[Any]
INK, GREY, ACCENT = "#1f2430", "#7a8090", "#2b6cb0"


class Box(NamedTuple):
    """A rectangle in pixels, from the top left of the figure."""

    x: int
    y: int
    width: int
    height: int


class Layout(NamedTuple):
    """Where things go: the figure's size, three pictures, and the constellation with its facts."""

    size: tuple[int, int]
    pictures: tuple[Box, Box, Box]
    info: Box


def comparison_png(
    original: Pixels,
    received: Pixels,
    symbols: npt.NDArray[np.complexfloating[Any, Any]],
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = original.shape[:2]
    shown = _shown_size(width, height)
    layout = _layout(*shown)
    error = _resize(_error(original, received), shown)
    limit = next(s for s in ERROR_SCALES if s >= min(float(np.quantile(error, 0.99)), 255))
    if shown != (width, height):
        facts = [*facts, ("Shown at", f"{shown[0] / width:.3g}×")]
    style: Any = {"font.family": "DejaVu Sans", "text.parse_math": False, "text.color": INK}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not what a user's matplotlibrc says
        matplotlib.rcParams.update(style)
        size = (layout.size[0] / DPI, layout.size[1] / DPI)
        figure = Figure(figsize=size, dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        heat = matplotlib.colormaps["magma"](np.minimum(error / limit, 1), bytes=True)[..., :3]
        names = (f"Original, {width} × {height}", "Received", "Error, |received − original|")
        photos = (_resize(original, shown), _resize(received, shown), heat)
        for box, name, pixels in zip(layout.pictures, names, photos, strict=True):
            _picture(figure, layout, box, name, pixels)
        _error_scale(figure, layout, limit)
        _constellation(figure, layout, symbols)
        _facts(figure, layout, title, facts)
        buffer = BytesIO()
        with warnings.catch_warnings():
            # A file name in a script that the font does not have shows as boxes.
            warnings.filterwarnings("ignore", message=".*[Gg]lyph")
            figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _shown_size(width: int, height: int) -> tuple[int, int]:
    """Pixels to show a picture at: about CELL_AREA, small pictures a whole number of times."""
    factor = math.sqrt(CELL_AREA / (width * height))
    factor = min(factor, LONGEST / max(width, height))
    if factor >= 1:
        factor = round(factor)
    elif factor > 0.75:
        factor = 1
    return max(1, round(width * factor)), max(1, round(height * factor))


def _layout(width: int, height: int) -> Layout:
    """Two by two for landscape, a row for portrait and square, a column for panoramas."""
    cell = (max(width, NARROWEST), height + TITLE)
    if width >= 3 * height:
        columns, info_width, info_height = 1, max(width, INFO), 330
    elif width >= 1.2 * height:
        columns, info_width, info_height = 2, max(width, INFO), max(height + TITLE, 330)
    else:
        columns, info_width, info_height = 4, 300, max(height + TITLE, 620)
    step_x, step_y = cell[0] + GAP, cell[1] + GAP // 2
    places = [(MARGIN + step_x * (i % columns), MARGIN + step_y * (i // columns)) for i in range(4)]
    boxes = [Box(x, y + TITLE, width, height) for x, y in places[:3]]
    info = Box(*places[3], info_width, info_height)
    right = max(info.x + info.width, *(box.x + box.width for box in boxes))
    bottom = max(info.y + info.height, *(box.y + box.height for box in boxes))
    return Layout((right + MARGIN, bottom + MARGIN), (boxes[0], boxes[1], boxes[2]), info)


def _error(original: Pixels, received: Pixels) -> npt.NDArray[np.float32]:
    """|difference|, the mean of the three colours, in 8-bit levels, (H, W)."""
    difference = np.abs(received.astype(np.int16) - original.astype(np.int16))
    return difference.mean(axis=2, dtype=np.float32)


def _resize(plane: Plane, size: tuple[int, int]) -> Plane:
    """To (width, height): averaged when smaller, repeated when larger."""
    if size == (plane.shape[1], plane.shape[0]):
        return plane
    larger = size[0] > plane.shape[1] or size[1] > plane.shape[0]
    how = Image.Resampling.NEAREST if larger else Image.Resampling.BOX
    return np.asarray(Image.fromarray(plane).resize(size, how))


def _axes(figure: Figure, layout: Layout, box: Box) -> Any:
    width, height = layout.size
    return figure.add_axes(
        (
            box.x / width,
            1 - (box.y + box.height) / height,
            box.width / width,
            box.height / height,
        )
    )


def _text(figure: Figure, layout: Layout, x: float, y: float, text: str, **style: Any) -> None:
    width, height = layout.size
    figure.text(x / width, 1 - y / height, text, **style)


def _picture(figure: Figure, layout: Layout, box: Box, name: str, pixels: Pixels) -> None:
    axes = _axes(figure, layout, box)
    axes.imshow(pixels, interpolation="none", aspect="auto")
    axes.set_axis_off()
    _text(figure, layout, box.x, box.y - 9, name, size=11.5)


def _error_scale(figure: Figure, layout: Layout, limit: int) -> None:
    """The colours of the error map, at the right end of its title."""
    box = layout.pictures[2]
    label = f"{limit} of 255"
    if box.width < 420:  # no room beside the title: below the picture
        x, y = box.x, box.y + box.height + 10
    else:
        x, y = box.x + box.width - 190, box.y - 19
    bar = _axes(figure, layout, Box(x + 14, y, 100, 10))
    bar.imshow(np.linspace(0, 1, 100)[None], cmap="magma", aspect="auto")
    bar.set_axis_off()
    _text(figure, layout, x, y + 10, "0", size=9, color=GREY)
    _text(figure, layout, x + 120, y + 10, label, size=9, color=GREY)


def _constellation(
    figure: Figure, layout: Layout, symbols: npt.NDArray[np.complexfloating[Any, Any]]
) -> None:
    """How often a symbol is received where: I across, Q up, on equal axes."""
    info = layout.info
    beside = info.width >= INFO
    side = min(info.height - TITLE, info.width - FACTS) if beside else min(info.width, 300)
    axes = _axes(figure, layout, Box(info.x, info.y + TITLE, side, side))
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
    _text(figure, layout, info.x, info.y + TITLE - 9, name, size=11.5)


def _facts(figure: Figure, layout: Layout, title: str, facts: Sequence[tuple[str, str]]) -> None:
    """The name of the picture and its figures, beside the constellation or below it."""
    info = layout.info
    if info.width >= INFO:
        side = min(info.height - TITLE, info.width - FACTS)
        x, y = info.x + side + 24, info.y + TITLE + 14
    else:
        x, y = info.x, info.y + TITLE + min(info.width, 300) + 34
    most = 24
    short = title if len(title) <= most else f"{title[: most - 9]}…{title[-8:]}"
    _text(figure, layout, x, y, short, size=12, weight="bold")
    for index, (label, value) in enumerate(facts):
        y += 34 if index == 0 else 22
        size = 15 if index == 0 else 10
        _text(figure, layout, x, y, label, size=9, color=GREY)
        _text(figure, layout, x + 74, y, value, size=size)
