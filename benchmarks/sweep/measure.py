"""What a sweep measures of a received picture, by the standard and as the paper measured it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.schemes.scheme import Sent
from witt.metrics.metric import MS_SSIM, Metric, Quantity
from witt.metrics.metric import measure as measure_all
from witt.metrics.published import SCALES, ms_ssim_published
from witt.metrics.quality import WINDOW
from witt.pictures.images import Pixels, to_tensor

PUBLISHED_SMALLEST = WINDOW * 2 ** (SCALES - 1)
# MS-SSIM as the code published with the paper computes it, beside our own.
MS_SSIM_PUBLISHED = "ms_ssim_published_db"

# The figures of one picture by key, NaN where there are none: those of the metrics, then
# "channel_uses" (complex symbols) and "cbr" (channel uses over 3·H·W).
Row = dict[str, float]


class Measured(NamedTuple):
    """The figures of a picture.

    ms_ssim_variant: which MS-SSIM is among them (None: none).
    reasons: why metrics failed, by key.
    """

    row: Row
    ms_ssim_variant: str | None = None
    reasons: dict[str, str] | None = None


def columns(quantities: Sequence[Quantity]) -> tuple[str, ...]:
    """The keys of a row."""
    keys = [key for quantity in quantities for key in quantity.columns]
    if MS_SSIM in quantities:
        keys.insert(keys.index(MS_SSIM.key) + 1, MS_SSIM_PUBLISHED)
    return (*keys, "channel_uses", "cbr")


def measure(
    original: Pixels, sent: Sent, metrics: Sequence[Metric], label: int | None = None
) -> Measured:
    """Compare a received picture with the original, whose class is the label where it has one."""
    keys = columns([metric.quantity for metric in metrics])
    row: Row = dict.fromkeys(keys, math.nan)
    row |= {"channel_uses": sent.channel_uses, "cbr": sent.channel_uses / original.size}
    if sent.pixels is None:
        return Measured(row)
    x, y = to_tensor(sent.pixels), to_tensor(original)
    (figures,) = measure_all(metrics, x, y, labels=None if label is None else [label])
    row |= {key: value for key, value in figures.items() if key in row}
    if MS_SSIM_PUBLISHED in row and min(original.shape[:2]) >= PUBLISHED_SMALLEST:
        value = float(ms_ssim_published(x, y))
        db = -10 * math.log10(1 - value) if value < 1 else math.inf
        row[MS_SSIM_PUBLISHED] = MS_SSIM.capped(db)
    return Measured(row, figures.get("ms_ssim_variant"), figures.get("reasons"))
