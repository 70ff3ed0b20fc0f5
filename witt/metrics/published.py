"""MS-SSIM as the published WITT code computes it.

Source: ``loss/distortion.py`` of the code published with WITT (arXiv 2211.00937), of which only
the definition is taken.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from witt.metrics.quality import SCALE_WEIGHTS, UNDEFINED, WINDOW, WINDOW_SIGMA, MsSsim, check_range

SCALES = 4
SMALL_WINDOW = 3  # on CIFAR-10


def published_window(side: int) -> int | None:
    """The window for a shorter side: 11, or 3 below 88 pixels; None below 24, where none fits."""
    for window in (WINDOW, SMALL_WINDOW):
        if side >= window * 2 ** (SCALES - 1):
            return window
    return None


def published_similarity(image: Tensor, reference: Tensor) -> MsSsim:
    """`ms_ssim_published` with the window that fits, and in dB.

    Args:
        image: (B, 3, H, W) float in [0, 1].
        reference: the same shape.

    Returns:
        `MsSsim`, float64; NaN for pictures too small for it.

    Raises:
        ValueError: the reference is not in [0, 1].
    """
    check_range(reference)
    window = published_window(min(image.shape[2:]))
    if window is None:
        nan = torch.full((len(image),), torch.nan, dtype=torch.float64)
        return MsSsim(nan, nan.clone(), UNDEFINED)
    value = ms_ssim_published(image, reference, window).double().clamp(max=1)
    variant = "ms-ssim-published" + ("" if window == WINDOW else f"-window{window}")
    return MsSsim(value, 10 * torch.log10(1 / (1 - value)), variant)


def ms_ssim_published(image: Tensor, reference: Tensor, window: int = WINDOW) -> Tensor:
    """MS-SSIM as the published WITT code computes it, 1.0 to 1.3 dB below the standard.

    Four scales, the first four weights w renormalised to 1, and the last scale's SSIM s in every
    factor: ∏_{j<4} cs_j^w_j · s^w_4. cs is clipped at zero pixel by pixel; its mean is over
    all colours before the power. Differentiable.

    Args:
        image: (B, 3, H, W) float in [0, 1], sides of at least 8 windows.
        reference: the same shape.
        window: side of the Gaussian window.

    Returns:
        (B,), in the precision of the image.

    Raises:
        ValueError: the reference is not in [0, 1].
    """
    check_range(reference)
    offsets = torch.arange(window) - window // 2
    gauss = torch.exp(-offsets.square() / (2 * WINDOW_SIGMA**2))
    gauss = (gauss / gauss.sum()).to(image).repeat(3, 1, 1, 1)
    weights = torch.tensor(SCALE_WEIGHTS[:SCALES])
    weights = (weights / weights.sum()).to(image)
    x, y = image, reference
    factors = []
    for scale in range(SCALES):
        similarity, contrast = _ssim(x, y, gauss)
        if scale < SCALES - 1:
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
