"""What a sweep measures of a received picture, by the standard and as the paper measured it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.scheme import Sent
from witt.images import Pixels, to_tensor
from witt.metrics import SCALE_WEIGHTS, WINDOW, WINDOW_SIGMA, ms_ssim, psnr

# A picture that arrives without any error has no finite figure; it counts as one of these.
BEST_PSNR_DB, BEST_MS_SSIM_DB = 100.0, 60.0
PUBLISHED_SCALES = 4
NAN = math.nan
PUBLISHED_SMALLEST = WINDOW * 2 ** (PUBLISHED_SCALES - 1)


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
    quality = min(float(psnr(x, y)), BEST_PSNR_DB)
    if not with_ms_ssim:
        return Measured(Row(quality, NAN, NAN, NAN, sent.channel_uses, cbr), None)
    similarity = ms_ssim(x, y)
    published = NAN
    if min(original.shape[:2]) >= PUBLISHED_SMALLEST:
        published = _db(float(ms_ssim_published(x, y)))
    row = Row(
        quality,
        float(similarity.value),
        _capped(float(similarity.db)),
        published,
        sent.channel_uses,
        cbr,
    )
    return Measured(row, similarity.variant)


def ms_ssim_published(image: Tensor, reference: Tensor) -> Tensor:
    """MS-SSIM as the published WITT code computes it, 1.0 to 1.3 dB below the standard.

    Four scales, the first four weights w renormalised to 1, and the last scale's SSIM s in every
    factor: ∏_{j<4} cs_j^w_j · s^w_4. cs is clipped at zero pixel by pixel; its mean is over
    all colours before the power.

    Args:
        image: (B, 3, H, W) float in [0, 1], sides of at least 88.
        reference: the same shape.

    Returns:
        (B,) float32.

    Source:
        ``loss/distortion.py`` of the code published with WITT (arXiv 2211.00937).
    """
    offsets = torch.arange(WINDOW) - WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * WINDOW_SIGMA**2))
    window = (window / window.sum()).to(image).repeat(3, 1, 1, 1)
    weights = torch.tensor(SCALE_WEIGHTS[:PUBLISHED_SCALES])
    weights = weights / weights.sum()
    x, y = image, reference
    factors = []
    for scale in range(PUBLISHED_SCALES):
        similarity, contrast = _ssim(x, y, window)
        if scale < PUBLISHED_SCALES - 1:
            factors.append(contrast.clamp_min(1e-8) ** weights[scale])
            x, y = F.avg_pool2d(x, 2, ceil_mode=True), F.avg_pool2d(y, 2, ceil_mode=True)
    last = similarity.clamp_min(1e-8) ** weights[-1]
    return torch.stack([factor * last for factor in factors]).prod(dim=0)


def _ssim(x: Tensor, y: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean contrast-structure term, (B,) each."""

    def blur(plane: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(plane, window, groups=3), window.transpose(2, 3), groups=3)

    c1, c2 = 0.01**2, 0.03**2
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x.square(), blur(y * y) - mean_y.square()
    contrast = (2 * (blur(x * y) - mean_x * mean_y) + c2) / (var_x + var_y + c2)
    contrast = contrast.clamp_min(0)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return (luminance * contrast).mean(dim=(1, 2, 3)), contrast.mean(dim=(1, 2, 3))


def _db(value: float) -> float:
    return _capped(-10 * math.log10(1 - value)) if value < 1 else BEST_MS_SSIM_DB


def _capped(db: float) -> float:
    return min(db, BEST_MS_SSIM_DB)  # NaN stays NaN: it is the first argument
