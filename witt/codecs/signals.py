"""What passes between the picture and the channel, and back."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.bandwidth_expansion import EncoderOutput


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
