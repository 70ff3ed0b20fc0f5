"""What a codec of features makes of pictures before the power is normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from witt.header import Header


@dataclass(frozen=True)
class UnscaledSymbols:
    """What the transmitter makes of pictures, before the power is normalised.

    symbols: (B, N, 2) I and Q.
    uses: (B,) int64, of them that are sent.
    """

    symbols: Tensor
    uses: Tensor

    @property
    def allocation(self) -> Any:
        """What the receiver works out too before it looks at the symbols; None is nothing."""
        return None

    @property
    def latents(self) -> Tensor:
        """What may be moved to send these pictures better."""
        return self.symbols

    def moved(self, change: Tensor) -> Tensor:
        """The symbols (B, N, 2) after a change of the latents; what is not sent stays 0."""
        place = torch.arange(self.symbols.shape[1], device=self.symbols.device)
        return self.symbols + change * (place < self.uses[:, None])[..., None]

    def detached(self) -> UnscaledSymbols:
        """The same without a past, so that it can take part in a gradient."""
        return UnscaledSymbols(self.symbols.detach().clone(), self.uses.clone())


class Draft(NamedTuple):
    """Pictures on their way to `Encoded`: what is sent of them, before its power is normalised.

    image: (B, 3, H, W) padded to whole tokens.
    header: without the power scale.
    k: (B,) feature channels sent.
    sending: from `transmit`.
    """

    image: Tensor
    header: Header
    k: Tensor
    sending: UnscaledSymbols
