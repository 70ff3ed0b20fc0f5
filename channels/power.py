"""Transmit power, normalised for each image by itself."""

from typing import NamedTuple

import torch
from torch import Tensor

from channels.base import check_symbols


class Normalised(NamedTuple):
    """Symbols of unit mean power, and what they were multiplied by.

    Attributes:
        x: Normalised symbols, (B, N) complex.
        scale: Factor of each image, (B, 1) real; `x / scale` undoes it.
    """

    x: Tensor
    scale: Tensor


def normalise_power(x: Tensor, uses: Tensor | None = None) -> Normalised:
    """Scale each image to a mean power of 1 over its channel uses.

    scale = sqrt(uses / sum_n |x_n|^2), and x is multiplied by it. An image of zeros stays zeros
    (its scale is sqrt(uses)). Differentiable, the scale included.

    Args:
        x: Symbols, (B, N) complex64 or complex128.
        uses: Channel uses of each image, (B,), 1 to N; the symbols that are not sent must be
            exactly 0. None means that all N are sent.

    Returns:
        Normalised(x, scale).

    Raises:
        ValueError: x is not a complex (B, N) tensor, or uses is of another shape or range.
    """
    check_symbols(x)
    batch, n = x.shape
    iq = torch.view_as_real(x)
    if uses is None:
        count = iq.new_full((batch, 1), n)
    else:
        if uses.shape != (batch,) or uses.is_complex():
            raise ValueError(
                f"uses must be a real tensor of shape ({batch},), one for each image, "
                f"got {tuple(uses.shape)} {uses.dtype}"
            )
        # On an accelerator the check would make the host wait for the device.
        if uses.device.type == "cpu" and not bool(((uses >= 1) & (uses <= n)).all()):
            raise ValueError(f"uses must be from 1 to {n} (the symbols), got {uses.tolist()}")
        count = uses.to(device=x.device, dtype=iq.dtype).unsqueeze(1)
    # Squares of very small or large symbols leave float32; relative to the peak they cannot. The
    # result does not depend on the peak, so no gradient is lost by detaching it.
    peak = iq.detach().abs().amax(dim=(1, 2)).unsqueeze(1)
    peak = torch.where(peak > torch.finfo(iq.dtype).tiny, peak, torch.ones_like(peak))
    energy = (iq / peak.unsqueeze(2)).square().sum(dim=(1, 2)).unsqueeze(1)
    energy = torch.where(energy > 0, energy, torch.ones_like(energy))
    scale = torch.sqrt(count / energy) / peak
    return Normalised(x * scale, scale)


def papr_db(x: Tensor) -> Tensor:
    """Peak power of each row of samples over its mean power, dB.

    Args:
        x: samples or symbols, (…, N) complex.

    Returns:
        (…) real; NaN where all are zero.
    """
    power = x.real.square() + x.imag.square()
    return 10 * torch.log10(power.amax(-1) / power.mean(-1))
