"""Today's best codecs at the capacity of the channel: bounds for separate codes, not systems.

Their rate-distortion points are published means over the 24 Kodak pictures, whose sources are in
the file. Between points the PSNR is linear in the logarithm of the rate; beyond them there is none.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.schemes.bounds import capacity
from witt.errors import InputError
from witt.link.conditions import Link

FILE = Path(__file__).parents[1] / "data" / "codec_curves.json"
NOTE = (
    "VTM (VVC) and ELIC at capacity: bounds, from rate-distortion points published with CompressAI "
    "and in arXiv 2203.10886."
)


class Bound(NamedTuple):
    """PSNR in dB of a codec at each bits per pixel, NaN beyond its published points."""

    codec: str
    psnr_db: tuple[float, ...]

    @property
    def scheme(self) -> str:
        """As a scheme of the same kind is called."""
        return f"{self.codec.lower()}+capacity"


def codec_bounds(
    dataset: str | None, link: Link, conditions: Sequence[tuple[float, float]]
) -> list[Bound]:
    """The bounds at pairs of SNR in dB and CBR; none where no capacity is reached on average.

    Args:
        dataset: "kodak"; there are points of no other.
        link: AWGN or fast fading.
        conditions: SNR in dB and CBR.
    """
    if link.fades and link.fading != "fast":
        return []
    try:
        rates = [3 * cbr * capacity(link, snr_db) for snr_db, cbr in conditions]
    except InputError:  # somebody's own channel
        return []
    return [
        Bound(entry["codec"], tuple(_psnr_db(entry, rate) for rate in rates))
        for entry in _entries()
        if entry["dataset"] == dataset
    ]


def _psnr_db(entry: dict[str, Any], bpp: float) -> float:
    ends = entry["bpp"][0], entry["bpp"][-1]
    if not ends[0] <= bpp <= ends[1]:
        return math.nan
    return float(np.interp(math.log(bpp), np.log(entry["bpp"]), entry["psnr_db"]))


@functools.cache
def _entries() -> Sequence[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["curves"]
    return entries
