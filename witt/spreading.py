"""Spreading of a token's features over its symbols by a unitary DFT.

Over a fast-fading channel each symbol has its own gain. A feature sent on one symbol is lost in a
fade; spread over all symbols of its token, every feature sees their average. On AWGN a unitary
transform changes nothing. Known as DFT spreading (SC-FDMA) or, with other unitary matrices, as
signal-space diversity (Boutros & Viterbo, IEEE Trans. Inf. Theory 44(4), 1998).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.fft import fft, ifft
from torch.nn import functional as F


def spread(pairs: Tensor, uses: Tensor | None = None) -> Tensor:
    """Unitary DFT of each token's symbols.

    Args:
        pairs: (B, tokens, n) complex, features 2j and 2j + 1 as I and Q.
        uses: (B,) symbols that a token of each image sends, the others being zero; None for all.

    Returns:
        (B, tokens, n).
    """
    return _each_rate(fft, pairs, uses)


def despread(symbols: Tensor, uses: Tensor | None = None) -> Tensor:
    """Inverse of `spread`."""
    return _each_rate(ifft, symbols, uses)


def despread_error(error: Tensor, uses: Tensor | None = None) -> Tensor:
    """Error variance after `despread`: the mean over the symbols that a token sends.

    Args:
        error: (B, tokens, n) real, error variance of each symbol.
        uses: as in `spread`; what stands past them is not looked at.

    Returns:
        (B, tokens, n), the same for all symbols of a token.
    """
    if uses is None:
        return error.mean(-1, keepdim=True).expand(error.shape)
    sent = torch.arange(error.shape[-1], device=error.device) < uses[:, None]
    total = (error * sent[:, None]).sum(-1, keepdim=True)
    return (total / uses[:, None, None]).expand(error.shape)


def _each_rate(transform: Callable[..., Tensor], values: Tensor, uses: Tensor | None) -> Tensor:
    if uses is None:
        return transform(values, norm="ortho")
    result = torch.zeros_like(values)
    for n in uses.unique().tolist():
        chosen = (uses == n).nonzero().squeeze(1)
        part = transform(values[chosen, :, :n], norm="ortho")
        result = result.index_copy(0, chosen, F.pad(part, (0, values.shape[-1] - n)))
    return result
