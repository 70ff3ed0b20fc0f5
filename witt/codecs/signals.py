"""What passes between the picture and the channel, and back."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from witt.codecs.classified.code import Plan
from witt.codecs.classified.winding import Shaped


class Sending(NamedTuple):
    """What the transmitter makes of pictures, before the power is normalised.

    symbols: (B, N, 2) I and Q.
    uses: (B,) int64, of them that are sent.
    shaped: of a model with classes, what the symbols were made from.
    """

    symbols: Tensor
    uses: Tensor
    shaped: Shaped | None = None

    @property
    def plan(self) -> Plan | None:
        """Of a model with classes."""
        return None if self.shaped is None else self.shaped.plan
