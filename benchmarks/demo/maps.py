"""The maps that the page lays over a received picture, as `witt transmit --map` draws them."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from benchmarks.demo.pictures import png_bytes
from witt.pictures.maps import ERROR_COLOURS, LEVELS, USES_COLOURS, Maps, coloured, limit_of

STOPS = 9  # of a scale of colours


class Overlay(NamedTuple):
    """A map as a picture.

    png: the file, as large as the received picture.
    end: what the last colour stands for; the first one is 0.
    colours: of the scale, in equal steps.
    """

    png: bytes
    end: str
    colours: tuple[str, ...]


def overlays(maps: Maps) -> dict[str, Overlay]:
    """By what they show: "uses", "expected" (where the receiver can say) and "measured"."""
    uses, error = limit_of(maps.uses), maps.error_limit
    shown = {
        "uses": (maps.uses, uses, USES_COLOURS, "a pixel"),
        "expected": (maps.expected, error, ERROR_COLOURS, f"of {LEVELS}"),
        "measured": (maps.measured, error, ERROR_COLOURS, f"of {LEVELS}"),
    }
    return {
        name: Overlay(
            png_bytes(coloured(values, limit, colours)), f"{limit:g} {unit}", scale_of(colours)
        )
        for name, (values, limit, colours, unit) in shown.items()
        if values is not None
    }


@cache
def scale_of(colours: str) -> tuple[str, ...]:
    """Colours of a scale of matplotlib, as a page names them."""
    import matplotlib
    from matplotlib.colors import to_hex

    scale = matplotlib.colormaps[colours]
    return tuple(to_hex(scale(step / (STOPS - 1))) for step in range(STOPS))
