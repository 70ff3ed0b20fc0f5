"""QPSK and square QAM of 5G NR with Gray labels, and its exact log-likelihood ratios.

3GPP TS 38.211, sections 5.1.3 to 5.1.6. Even bits choose the real part, odd bits the imaginary
one, each by the same rule: for 64QAM (1 - 2 b0) [4 - (1 - 2 b2) [2 - (1 - 2 b4)]] / sqrt(42).
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BITS_PER_SYMBOL = (2, 4, 6, 8)


def map_bits(bits: NDArray[np.uint8], bits_per_symbol: int) -> Tensor:
    """Bits to symbols of unit mean power.

    Args:
        bits: 0 or 1, (B, n), n a multiple of bits_per_symbol.
        bits_per_symbol: One of `BITS_PER_SYMBOL`.

    Returns:
        (B, n / bits_per_symbol) complex64.

    Raises:
        ValueError: There is no such modulation, or n is no multiple of its bits.
    """
    amplitudes = torch.from_numpy(_amplitudes(bits_per_symbol))
    if bits.shape[-1] % bits_per_symbol:
        raise ValueError(f"{bits.shape[-1]} bits are no multiple of {bits_per_symbol} a symbol")
    groups = bits.reshape(bits.shape[0], -1, bits_per_symbol // 2, 2).astype(np.int64)
    weights = 1 << np.arange(bits_per_symbol // 2 - 1, -1, -1)
    labels = torch.from_numpy((groups * weights[:, None]).sum(axis=2))  # (B, symbols, 2)
    return torch.view_as_complex(amplitudes[labels].contiguous())


def llrs(x_hat: Tensor, noise_var: Tensor, bits_per_symbol: int) -> Tensor:
    """log p(bit = 1 | x_hat) / p(bit = 0 | x_hat), exactly, all symbols equally likely.

    A positive value says 1, as in Sionna. x_hat = x + n with n complex Gaussian of variance
    noise_var. The parts of a symbol are independent, so each is compared with the amplitudes
    of one part only. Where noise_var is infinite nothing is known and the ratio is 0.

    Args:
        x_hat: Unbiased estimates of the symbols, (B, N) complex.
        noise_var: Their error variance, real, broadcastable to x_hat.
        bits_per_symbol: One of `BITS_PER_SYMBOL`.

    Returns:
        (B, N · bits_per_symbol) float32, in the order of `map_bits`.

    Raises:
        ValueError: There is no such modulation.
    """
    amplitudes = torch.from_numpy(_amplitudes(bits_per_symbol)).to(x_hat.device)
    parts = torch.view_as_real(x_hat.to(torch.complex64))  # (B, N, 2)
    # 1e-30: no noise at all gives a large number, not 0 / 0.
    noise = noise_var.to(x_hat.device, torch.float32).clamp_min(1e-30)
    noise = noise.expand(x_hat.shape)[..., None]
    bits = bits_per_symbol // 2
    if bits == 1:
        ratios = (parts * (-4 * amplitudes[0]) / noise)[..., None, :]
    else:
        exponents = -(parts[..., None] - amplitudes).square() / noise[..., None]
        ratios = torch.stack(
            [
                torch.logsumexp(exponents[..., one], -1) - torch.logsumexp(exponents[..., ~one], -1)
                for one in torch.from_numpy(_ones(bits)).to(x_hat.device)
            ],
            dim=-2,
        )  # (B, N, bits, 2)
    return ratios.nan_to_num(nan=0.0, posinf=1e30, neginf=-1e30).flatten(1)


@lru_cache
def _amplitudes(bits_per_symbol: int) -> NDArray[np.float32]:
    """The amplitude of a part by the number its bits make, first bit highest."""
    if bits_per_symbol not in BITS_PER_SYMBOL:
        raise ValueError(f"bits_per_symbol must be one of {BITS_PER_SYMBOL}, got {bits_per_symbol}")
    bits = bits_per_symbol // 2
    signs = 1 - 2 * ((np.arange(2**bits)[:, None] >> np.arange(bits - 1, -1, -1)) & 1)
    amplitude = np.ones(2**bits)
    for i in range(bits - 1, 0, -1):
        amplitude = 2 ** (bits - i) - signs[:, i] * amplitude
    amplitude = signs[:, 0] * amplitude
    return (amplitude / np.sqrt(2 * np.mean(amplitude**2))).astype(np.float32)


@lru_cache
def _ones(bits: int) -> NDArray[np.bool_]:
    """Which amplitudes have a one at bit i, (bits, 2^bits)."""
    labels = np.arange(2**bits)
    return np.stack([(labels >> (bits - 1 - i)) & 1 == 1 for i in range(bits)])
