"""Statistics of picture blocks, from which the linear path starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from witt.errors import InputError
from witt.linear import LinearEncoder
from witt.spectrum import KNOTS, dct, knot_weights
from witt.training.data import mirrored
from witt.training.pictures import Pictures

MOST_PICTURES = 256


def _chosen(pictures: Pictures, rng: np.random.Generator) -> list[int]:
    return [int(index) for index in rng.permutation(len(pictures))[:MOST_PICTURES]]


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
    chosen = _chosen(pictures, rng)
    each = -(-blocks // len(chosen))
    size = 3 * block**2
    total, outer, count = np.zeros(size), np.zeros((size, size)), 0
    for index in chosen:
        try:
            pixels = mirrored(pictures[index], block)
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


@torch.no_grad()
def smooth_spectrum(pictures: Pictures, encoder: LinearEncoder, seed: int) -> Tensor:
    """How the power of the first coefficients is spread over spatial frequencies.

    Args:
        pictures: at most 256 of them are looked at, whole.
        encoder: its analysis gives the coefficients.
        seed: of the choice.

    Returns:
        (knots, smooth) natural logarithm of the power at a frequency over the mean power.

    Raises:
        InputError: none of the pictures can be read.
    """
    m, block = encoder.smooth, encoder.block
    weight, bias = encoder.analysis.weight[:m].cpu(), encoder.analysis.bias[:m].cpu()
    power, weights = torch.zeros(len(KNOTS), m), torch.zeros(len(KNOTS), 1)
    total, count = torch.zeros(m), 0
    for index in _chosen(pictures, np.random.default_rng([seed, 0x5EC7])):
        try:
            pixels = torch.from_numpy(mirrored(pictures[index], block).copy())
        except InputError:
            continue
        height, width = (side // block for side in pixels.shape[:2])
        image = pixels[: height * block, : width * block].permute(2, 0, 1)[None] / 255 - 0.5
        blocks = F.pixel_unshuffle(image, block).permute(0, 2, 3, 1)
        waves = dct(blocks @ weight.T + bias)[0].square()
        near = knot_weights(height, width, waves)
        power += torch.einsum("uvk,uvc->kc", near, waves)
        weights += near.sum(dim=(0, 1))[:, None]
        total, count = total + waves.sum(dim=(0, 1)), count + height * width
    if not count:
        raise InputError("none of the training pictures can be read")
    log = torch.log((power / weights.clamp_min(1e-9)).clamp_min(1e-12) / (total / count))
    for knot in range(len(KNOTS) - 2, -1, -1):  # the lowest take large pictures to be seen
        if weights[knot] < 1e-3:
            log[knot] = log[knot + 1]
    return log
