"""The channels: AWGN, and flat Rayleigh and Rician fading, fast or block, known or estimated."""

import math

import torch
from torch import Tensor

from channels.base import Channel, ChannelOutput, check_symbols, complex_normal


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


class Estimated(Rayleigh):
    """Rayleigh fading whose gain the receiver knows with an error of stated variance v.

    h_hat = (1 - v) h + sqrt(v (1 - v)) w,  w ~ CN(0, 1), so that E|h - h_hat|^2 = v and the error
    is uncorrelated with h_hat, as that of an LMMSE estimate is. To the receiver it is noise:
    noise_var is N0 + v.

    Source: Hassibi & Hochwald, "How much training is needed in multiple-antenna wireless links?",
    IEEE Trans. Inf. Theory 49(4), 2003, section II.
    """

    draws_state = True

    def __init__(self, error_var: float = 0.01, coherence: int | None = 1) -> None:
        """Make the channel.

        Args:
            error_var: v, 0 to 1.
            coherence: As in `Rayleigh`; the error is one for each gain.

        Raises:
            ValueError: error_var is out of range, or coherence is not valid.
        """
        super().__init__(coherence)
        if not 0 <= error_var <= 1:
            raise ValueError(f"error_var must be from 0 to 1, got {error_var!r}")
        self.error_var = float(error_var)

    def draw(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Draw h and w of each symbol in turn, (B, 2 N), and the noise."""
        h, noise = super().draw(batch, n, dtype=dtype, device=device, generator=generator)
        w = self.sample_gain(batch, n, dtype=dtype, device=device, generator=generator)
        both = torch.stack([gain.expand(batch, n) for gain in (h, w) if gain is not None], dim=2)
        return both.flatten(1), noise

    def forward(
        self,
        x: Tensor,
        snr_db: float | Tensor,
        *,
        h: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> ChannelOutput:
        """As `Channel.forward`; h is what `draw` returns, and in the output the estimate."""
        check_symbols(x)
        batch, n = x.shape
        if h is None or noise is None:
            drawn = self.draw(batch, n, dtype=x.dtype, device=x.device, generator=generator)
            h = drawn[0] if h is None else h
            noise = drawn[1] if noise is None else noise
        if h is None or h.shape[0] != batch or h.shape[1] < 2 * n:
            raise ValueError(f"h must be what draw returns for {n} symbols of {batch} images")
        gain, w = h[:, : 2 * n].to(device=x.device, dtype=x.dtype).unflatten(1, (n, 2)).unbind(2)
        out = super().forward(x, snr_db, h=gain, noise=noise)
        v = self.error_var
        estimate = (1 - v) * gain + math.sqrt(v * (1 - v)) * w
        return ChannelOutput(out.y, estimate, out.noise_var + v)

    def planned_db(self, snr_db: float | Tensor) -> float | Tensor:
        """(1 - v) / (N0 + v), in dB."""
        if not self.error_var:
            return snr_db
        level = torch.as_tensor(snr_db, dtype=torch.float64)
        left = (1 - self.error_var) / (10 ** (-level / 10) + self.error_var)
        planned = 10 * torch.log10(left.clamp_min(1e-10))
        return planned.to(snr_db) if isinstance(snr_db, Tensor) else float(planned)

    def extra_repr(self) -> str:
        """Show the parameters in the module's repr."""
        return f"error_var={self.error_var:g}, {super().extra_repr()}"
