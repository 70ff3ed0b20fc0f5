"""What is minimised: the mean squared error, 1 − MS-SSIM, or a function of one's own.

def my_loss(received, image):     # both (B, 3, H, W); received is not clamped
    return ...                    # (B,), at least 0, and 0 where they are equal
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.errors import InputError, one_line
from witt.metrics.quality import SCALE_WEIGHTS, WINDOW
from witt.metrics.window import C1, C2, blur
from witt.registry import LOSSES, parse

OUR_LOSSES = ("mse", "ms-ssim")
TRIAL = 64  # side of the pictures that a loss of one's own is tried on, in pixels
# A fractional power has an infinite slope at 0.
LEAST_SIMILARITY = 1e-3
LEAST_MSE = 1e-8  # 80 dB; a flat picture may be received without an error


@dataclass(frozen=True)
class Loss:
    """What a loss is.

    terms: (received, image) -> (B,), what each image adds; their mean makes the loss.
    scale: times which it is minimised: losses of 1e-3 would meet Adam's epsilon.
    geometric: whether the terms are logarithms, so that the loss is the exponential of their mean.
    """

    terms: Callable[[Tensor, Tensor], Tensor]
    scale: float = 1000.0
    geometric: bool = False

    def of_mean(self, mean: Tensor) -> Tensor:
        """The loss of a batch from the mean of its terms, wherever they were computed."""
        return mean.exp() if self.geometric else mean


def log_squared_error(received: Tensor, image: Tensor) -> Tensor:
    """Logarithm of the mean squared error of each image, (B,)."""
    return torch.log((received - image).square().mean(dim=(1, 2, 3)) + LEAST_MSE)


def dissimilarity(received: Tensor, image: Tensor) -> Tensor:
    """1 − MS-SSIM of each image, (B,)."""
    return 1 - ms_ssim(received, image)


# The scales bring either loss to about 100.
MSE = Loss(log_squared_error, scale=255.0**2, geometric=True)
MS_SSIM = Loss(dissimilarity)


@cache
def make_loss(name: str) -> Loss:
    """The loss of a name.

    Args:
        name: "mse", "ms-ssim", that of a package, or "file.py:Name:key=value": a function of
            (received, image), or a class that makes one, such as an `nn.Module`.

    Raises:
        InputError: there is none, or it is no loss.
    """
    thing = LOSSES.find(name)
    if isinstance(thing, Loss):
        return thing
    settings = parse(name).settings
    function = thing
    if inspect.isclass(thing):
        function = LOSSES.make(name)
    elif settings:
        function = functools.partial(thing, **settings)
    if isinstance(function, nn.Module):
        function = _Fixed(function)
    if not callable(function):
        raise InputError(f"loss {name}: is no function of (received, image)")
    _check(name, function)
    return Loss(function)


class _Fixed:
    """A network in a loss, which does not learn, where the pictures are."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval().requires_grad_(False)

    def __call__(self, received: Tensor, image: Tensor) -> Tensor:
        terms: Tensor = self.network.to(received.device)(received, image)
        return terms


def _check(name: str, function: Callable[[Tensor, Tensor], Any]) -> None:
    """Try a loss of one's own.

    Raises:
        InputError: it is none.
    """
    generator = torch.Generator().manual_seed(0)
    image, received = torch.rand(2, 2, 3, TRIAL, TRIAL, generator=generator)
    received.requires_grad_()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            terms: Any = function(received, image)
    except Exception as error:  # whatever a stranger's function raises
        raise InputError(f"loss {name}: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(terms, Tensor) or terms.shape != (2,):
        told = tuple(terms.shape) if isinstance(terms, Tensor) else type(terms).__name__
        raise InputError(f"loss {name}: must return a value for each image, (B,), not {told}")
    if not terms.requires_grad:
        raise InputError(f"loss {name}: has no gradient with respect to what is received")
    if not bool((terms >= 0).all()):  # NaN too
        raise InputError(f"loss {name}: must be at least 0, and 0 where the images are equal")


def image_terms(name: str, received: Tensor, image: Tensor) -> Tensor:
    """What each image adds to the loss, (B,): the mean of all makes it, see `Loss.of_mean`.

    Args:
        name: as for `make_loss`.
        received: (B, 3, H, W), not clamped.
        image: (B, 3, H, W) in [0, 1].
    """
    return make_loss(name).terms(received, image)


def loss_of(name: str, received: Tensor, image: Tensor) -> Tensor:
    """The loss of a batch, before its scale; −10·log10 of it is what the log shows in dB.

    "mse" is the geometric mean of the images' MSE, so that the mean PSNR, which is what results
    report, is maximised, and no SNR, rate or picture drowns the others. "ms-ssim" is 1 − its mean,
    the published objective.

    Args:
        name: as for `make_loss`.
        received: (B, 3, H, W), not clamped.
        image: (B, 3, H, W) in [0, 1].
    """
    loss = make_loss(name)
    return loss.of_mean(loss.terms(received, image).mean())


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
