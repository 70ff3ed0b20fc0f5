"""A figure laid out in pixels: pictures one to one, titles above them, scales of colours."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
DPI = 100
Plane = npt.NDArray[Any]
INK, GREY, ACCENT = "#1f2430", "#7a8090", "#2b6cb0"


class Box(NamedTuple):
    """A rectangle in pixels, from the top left of the figure."""

    x: int
    y: int
    width: int
    height: int


def shown_size(width: int, height: int) -> tuple[int, int]:
    """Pixels to show a picture at: about CELL_AREA, small pictures a whole number of times."""
    factor = math.sqrt(CELL_AREA / (width * height))
    factor = min(factor, LONGEST / max(width, height))
    if factor >= 1:
        factor = round(factor)
    elif factor > 0.75:
        factor = 1
    return max(1, round(width * factor)), max(1, round(height * factor))


def columns_of(width: int, height: int) -> int:
    """Two by two for landscape, a row of four for portrait and square, a column for panoramas."""
    if width >= 3 * height:
        return 1
    return 2 if width >= 1.2 * height else 4


def places(width: int, height: int) -> list[tuple[int, int]]:
    """Top left corners of four pictures with their titles."""
    columns = columns_of(width, height)
    step_x, step_y = max(width, NARROWEST) + GAP, height + TITLE + GAP // 2
    return [(MARGIN + step_x * (i % columns), MARGIN + step_y * (i // columns)) for i in range(4)]


def resize(plane: Plane, size: tuple[int, int]) -> Plane:
    """To (width, height): averaged when smaller, repeated when larger."""
    if size == (plane.shape[1], plane.shape[0]):
        return plane
    larger = size[0] > plane.shape[1] or size[1] > plane.shape[0]
    how = Image.Resampling.NEAREST if larger else Image.Resampling.BOX
    return np.asarray(Image.fromarray(plane).resize(size, how))


class Canvas:
    """A white figure of (width, height) pixels.

    Args:
        figure: of matplotlib.
        size: of it.
    """

    def __init__(self, figure: Figure, size: tuple[int, int]) -> None:
        self.figure, self.size = figure, size

    def axes(self, box: Box) -> Any:
        """Axes that fill a box."""
        width, height = self.size
        return self.figure.add_axes(
            (
                box.x / width,
                1 - (box.y + box.height) / height,
                box.width / width,
                box.height / height,
            )
        )

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Text whose line begins at (x, y)."""
        width, height = self.size
        self.figure.text(x / width, 1 - y / height, text, **style)

    def picture(self, box: Box, name: str, pixels: Pixels, size: float = 11.5) -> None:
        """Pixels in a box, and their title above it."""
        axes = self.axes(box)
        axes.imshow(pixels, interpolation="none", aspect="auto")
        axes.set_axis_off()
        self.text(box.x, box.y - 9, name, size=size)

    def scale(self, box: Box, colours: str, label: str, size: float = 9) -> None:
        """The colours of the map in a box, from 0 to a label, at the right end of its title."""
        room = 120 + round(70 / 9 * size)
        if box.width < room + 230:  # no room beside the title: below the picture
            x, y = box.x, box.y + box.height + 10
        else:
            x, y = box.x + box.width - room, box.y - 19
        bar = self.axes(Box(x + 14, y, 100, 10))
        bar.imshow(np.linspace(0, 1, 100)[None], cmap=colours, aspect="auto")
        bar.set_axis_off()
        self.text(x, y + 10, "0", size=size, color=GREY)
        self.text(x + 120, y + 10, label, size=size, color=GREY)

    def png(self) -> bytes:
        """As a file."""
        buffer = BytesIO()
        with warnings.catch_warnings():
            # A file name in a script that the font does not have shows as boxes.
            warnings.filterwarnings("ignore", message=".*[Gg]lyph")
            self.figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()


@contextmanager
def canvas(size: tuple[int, int]) -> Iterator[Canvas]:
    """A canvas, in our settings of matplotlib, whatever a user's matplotlibrc says."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = {"font.family": "DejaVu Sans", "text.parse_math": False, "text.color": INK}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        yield Canvas(figure, size)
