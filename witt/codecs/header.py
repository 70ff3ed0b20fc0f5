"""What the receiver is told beside the symbols, and what that costs.

| entry | held as | bits |
|---|---|---|
| height, width | whole numbers | 16 each |
| feature channels | half of an even number | 8 |
| SNR | dB, fixed point, steps of 1/256 dB from -128 | 16 |
| power scale, of models that say `sends_scale` | float16 | 16 |
| class map, of models with classes | symbols among those sent | see `WITT.encode` |

The transmitter rounds to what these hold before it works anything out from them, so that both ends
work from the same values. Like the symbols of the class map the header is taken as received without
error.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from witt.errors import InputError

LONGEST_SIDE = 2**16 - 1
SNR_STEPS = 256  # in a dB
SNR_LOWEST_DB, SNR_HIGHEST_DB = -128.0, 128.0 - 1 / SNR_STEPS
BITS = {"height": 16, "width": 16, "feature channels": 8, "snr": 16}
SCALE_BITS = 16


class Header(NamedTuple):
    """All that a receiver knows of a batch of pictures before it looks at the symbols.

    size: (height, width) of the pictures.
    feature_channels: real features that a token sends (on average, of a model with classes).
    snr_db: (B,) nominal SNR, by which both ends plan; see `rounded_snr`.
    scale: (B, 1) what the features were multiplied by to get unit power; None of a model that
        does not send it.
    classes: (B, h, w) class of each token; None of a model without classes. The symbols have room
        for it.
    """

    size: tuple[int, int]
    feature_channels: int
    snr_db: Tensor
    scale: Tensor | None = None
    classes: Tensor | None = None

    @property
    def bits(self) -> int:
        """Of one picture, without its class map, which is among the symbols."""
        return header_bits(self.scale is not None)


def header_bits(sends_scale: bool) -> int:
    """Bits of the header of one picture."""
    return sum(BITS.values()) + (SCALE_BITS if sends_scale else 0)


def rounded_snr(snr_db: Tensor) -> Tensor:
    """The SNR (dB) as the header holds it, rounded to 1/256 dB."""
    return torch.round(snr_db * SNR_STEPS) / SNR_STEPS


def told_snr(snr_db: float | Tensor, like: Tensor) -> Tensor:
    """The SNRs of a batch as the header holds them, (B,) dB.

    Args:
        snr_db: a number or one for each image.
        like: (B, …) the batch, real or complex.

    Raises:
        InputError: not finite, of another shape, or more than the header holds.
    """
    real = like.real
    try:
        snr = torch.as_tensor(snr_db, dtype=real.dtype, device=real.device)
    except (TypeError, ValueError) as error:
        raise InputError(f"SNR must be a finite number of dB, not {snr_db!r}") from error
    if snr.shape not in ((), (len(real),)):
        raise InputError(
            f"snr_db must be a number or one for each of the {len(real)} images, "
            f"not of shape {tuple(snr.shape)}"
        )
    if not torch.isfinite(snr).all():
        raise InputError(f"SNR must be a finite number of dB, not {snr_db}")
    if not ((snr >= SNR_LOWEST_DB) & (snr <= SNR_HIGHEST_DB)).all():
        raise InputError(
            f"SNR must be from {SNR_LOWEST_DB:g} to {SNR_HIGHEST_DB:.4g} dB, which the header "
            f"holds, not {snr_db}"
        )
    return rounded_snr(snr).expand(len(real))


def rounded_scale(scale: Tensor) -> Tensor:
    """The power scale as the header holds it."""
    return scale.clamp(max=torch.finfo(torch.float16).max).half().to(scale.dtype)


def check_size(size: tuple[int, int]) -> None:
    """Refuse a (height, width) that the header cannot hold.

    Raises:
        InputError: a side is too long.
    """
    if max(size) > LONGEST_SIDE:
        raise InputError(
            f"a picture of {size[1]}x{size[0]} pixels is too large: the header holds sides of up "
            f"to {LONGEST_SIDE} pixels"
        )
