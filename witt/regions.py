"""Where the channel uses of a picture went, and how large an error the receiver expects there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SIDE, SMALL_SIDE, SMALL = 16, 4, 128  # regions of a picture whose sides are all below SMALL


class Regions(NamedTuple):
    """Maps of a batch of pictures, pixel by pixel.

    uses: (B, H, W) channel uses a pixel. Over a picture they sum to all that was sent of it: what
        serves the whole picture, as side information does, is spread evenly.
    mse: (B, H, W) squared error that the receiver expects of a value in [0, 1], the mean of the
        three colours; NaN where it cannot say.
    side: side in pixels of the squares, from the top left, that errors are averaged over.
    estimate: (B, 3, H, W) the picture that `mse` is the expected error of, where a network changes
        it afterwards; None where that is the decoded picture itself, or nothing is expected.
    """

    uses: Tensor
    mse: Tensor
    side: int
    estimate: Tensor | None = None

    def with_more(self, uses: Tensor) -> Regions:
        """With (B,) more channel uses for the whole picture."""
        height, width = self.uses.shape[1:]
        return self._replace(uses=self.uses + uses[:, None, None] / (height * width))


def evenly(size: tuple[int, int], uses: Tensor) -> Regions:
    """Of pictures whose codec treats all regions alike and expects nothing.

    Args:
        size: (height, width).
        uses: (B,) channel uses of each picture, real.
    """
    nothing = uses.new_zeros(len(uses), *size)
    side = SIDE if max(size) >= SMALL else SMALL_SIDE
    return Regions(nothing, nothing + torch.nan, side).with_more(uses)


def over_pixels(values: Tensor, block: int, size: tuple[int, int]) -> Tensor:
    """(B, H, W): each pixel has the value of its block, of (B, h, w)."""
    pixels = values.repeat_interleave(block, 1).repeat_interleave(block, 2)
    return pixels[:, : size[0], : size[1]]


def shared_by_pixels(values: Tensor, block: int, size: tuple[int, int]) -> Tensor:
    """(B, H, W): what a block has, of (B, h, w), in equal parts to its pixels in the picture."""
    pixels = torch.ones_like(values)
    for axis, (blocks, length) in enumerate(zip(values.shape[1:], size, strict=True)):
        begin = block * torch.arange(blocks, device=values.device)
        inside = (length - begin).clamp(max=block).to(values.dtype)
        pixels = pixels * inside.unflatten(0, (-1, 1) if axis == 0 else (1, -1))
    return over_pixels(values / pixels, block, size)
