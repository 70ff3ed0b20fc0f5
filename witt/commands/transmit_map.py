"""`witt transmit --map`: what it writes of each picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from witt.files import write_bytes
from witt.link.maps import maps_of, mean_figures, why_not
from witt.link.transmission import Draw
from witt.pictures.images import Pixels
from witt.pictures.maps import LEVELS, maps_png
from witt.pictures.writing import mark_png

UNSAID = "the map has no expected error: "


def write_map(path: Path, original: Pixels, draw: Draw, record: dict[str, Any], title: str) -> None:
    """Write the maps of a draw, and add their figures to its entry of the JSON list.

    Args:
        path: the file.
        original: (H, W, 3) uint8.
        draw: with the maps of `Codec.regions`.
        record: is changed.
        title: name of the picture.

    Raises:
        InputError: the file cannot be written.
        ValueError: the draw has no such maps.
    """
    maps = maps_of(draw.sent, original, draw.pixels)
    if maps is None:
        raise ValueError("the draw has no maps: transmit(…, regions=True) adds them")
    record |= {"map": str(path), **mean_figures(maps)}
    reason = why_not(record["weights"], draw.sent)
    if maps.expected is None:
        record["notes"].append(UNSAID + reason)
    drawn = maps_png(draw.pixels, maps, (title, *_heads(record)), reason)
    write_bytes(path, mark_png(drawn, "map"))


def unsaid(records: Sequence[dict[str, Any]]) -> list[str]:
    """Why there are maps without an expected error, each reason once."""
    notes = (note for record in records for note in record["notes"])
    return list(dict.fromkeys(note for note in notes if note.startswith(UNSAID)))


def _heads(record: dict[str, Any]) -> tuple[str, str]:
    measured, expected = record["measured_rmse"], record["expected_rmse"]
    told = "" if math.isnan(expected) else f"{expected:.2f} expected, "
    return (
        f"{record['weights']}, {record['channel_label']}, SNR {record['snr_db']:g} dB, "
        f"CBR {record['cbr']:.4g}, seed {record['seed']}",
        f"{record['channel_uses']:,} channel uses, {record['uses_per_pixel']:.4g} a pixel; "
        f"RMSE of the picture {told}{measured:.2f} measured, of {LEVELS}",
    )
