"""Statistics of picture blocks, from which the linear path starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from witt.errors import InputError
from witt.training.data import mirrored
from witt.training.pictures import Pictures

MOST_PICTURES = 256


def block_statistics(
    pictures: Pictures, block: int, seed: int, blocks: int = 200_000
) -> tuple[Tensor, Tensor]:
    """Covariance (D, D) and mean (D,) of random blocks, D = 3·block², pixels less 0.5.

    The order of a block's entries is that of `torch.nn.functional.pixel_unshuffle`.

    Args:
        pictures: what the blocks are cut from; at most 256 of them are looked at.
        block: side of a block in pixels.
        seed: of the choice of pictures and places.
        blocks: how many blocks, about; fewer of small pictures.

    Raises:
        InputError: none of the pictures can be read.
    """
    rng = np.random.default_rng([seed, 0xB10C])
    chosen = rng.permutation(len(pictures))[:MOST_PICTURES]
    each = -(-blocks // len(chosen))
    size = 3 * block**2
    total, outer, count = np.zeros(size), np.zeros((size, size)), 0
    for index in chosen:
        try:
            pixels = mirrored(pictures[int(index)], block)
        except InputError:  # the training stream names it when its turn comes
            continue
        height, width = (side - block + 1 for side in pixels.shape[:2])
        here = min(each, height * width)  # more would be the same blocks again
        tops, lefts = rng.integers(height, size=here), rng.integers(width, size=here)
        axes: Any = (0, 1)  # the stubs of numpy 1 know one axis only
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (block, block), axis=axes)
        rows = windows[tops, lefts].reshape(here, size).astype(np.float32) / 255 - 0.5
        total += rows.sum(0, dtype=np.float64)
        outer += rows.T @ rows
        count += here
    if not count:
        raise InputError("none of the training pictures can be read")
    mean = total / count
    covariance = outer / count - np.outer(mean, mean)
    return torch.from_numpy(covariance).float(), torch.from_numpy(mean).float()
