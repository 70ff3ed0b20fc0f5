"""What is minimised: the mean squared error, or 1 − MS-SSIM."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from witt.errors import InputError
from witt.metrics.quality import SCALE_WEIGHTS, WINDOW
from witt.metrics.window import C1, C2, blur

# Losses of 1e-3 meet Adam's epsilon; these bring either loss to about 100.
LOSS_SCALE = {"mse": 255.0**2, "ms-ssim": 1000.0}
# A fractional power has an infinite slope at 0.
LEAST_SIMILARITY = 1e-3
LEAST_MSE = 1e-8  # 80 dB; a flat picture may be received without an error


def image_terms(name: str, received: Tensor, image: Tensor) -> Tensor:
    """What each image adds to the loss, (B,): the mean of all makes it, see `loss_of_mean`.

    Args:
        name: "mse" or "ms-ssim".
        received: (B, 3, H, W), not clamped.
        image: (B, 3, H, W) in [0, 1].
    """
    if name == "ms-ssim":
        return 1 - ms_ssim(received, image)
    return torch.log((received - image).square().mean(dim=(1, 2, 3)) + LEAST_MSE)


def loss_of_mean(name: str, mean: Tensor) -> Tensor:
    """The loss of a batch from the mean of its `image_terms`, wherever they were computed."""
    return mean if name == "ms-ssim" else mean.exp()


def loss_of(name: str, received: Tensor, image: Tensor) -> Tensor:
    """The loss of a batch, before its scale; −10·log10 of it is what the log shows in dB.

    "mse" is the geometric mean of the images' MSE, so that the mean PSNR, which is what results
    report, is maximised, and no SNR, rate or picture drowns the others. "ms-ssim" is 1 − its mean,
    the published objective.

    Args:
        name: "mse" or "ms-ssim".
        received: (B, 3, H, W), not clamped.
        image: (B, 3, H, W) in [0, 1].
    """
    return loss_of_mean(name, image_terms(name, received, image).mean())


def ms_ssim_scales(side: int) -> int:
    """Scales of the MS-SSIM loss for crops of `side` pixels; 5 from 161 on.

    Raises:
        InputError: the crop is smaller than the window.
    """
    if side < WINDOW:
        raise InputError(f"--loss ms-ssim needs crops of at least {WINDOW} pixels, not {side}")
    scales = len(SCALE_WEIGHTS)
    # The window has to fit into the smallest scale.
    while side <= (WINDOW - 1) * 2 ** (scales - 1):
        scales -= 1
    return scales


def ms_ssim(received: Tensor, image: Tensor) -> Tensor:
    """MS-SSIM for training: differentiable, of pictures that are neither clamped nor rounded.

    As `metrics.quality.ms_ssim`: for each colour plane the product over the scales j of cs_j^w_j,
    with the luminance term at the last; crops too small for 5 scales take the first ones, with
    the weights renormalised. Here a scale's mean similarity counts as at least 0.001.

    Args:
        received: (B, 3, H, W).
        image: (B, 3, H, W) in [0, 1].

    Returns:
        (B,).

    Source:
        Wang, Simoncelli and Bovik, Asilomar 2003, equation 7.
    """
    scales = ms_ssim_scales(min(image.shape[2:]))
    weights = [weight / sum(SCALE_WEIGHTS[:scales]) for weight in SCALE_WEIGHTS[:scales]]
    x, y = received.flatten(0, 1), image.flatten(0, 1)
    product = torch.ones(len(x), dtype=x.dtype, device=x.device)
    for scale, weight in enumerate(weights, start=1):
        last = scale == scales
        product = product * _similarity(x, y, last).clamp_min(LEAST_SIMILARITY) ** weight
        if not last:
            padding = (x.shape[-2] % 2, x.shape[-1] % 2)
            x, y = (F.avg_pool2d(each[None], 2, padding=padding)[0] for each in (x, y))
    return product.reshape(len(image), 3).mean(dim=1)


def _similarity(x: Tensor, y: Tensor, with_luminance: bool) -> Tensor:
    """(n,) means of contrast and structure, times the luminance term, of planes (n, H, W)."""
    # Planes as channels of one picture: a CPU convolves them 20 times as fast as single ones.
    maps = torch.cat((x, y, x * x, y * y, x * y))[None].contiguous(
        memory_format=torch.channels_last
    )
    mean_x, mean_y, square_x, square_y, both = blur(maps)[0].unflatten(0, (5, -1))
    variances = square_x - mean_x.square() + square_y - mean_y.square()
    value = (2 * (both - mean_x * mean_y) + C2) / (variances + C2)
    if with_luminance:
        value = value * (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
    return value.mean(dim=(1, 2))
