"""Draw the curves: for a paper, in small print and without colour too."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.figures.curves import Chart, Curve, Panel
from benchmarks.labels import cbr_label, is_fixed_mode, scheme_label, without_mode
from witt.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
# Inches: a panel and the space around it, lines of the legend and of the notes.
PANEL, ABOVE, LEFT, RIGHT, BELOW = (3.95, 2.6), 0.38, 0.55, 0.2, 0.58
MODES, TITLE, ENTRY, NOTE = 0.45, 0.2, 0.16, 0.125
DECIMALS = 0.15  # more on the left where ticks are not in decibels: 0.75, not 30
FIXED, FAINT, INK, GREY = "#8b8f96", "#d9dce1", "#1f2430", "#5c6270"
MOST_TICKS = 8


class Look(NamedTuple):
    """How the curve of a scheme looks; the colours differ in lightness too."""

    colour: str
    marker: str
    line: Any = "-"


# The colour of the published curve is for the network of the paper alone.
PAPER, OURS, CNN = Look("#0b2f78", "o"), Look("#2f86c9", "p"), Look("#d1520f", "s")
LOOKS = {
    "witt_base": PAPER,
    "witt_cifar": PAPER,
    "witt_light": OURS,
    "witt_cifar_light": OURS,
    "deepjscc": CNN,
    "deepjscc_cifar": CNN,
    "softcast": Look("#8a4fa3", "D", "-."),
    "hevc+ldpc": Look("#1b7f5c", "^"),
    "hevc+nr": Look("#7a9a01", "d"),
    "hevc+capacity": Look("#333333", "", ":"),
    "vtm+capacity": Look("#6d7079", "", "--"),
    "elic+capacity": Look("#6d7079", "", "-."),
}
MORE = (
    Look("#b8860b", "v"),
    Look("#5aa9d6", "P"),
    Look("#a3194b", "X", "-."),
    Look("#4d4d4d", "h"),
    Look("#7fbf3f", "<"),
    Look("#c98bb9", ">", "-."),
)
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#7a8090",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "witt",  # the same results give the same bytes
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Our settings of matplotlib, whatever a user's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def draw(chart: Chart) -> Figure:
    """The figure of a chart; call it in `paper_style`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = [curve for panel in chart.panels for curve in panel.curves]
    right = RIGHT + MODES * any(curve.kind == "fixed" for curve in curves)
    above = ABOVE + TITLE * any(panel.title for panel in chart.panels)
    columns, notes = 2 * len(chart.panels), _wrapped(chart)
    entries = math.ceil(len({legend_label(curve) for curve in curves}) / columns)
    below = BELOW + entries * ENTRY + len(notes) * NOTE + 0.16
    before = LEFT + DECIMALS * ("(dB)" not in chart.panels[0].ylabel)
    width = len(chart.panels) * (before + PANEL[0] + right)
    height = above + PANEL[1] + below
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    looks, limits = looks_of(chart), limits_of(chart)
    named: dict[str, Artist] = {}
    for index, panel in enumerate(chart.panels):
        left = before + index * (before + PANEL[0] + right)
        axes = figure.add_axes((left / width, below / height, PANEL[0] / width, PANEL[1] / height))
        axes.set_ylim(limits)
        _panel(axes, panel, chart, looks)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.text(0.1 / width, 1 - 0.1 / height, chart.title, size=10, va="top")
    figure.legend(
        list(named.values()),
        list(named),
        loc="upper left",
        bbox_to_anchor=(0.1 / width, (below - BELOW) / height),
        borderaxespad=0,
        borderpad=0,
        ncols=columns,
        handlelength=3.2,
        labelspacing=0.4,
    )
    figure.text(0.1 / width, 0.08 / height, "\n".join(notes), size=6.5, va="bottom", color=GREY)
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG.

    Raises:
        InputError: a file cannot be written.
    """
    written = []
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None, "witt": "plot"},  # no picture to measure, see witt.files
        "svg": {"Date": None, "Creator": None},
    }
    for kind, about in metadata.items():
        buffer = BytesIO()
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=about)
        path = folder / f"{name}.{kind}"
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written


def looks_of(chart: Chart) -> dict[str, Look]:
    """Every measured curve's look, by its label, the same in all panels.

    A scheme that is there again, from another file, takes a turn among those without their own.
    """
    looks: dict[str, Look] = {}
    spare, taken = itertools.cycle(MORE), set()
    for curve in (curve for panel in chart.panels for curve in panel.curves):
        if curve.kind != "measured" or curve.label in looks:
            continue
        own = None if curve.scheme in taken else LOOKS.get(curve.scheme)
        look = own or next(spare)
        if curve.scheme.endswith("+capacity"):
            look = look._replace(marker="", line=":")
        looks[curve.label] = look
        taken.add(curve.scheme)
    return looks


def look_of(curve: Curve, looks: dict[str, Look]) -> Look:
    """Of a curve, given those of the measured ones: its own, or that of the scheme it is of."""
    if curve.kind == "measured":
        return looks[curve.label]
    return LOOKS.get(without_mode(curve.scheme), MORE[0])


def _panel(axes: Axes, panel: Panel, chart: Chart, looks: dict[str, Look]) -> None:
    for curve in panel.curves:
        _line(axes, curve, look_of(curve, looks))
    axes.locator_params(axis="y", steps=[1, 2, 5, 10])
    axes.set_ylabel(panel.ylabel)
    axes.set_xlabel("SNR, Es/N0 (dB)" if chart.axis == "snr" else "CBR, channel uses / (3·H·W)")
    if len(chart.ticks) <= MOST_TICKS:
        text = "{:g}".format if chart.axis == "snr" else cbr_label
        axes.set_xticks(chart.ticks, [text(tick) for tick in chart.ticks], size=8)
    if panel.title:
        axes.set_title(panel.title, size=9, loc="left")
    _name_modes(axes, [curve for curve in panel.curves if curve.kind == "fixed"])


def _line(axes: Axes, curve: Curve, look: Look) -> None:
    style: dict[str, dict[str, Any]] = {
        "measured": {"lw": 1.7, "ls": look.line, "marker": look.marker, "ms": 4.5, "zorder": 4},
        "fixed": {"color": FIXED, "lw": 0.7, "marker": ".", "ms": 2.5, "zorder": 2},
        "bound": {"lw": 0.8, "ls": look.line, "zorder": 3},
        "published": {
            "lw": 0.9,
            "ls": (0, (5, 2.5)),
            "marker": look.marker,
            "ms": 4,
            "mfc": "white",
            "mew": 0.8,
            "alpha": 0.75,
            "zorder": 3,
        },
    }
    options = {"color": look.colour, "label": legend_label(curve), **style[curve.kind]}
    axes.plot(curve.x, curve.y, **options)


def legend_label(curve: Curve) -> str:
    """The fixed modes have one entry: their names are at their lines."""
    if curve.kind != "fixed":
        return curve.label
    return f"{scheme_label(without_mode(curve.scheme))}, fixed modes"


def limits_of(chart: Chart) -> tuple[float, float]:
    """Of y: all but the fixed modes, whose cliffs lead out of the figure."""
    curves = [curve for panel in chart.panels for curve in panel.curves]
    least = 0.3 if "(dB)" in chart.panels[0].ylabel else 1e-6  # above and below
    whole = [c for c in curves if c.kind != "fixed"] or curves
    values = [y for curve in whole for y in curve.y if math.isfinite(y)]
    if not values:
        return 0.0, 1.0
    margin = max(0.05 * (max(values) - min(values)), least)
    return min(values) - margin, max(values) + margin


def _name_modes(axes: Axes, curves: Sequence[Curve]) -> None:
    """Write each mode at the right end of its line, apart from each other."""
    low, high = axes.get_ylim()
    ends: list[tuple[float, float, str]] = []
    for curve in curves:
        points = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if low <= y <= high]
        if points and is_fixed_mode(curve.scheme):
            ends.append((points[-1][1], points[-1][0], curve.label.rpartition(", ")[2]))
    gap = (high - low) / 26
    taken = -math.inf
    for y, x, text in sorted(ends):
        taken = max(y, taken + gap)
        axes.annotate(
            text, (x, taken), (4, 0), textcoords="offset points", va="center", size=6, color=FIXED
        )


def _wrapped(chart: Chart) -> list[str]:
    width = 96 * len(chart.panels)
    return [line for note in chart.notes for line in textwrap.wrap(note, width)]
