"""Whether received symbols and their error variances are what a decoder expects."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from witt.errors import InputError

DEVIATIONS = 6  # standard deviations beyond which the mean power of the noise is no chance


def check_received(
    symbols: Tensor, noise_var: Tensor | None, snr_db: Tensor, *, uses_error: bool
) -> None:
    """Refuse symbols that would be decoded wrongly, as far as numbers can tell.

    Pictures are sent at unit power. So an AWGN channel delivers a mean power of 1 + N0, and the
    MMSE equaliser, whose error variance e is at most 1, one of 1 − e on average.

    Args:
        symbols: (B, N) complex.
        noise_var: as given to `WITT.decode`.
        snr_db: (B,) nominal SNR.
        uses_error: whether the decoder looks at `noise_var`.

    Raises:
        InputError: not finite, error variances that no MMSE equaliser leaves, or symbols that have
            been equalised without them.
    """
    if not torch.isfinite(torch.view_as_real(symbols)).all():
        raise InputError("received symbols must be finite: some are NaN or infinite")
    power = symbols.detach().abs().square().mean(1)
    if noise_var is None:
        n0 = 10 ** (-snr_db / 10)
        chance = DEVIATIONS * _deviation(n0, symbols.shape[1])
        if uses_error and (power < 1 - chance).any():
            raise InputError(
                f"these symbols have a mean power of {float(power.min()):.3g}, less than was sent, "
                "so they do not come straight from an AWGN channel: hand over the error variances "
                "of the equaliser too, decode(x_hat, header, noise_var)"
            )
        return
    e = noise_var.detach()
    if not ((e >= 0) & (e <= 1 + 1e-6)).all():  # NaN too
        raise InputError(
            f"noise_var must be the error variance that an MMSE equaliser leaves, from 0 to 1, not "
            f"{float(e.min()):.3g} to {float(e.max()):.3g}: equalise by channels.mmse, which has "
            "what zero forcing knows"
        )
    alike = e.expand(symbols.shape).amin(1)
    if not torch.equal(alike, e.expand(symbols.shape).amax(1)):
        return
    chance = DEVIATIONS * _deviation(alike, symbols.shape[1])
    if uses_error and (power > 1 + alike / 2 + chance).any():
        warnings.warn(
            f"these symbols have a mean power of {float(power.max()):.3g}, and noise_var says "
            f"{float(1 - alike.max()):.3g}: either they are not after the MMSE equaliser, or the "
            "channel is worse than the receiver believes",
            stacklevel=3,
        )


def unbiased(symbols: Tensor, noise_var: Tensor, lowest_db: float) -> Tensor:
    """Symbols without the MMSE equaliser's bias, of pictures that met one gain throughout.

    All their symbols have the same error variance e: y / h is x + noise, as from an AWGN channel of
    the SNR (1 − e) / e, which networks that do not look at e have learnt. x_hat is (1 − e) times
    that. Where the gain differs from symbol to symbol they have learnt x_hat.

    Args:
        symbols: (B, N) after the equaliser.
        noise_var: (B, N) or broadcastable to it, e of each.
        lowest_db: SNR below which the noise is not blown up further.
    """
    e = noise_var.expand(symbols.shape)
    low, high = e.amin(1, keepdim=True), e.amax(1, keepdim=True)
    most = 1 / (1 + 10 ** (lowest_db / 10))
    return torch.where(low == high, symbols / (1 - high.clamp(max=most)), symbols)


def _deviation(noise_var: Tensor, n: int) -> Tensor:
    """Standard deviation of the mean power of `n` symbols of unit mean power and noise."""
    return ((2 * noise_var + noise_var.square()) / n).sqrt()
