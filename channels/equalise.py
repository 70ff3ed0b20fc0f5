"""One-tap equalisers for a receiver that knows h; each also says how noisy its estimate is."""

from typing import NamedTuple

import torch
from torch import Tensor

from channels.base import Channel, ChannelOutput, broadcasts_to, check_symbols


class Equalised(NamedTuple):
    """Symbols after equalisation.

    Attributes:
        x_hat: Estimate of the sent symbols, (B, N) complex.
        noise_var: Error variance of each symbol given h, (B, N) real.
    """

    x_hat: Tensor
    noise_var: Tensor


def zero_forcing(y: Tensor, h: Tensor, noise_var: Tensor) -> Equalised:
    """Undo the gain: x_hat = y / h, noise_var = N0 / |h|^2.

    Unbiased; the noise grows without bound in a fade. Below |h|^2 = eps^2 (eps of the precision),
    |h|^2 is replaced by it, so values and gradients stay finite at h = 0, where x_hat = 0.

    Args:
        y: Received symbols, (B, N) complex.
        h: Channel gain, broadcastable to y.
        noise_var: N0 per complex symbol, real, broadcastable to y.

    Returns:
        Equalised(x_hat, noise_var), both of y's shape.

    Raises:
        ValueError: y is not a complex (B, N) tensor, or h or noise_var does not fit it.

    Source: Tse & Viswanath, Fundamentals of Wireless Communication, section 8.3.1
    (the decorrelator, for one stream).
    """
    h, noise_var = _fit(y, h, noise_var)
    gain = _power(h).clamp_min(_floor(noise_var))
    return Equalised(y * (h.conj() / gain), (noise_var / gain).expand(y.shape))


def mmse(y: Tensor, h: Tensor, noise_var: Tensor) -> Equalised:
    """Estimate unit-power symbols with the least mean squared error, given h.

    x_hat = h* y / (|h|^2 + N0),  noise_var = E|x_hat - x|^2 = N0 / (|h|^2 + N0) =: e.

    This is the biased linear MMSE estimate, E[x_hat | x] = (1 - e) x: it shrinks to 0 in a fade.
    x_hat / (1 - e) is the zero-forcing one, whose error variance is e / (1 - e). Where
    |h|^2 + N0 < eps^2 (eps of the precision), N0 is raised to make up eps^2, so values and
    gradients stay finite at h = 0 without noise, where x_hat = 0 and e = 1.

    Args:
        y: Received symbols, (B, N) complex.
        h: Channel gain, broadcastable to y.
        noise_var: N0 per complex symbol, real, broadcastable to y.

    Returns:
        Equalised(x_hat, noise_var), both of y's shape.

    Raises:
        ValueError: y is not a complex (B, N) tensor, or h or noise_var does not fit it.

    Source: Tse & Viswanath, Fundamentals of Wireless Communication, appendix A.3.
    """
    h, noise_var = _fit(y, h, noise_var)
    gain = _power(h)
    noise_var = torch.maximum(noise_var, _floor(noise_var) - gain)
    total = gain + noise_var
    return Equalised(y * (h.conj() / total), (noise_var / total).expand(y.shape))


def receive(channel: Channel, output: ChannelOutput) -> tuple[Tensor, Tensor | None]:
    """What a receiver with perfect CSI hands to a decoder.

    Args:
        channel: that the symbols crossed.
        output: what it returned.

    Returns:
        The symbols (B, N) and the error variance of each: those of `mmse` where the channel fades,
        else y as it is and None.
    """
    return mmse(*output) if channel.fading else (output.y, None)


def _fit(y: Tensor, h: Tensor, noise_var: Tensor) -> tuple[Tensor, Tensor]:
    """Check h and N0 against y, and give them its precision and device."""
    check_symbols(y)
    for name, value in (("h", h), ("noise_var", noise_var)):
        if not broadcasts_to(value, y):
            raise ValueError(
                f"{name} must be broadcastable to y {tuple(y.shape)}, got {tuple(value.shape)}"
            )
    if noise_var.is_complex():
        raise ValueError(f"noise_var must be real, got {noise_var.dtype}")
    return h.to(y.device, y.dtype), noise_var.to(y.device, y.real.dtype)


def _power(h: Tensor) -> Tensor:
    return h.real.square() + h.imag.square()


def _floor(real: Tensor) -> float:
    # The square leaves room for 1 / |h|^4 in the gradients; Rayleigh is below it 1.4e-14 of the
    # time in float32.
    return torch.finfo(real.dtype).eps ** 2
