"""What passes between the picture and the channel, and back."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.bandwidth_expansion import EncoderOutput
from witt.codecs.header import Header


class Encoded(NamedTuple):
    """What is sent of pictures.

    symbols: (B, N) complex, unit mean power for each image; within 0.1 % (0.004 dB) where the
        power is undone before the network, since the transmitter then scales by what the header
        holds, so that the receiver undoes exactly that.
    header: what the receiver is told beside them.
    """

    symbols: Tensor
    header: Header


class Sending(NamedTuple):
    """What the transmitter makes of pictures, before the power is normalised.

    symbols: (B, N, 2) I and Q.
    uses: (B,) int64, of them that are sent.
    encoder_output: of a model with classes, what the symbols were made from.
    """

    symbols: Tensor
    uses: Tensor
    encoder_output: EncoderOutput | None = None

    @property
    def allocation(self) -> PictureAllocation | None:
        """Of a model with classes."""
        return None if self.encoder_output is None else self.encoder_output.allocation


class Transmission(NamedTuple):
    """What `WITT.forward` returns.

    image: (B, 3, H, W) reconstruction, not clamped.
    symbols: (B, N) sent.
    received: (B, N) after the equaliser, or straight from the channel where there is none.
    cbr: channel uses over 3·H·W of the original image, counted from what was sent.
    header_bits: side information for each image, in bits, not among the channel uses.
    """

    image: Tensor
    symbols: Tensor
    received: Tensor
    cbr: float
    header_bits: int
