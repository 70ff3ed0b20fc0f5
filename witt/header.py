"""What the receiver is told beside the symbols, and what that costs.

All that the receiver is told is in the header, each entry with what it costs:

| entry | held as | bits |
|---|---|---|
| height, width | whole numbers | 16 each |
| rate | whole number from 1, the codec's own (ours: half of the feature channels) | 8 |
| SNR | dB, fixed point, steps of 1/256 dB from -128 | 16 |
| what a codec adds (`SideInformation`), by name | | it says so: bits here or channel uses |
| · "scale": the power scale, where the receiver undoes it | float16 | 16 |
| · "class map": class of each token, of classified codes | among the symbols | 0 |
| · "mask": which feature channels are sent, of SwinJSCC | bool | log2 of how many there could be |

The transmitter rounds to what these hold before it works anything out from them, so that both ends
work from the same values. `Codec.forward` takes the header as received without error; where it is
sent, `witt.side_information` makes symbols of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from witt.errors import InputError

LONGEST_SIDE = 2**16 - 1
MOST_RATES = 2**8
SNR_STEPS = 256  # in a dB
SNR_LOWEST_DB, SNR_HIGHEST_DB = -128.0, 128.0 - 1 / SNR_STEPS
BITS = {"height": 16, "width": 16, "rate": 8, "snr": 16}
SCALE_BITS = 16
RANGE_TOLERANCE = 1e-3  # of pictures in [0, 1], which resampling in floats may leave a little


class SideInformation(NamedTuple):
    """Something else that the receiver is told of each picture.

    value: (B, …).
    bits: that it takes in the header of one picture.
    symbols: channel uses that it takes among those sent, a number or (B,).
    """

    value: Tensor
    bits: int = 0
    symbols: Tensor | int = 0


@dataclass(frozen=True, eq=False)
class Header:
    """All that a receiver knows of a batch of pictures before it looks at the symbols.

    size: (height, width) of the pictures.
    rate: the codec's own number for how much it sends.
    snr_db: (B,) nominal SNR, by which both ends plan; see `rounded_snr`.
    side: what else the codec tells, by name.
    side_uses: (B,) where side information is coded, how many of the channel uses of `rate` it
        takes, at their end; 0 where it comes on top of them. None: it is taken as received, and
        `side` says what that costs.
    """

    size: tuple[int, int]
    rate: int
    snr_db: Tensor
    side: dict[str, SideInformation] = field(default_factory=dict)
    side_uses: Tensor | None = None

    @classmethod
    def of(
        cls, image: Tensor, snr_db: float | Tensor, rate: int = 1, **side: SideInformation
    ) -> Header:
        """The header of pictures (B, 3, H, W), with the SNR as it is held.

        Raises:
            InputError: these are no pictures, or the header does not hold their size, rate or SNR.
        """
        check_images(image)
        size = (image.shape[2], image.shape[3])
        check_size(size)
        if not 1 <= rate <= MOST_RATES:
            raise InputError(f"the rate in a header is from 1 to {MOST_RATES}, not {rate}")
        return cls(size, rate, nominal_snr(snr_db, image), side)

    @property
    def bits(self) -> int:
        """Of one picture, without what is among the symbols."""
        return sum(BITS.values()) + sum(entry.bits for entry in self.side.values())

    def get(self, name: str) -> Tensor | None:
        """The value of an entry that the codec added, None where it has none of this name."""
        entry = self.side.get(name)
        return None if entry is None else entry.value

    def copied(self) -> Header:
        """The same with tensors of its own, that no inference mode has made."""
        side = {n: e._replace(value=e.value.clone()) for n, e in self.side.items()}
        uses = None if self.side_uses is None else self.side_uses.clone()
        return replace(self, snr_db=self.snr_db.clone(), side=side, side_uses=uses)

    def with_side(self, name: str, entry: SideInformation) -> Header:
        """With one entry more, or another in its place."""
        return replace(self, side={**self.side, name: entry})

    def with_side_uses(self, uses: Tensor) -> Header:
        """With coded side information that takes so many channel uses of each picture."""
        return replace(self, side_uses=uses)


def check_images(image: Tensor) -> None:
    """Refuse what is no batch of pictures in [0, 1].

    Raises:
        InputError: another shape or type, or values outside [0, 1].
    """
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        raise InputError(f"images must be (B, 3, H, W), not {tuple(image.shape)}")
    if not image.is_floating_point():
        raise InputError(f"images must be floating point in [0, 1], not {image.dtype}")
    low, high = (float(bound) for bound in image.detach().aminmax())
    if not -RANGE_TOLERANCE <= low <= high <= 1 + RANGE_TOLERANCE:  # NaN too
        raise InputError(
            f"images must lie in [0, 1], not from {low:g} to {high:g}: divide levels of 0 to 255 "
            "by 255"
        )


def rounded_snr(snr_db: Tensor) -> Tensor:
    """The SNR (dB) as the header holds it, rounded to 1/256 dB."""
    return torch.round(snr_db * SNR_STEPS) / SNR_STEPS


def nominal_snr(snr_db: float | Tensor, like: Tensor) -> Tensor:
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
