"""Lines over an axis, as a figure that a notebook shows by itself."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.6, 3.4  # inches of a panel
MARKERS = "os^Dvp*X"


class Line(NamedTuple):
    """A line of a panel; NaN in `y` is a gap."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


class Panel(NamedTuple):
    """A pair of axes."""

    ylabel: str
    lines: Sequence[Line]


class Drawing(Figure):
    """A matplotlib figure that shows itself in a notebook, whatever its backend is."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def draw_lines(panels: Sequence[Panel], xlabel: str, title: str) -> Drawing:
    """The panels side by side, with one legend."""
    drawing = Drawing(figsize=(WIDTH * len(panels), HEIGHT), dpi=110, layout="constrained")
    FigureCanvasAgg(drawing)
    grid = drawing.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        for number, line in enumerate(panel.lines):
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(line.x, line.y, marker=marker, markersize=4, label=line.label)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(panel.ylabel)
        axes.grid(alpha=0.4)
    drawing.suptitle(title, size="medium", parse_math=False)
    if any(line.label for line in panels[0].lines):
        handles, labels = grid[0].get_legend_handles_labels()
        legend = drawing.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return drawing
