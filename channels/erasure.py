"""Block erasures: a run of symbols arrives whole or not at all, and the receiver knows which."""

import math

import torch
from torch import Tensor

from channels.base import Channel


class Erasure(Channel):
    """Block erasures: y = h x + n, where h is 0 for a block of symbols that is lost.

    Each block of `length` symbols is lost with probability p, independently of the others; one
    that arrives has h = 1 / sqrt(1 - p), so that E|h|^2 = 1 as with every channel: the SNR is the
    mean over what arrives and what is lost, and a symbol that arrives has 1 / (1 - p) of it. Of a
    lost one `mmse` makes 0, with an error variance of 1.

    Source: Guillén i Fàbregas, "Coding in the block-erasure channel", IEEE Trans. Inf. Theory
    52(11), 2006; with noise on what arrives.
    """

    fading = True

    def __init__(self, p: float = 0.1, length: int = 64) -> None:
        """Make the channel.

        Args:
            p: Probability that a block is lost, from 0 to below 1.
            length: Symbols of a block; the last one of an image may be short.

        Raises:
            ValueError: p is out of range, or length is not a positive whole number.
        """
        super().__init__()
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
            raise ValueError(f"p must be from 0 to below 1, got {p!r}")
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ValueError(f"length must be a positive whole number of symbols, got {length!r}")
        self.p, self.length = float(p), length

    def sample_gain(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw h, (B, N): 0 or 1 / sqrt(1 - p), the same throughout a block."""
        source = generator.device if generator is not None else device
        blocks = math.ceil(n / self.length)
        there = torch.rand((batch, blocks), device=source, generator=generator) >= self.p
        h = there.to(dtype) / math.sqrt(1 - self.p)
        h = h.repeat_interleave(self.length, dim=1)[:, :n]
        return h if device is None else h.to(device)

    def extra_repr(self) -> str:
        """Show the parameters in the module's repr."""
        return f"p={self.p:g}, length={self.length}"
