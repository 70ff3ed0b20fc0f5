"""Unitary (DFT) precoding: over a fading channel each feature sees the average of some symbols.

Over a fast-fading channel each symbol has its own gain. A feature sent on one symbol is lost in a
fade; precoded over several, every feature sees their average. On AWGN a unitary transform changes
nothing. Known as DFT spreading (SC-FDMA) or, with other unitary matrices, as signal-space
diversity (Boutros & Viterbo, IEEE Trans. Inf. Theory 44(4), 1998).
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor


def dft_matrix(n: int, like: Tensor) -> Tensor:
    """Real (2n, 2n) orthogonal M with x @ M the unitary DFT of n symbols (I₀, Q₀, I₁, Q₁, …).

    In real numbers, since ONNX knows no complex ones; its inverse is its transpose.
    """
    return _dft_matrix(n, like.dtype, like.device)


@cache
@torch.inference_mode(False)  # it may be wanted in training later
def _dft_matrix(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    phase = torch.outer(torch.arange(n), torch.arange(n)).double() % n
    angle = 2 * math.pi / n * phase
    cos, sin = angle.cos() / math.sqrt(n), angle.sin() / math.sqrt(n)
    rows = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), 1)
    return rows.reshape(2 * n, 2 * n).to(device, dtype)
