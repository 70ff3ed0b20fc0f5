"""Smooth features over the tokens of a picture: their spatial spectrum, and filters from it.

The lowest features of a block code (its means, above all) are alike in neighbouring tokens: most
of their power lies at low spatial frequencies. A linear transmitter that sends each frequency
with a gain λ^(−1/4), as it does with the components of a block, needs much less power for them
(Lee & Petersen 1976; SoftCast, Jakubczak & Katabi 2011, transforms whole frames for this reason).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Nodes between which a spectrum is interpolated: log2 of a radial frequency in cycles a token.
# The lowest is half a cycle over 64 tokens; sampling ends at 2^(−1/2), on the diagonal.
OCTAVES = tuple(range(-7, 1))


def dct_matrix(n: int, like: Tensor) -> Tensor:
    """Orthonormal DCT-II (n, n): frequencies by samples."""
    steps = torch.arange(n, dtype=like.dtype, device=like.device)
    matrix = torch.cos(math.pi / n * steps[:, None] * (steps + 0.5)) * math.sqrt(2 / n)
    matrix[0] *= math.sqrt(0.5)
    return matrix


def dct(x: Tensor) -> Tensor:
    """Orthonormal two-dimensional DCT-II over the tokens of ``(B, h, w, C)``."""
    return _both_ways(dct_matrix(x.shape[1], x), dct_matrix(x.shape[2], x), x)


def inverse_dct(x: Tensor) -> Tensor:
    """Inverse of `dct`."""
    return _both_ways(dct_matrix(x.shape[1], x).T, dct_matrix(x.shape[2], x).T, x)


def energy_in_tokens(variance: Tensor) -> Tensor:
    """Where the energy of independent waves is: (B, h, w), which sums to that of all of them.

    Args:
        variance: (B, h, w, C) of each spatial frequency of C maps, as `dct` has them.
    """
    rows, columns = (dct_matrix(n, variance).square().T for n in variance.shape[1:3])
    return _both_ways(rows, columns, variance).sum(-1)


def _both_ways(rows: Tensor, columns: Tensor, x: Tensor) -> Tensor:
    """A matrix over the rows of a map, another over its columns.

    One after the other: a single einsum may multiply the matrices first, which is a tensor of
    h²·w² numbers, gigabytes for a large picture.
    """
    return torch.einsum("vw,buwc->buvc", columns, torch.einsum("uh,bhwc->buwc", rows, x))


def interpolation_weights(height: int, width: int, like: Tensor) -> Tensor:
    """(h, w, nodes) weights of the interpolation at each frequency of a map; they sum to 1.

    The radial frequency is that of the bin's corner half a bin in, so that the mean of the map
    stands for the frequencies below the first, as few as they are on a large map.
    """
    axes = [
        (torch.arange(n, dtype=like.dtype, device=like.device).square() + 0.25) / (2 * n) ** 2
        for n in (height, width)
    ]
    octave = torch.log2(axes[0][:, None] + axes[1]) / 2
    position = (octave - OCTAVES[0]).clamp(0, len(OCTAVES) - 1)
    nodes = torch.arange(len(OCTAVES), dtype=like.dtype, device=like.device)
    return (1 - (position[..., None] - nodes).abs()).clamp_min(0)
