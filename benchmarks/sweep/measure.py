"""What a sweep measures of a received picture, by the standard and as the paper measured it."""

from __future__ import annotations

import math
from typing import NamedTuple

from benchmarks.schemes.scheme import Sent
from witt.metrics.published import SCALES, ms_ssim_published
from witt.metrics.quality import BEST_MS_SSIM_DB, BEST_PSNR_DB, WINDOW, capped, ms_ssim, psnr
from witt.pictures.images import Pixels, to_tensor

NAN = math.nan
PUBLISHED_SMALLEST = WINDOW * 2 ** (SCALES - 1)


class Row(NamedTuple):
    """The figures of one picture; NaN where there are none.

    psnr_db: of the 8-bit picture, at most 100 dB.
    ms_ssim: of the 8-bit picture.
    ms_ssim_db: −10 log10(1 − MS-SSIM), at most 60 dB.
    ms_ssim_published_db: as the code published with the paper computes it.
    channel_uses: complex symbols.
    cbr: channel uses over 3·H·W.
    """

    psnr_db: float
    ms_ssim: float
    ms_ssim_db: float
    ms_ssim_published_db: float
    channel_uses: int
    cbr: float


class Measured(NamedTuple):
    """A row, and which MS-SSIM is in it (None: none)."""

    row: Row
    ms_ssim_variant: str | None


def measure(original: Pixels, sent: Sent, *, with_ms_ssim: bool = True) -> Measured:
    """Compare a received picture with the original."""
    cbr = sent.channel_uses / original.size
    if sent.pixels is None:
        return Measured(Row(NAN, NAN, NAN, NAN, sent.channel_uses, cbr), None)
    x, y = to_tensor(sent.pixels), to_tensor(original)
    quality = capped(float(psnr(x, y)), BEST_PSNR_DB)
    if not with_ms_ssim:
        return Measured(Row(quality, NAN, NAN, NAN, sent.channel_uses, cbr), None)
    similarity = ms_ssim(x, y)
    published = NAN
    if min(original.shape[:2]) >= PUBLISHED_SMALLEST:
        published = _db(float(ms_ssim_published(x, y)))
    row = Row(
        quality,
        float(similarity.value),
        capped(float(similarity.db), BEST_MS_SSIM_DB),
        published,
        sent.channel_uses,
        cbr,
    )
    return Measured(row, similarity.variant)


def _db(value: float) -> float:
    return capped(-10 * math.log10(1 - value) if value < 1 else math.inf, BEST_MS_SSIM_DB)
