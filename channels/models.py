"""The channels: AWGN, and flat Rayleigh and Rician fading, fast or block."""

import math

import torch
from torch import Tensor

from channels.base import Channel, complex_normal


class AWGN(Channel):
    """Additive white Gaussian noise: y = x + n, h = 1.

    Source: Proakis & Salehi, Digital Communications, 5th ed., chapter 4.
    """

    fading = False


class Rayleigh(Channel):
    """Flat Rayleigh fading: y = h x + n, h ~ CN(0, 1), so |h|^2 ~ Exp(1).

    Source: Tse & Viswanath, Fundamentals of Wireless Communication, section 2.4.2.
    """

    fading = True

    def __init__(self, coherence: int | None = 1) -> None:
        """Make the channel.

        Args:
            coherence: Consecutive symbols that share one independent gain: 1 is fast fading, k is
                block fading (the last block of an image may be short), None is one gain for an
                image.

        Raises:
            ValueError: coherence is neither a positive integer nor None.
        """
        super().__init__()
        whole = isinstance(coherence, int) and not isinstance(coherence, bool)
        if coherence is not None and not (whole and coherence >= 1):
            raise ValueError(
                "coherence must be a positive whole number of symbols, or None for one gain an "
                f"image, got {coherence!r}"
            )
        self.coherence = coherence

    def sample_gain(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw h, (B, N), or (B, 1) when there is one gain an image."""
        blocks = 1 if self.coherence is None else math.ceil(n / self.coherence)
        h = complex_normal((batch, blocks), dtype=dtype, device=device, generator=generator)
        if self.coherence is None or self.coherence == 1:
            return h
        return h.repeat_interleave(self.coherence, dim=1)[:, :n]

    def extra_repr(self) -> str:
        """Show the parameters in the module's repr."""
        return f"coherence={self.coherence}"


class Rician(Rayleigh):
    """Flat Rician fading: a line-of-sight path of phase 0 and power K/(K+1), and scatter.

    h = sqrt(K / (K + 1)) + sqrt(1 / (K + 1)) w,  w ~ CN(0, 1),  K = 10^(k_factor_db / 10).

    The constant phase is no restriction under perfect CSI, which removes it.

    Source: Tse & Viswanath, Fundamentals of Wireless Communication, section 2.4.2.
    """

    def __init__(self, k_factor_db: float = 6.0, coherence: int | None = 1) -> None:
        """Make the channel.

        Args:
            k_factor_db: Power of the line of sight over that of the scatter, dB, -100 to 100.
            coherence: As in `Rayleigh`; the scatter is what changes from block to block.

        Raises:
            ValueError: k_factor_db is out of range, or coherence is not valid.
        """
        super().__init__(coherence)
        if not -100.0 <= k_factor_db <= 100.0:
            raise ValueError(f"k_factor_db must be from -100 to 100 dB, got {k_factor_db!r}")
        self.k_factor_db = float(k_factor_db)

    def sample_gain(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw h, (B, N), or (B, 1) when there is one gain an image."""
        k = 10.0 ** (self.k_factor_db / 10)
        scatter = super().sample_gain(batch, n, dtype=dtype, device=device, generator=generator)
        return math.sqrt(k / (k + 1)) + math.sqrt(1 / (k + 1)) * scatter

    def extra_repr(self) -> str:
        """Show the parameters in the module's repr."""
        return f"k_factor_db={self.k_factor_db:g}, {super().extra_repr()}"
