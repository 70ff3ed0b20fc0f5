"""The Gaussian window of MS-SSIM, for what is trained."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from witt.metrics.quality import WINDOW, WINDOW_SIGMA

C1, C2 = 0.01**2, 0.03**2


def blur(planes: Tensor) -> Tensor:
    """The Gaussian window over (B, C, H, W), where it fits."""
    window = gaussian_window(planes.dtype, planes.device).expand(planes.shape[1], -1, -1, -1)
    across = F.conv2d(planes, window, groups=planes.shape[1])
    return F.conv2d(across, window.transpose(2, 3), groups=planes.shape[1])


@cache
@torch.inference_mode(False)  # whatever it is wanted for first
def gaussian_window(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The Gaussian window (1, 1, 1, 11), kept where it is used."""
    square = (torch.arange(WINDOW) - WINDOW // 2).square()
    window = torch.exp(-square / (2 * WINDOW_SIGMA**2))
    return (window / window.sum()).to(device, dtype)[None, None, None]
