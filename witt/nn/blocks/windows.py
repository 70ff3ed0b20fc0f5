"""Maps cut into equal windows, and attention between the tokens that the windows hold."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from witt.nn.swin import add_to


class Grid(NamedTuple):
    """How a map is cut into equal windows; those at its borders may reach beyond it.

    size: (height, width) of the map, in tokens.
    side: (height, width) of a window.
    before: tokens by which the first window begins before the map, down and right.
    """

    size: tuple[int, int]
    side: tuple[int, int]
    before: tuple[int, int] = (0, 0)

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        rows, columns = (
            -(-(n + b) // s) for n, s, b in zip(self.size, self.side, self.before, strict=True)
        )
        return rows, columns

    def cut(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to windows (B, rows, columns, height, width, C); 0 beyond the map."""
        (rows, columns), (height, width), (up, left) = self.counts, self.side, self.before
        down = rows * height - up - self.size[0]
        right = columns * width - left - self.size[1]
        if any((up, down, left, right)):
            x = F.pad(x, (0, 0, left, right, up, down))
        x = x.reshape(len(x), rows, height, columns, width, x.shape[-1])
        return x.permute(0, 1, 3, 2, 4, 5)

    def join(self, windows: Tensor) -> Tensor:
        """The inverse of `cut`."""
        batch, rows, columns, height, width, dim = windows.shape
        x = windows.permute(0, 1, 3, 2, 4, 5).reshape(batch, rows * height, columns * width, dim)
        up, left = self.before
        return x[:, up : up + self.size[0], left : left + self.size[1]]

    def missing(self, like: Tensor) -> Tensor | None:
        """(rows, columns, height·width): 0 for the map's tokens, -inf beyond; None is all 0.

        Added to logits, it takes away the keys that are not there.
        """
        (rows, columns), (height, width) = self.counts, self.side
        if (rows * height, columns * width) == self.size:
            return None
        there = self.cut(torch.ones(1, *self.size, 1, dtype=torch.bool, device=like.device))
        zero = like.new_zeros(())
        return torch.where(there[0].flatten(2), zero, zero - torch.inf)


def attend(q: Tensor, k: Tensor, v: Tensor, *biases: Tensor) -> Tensor:
    """softmax(q·kᵀ/√d + biases)·v: queries (…, N, d), keys and values (…, K, d).

    PyTorch's fused kernel takes it where there is no bias: it would want all of them as one
    tensor, and on a CPU gives them no gradient. Graphs for others are made of lines they have.
    """
    if not biases and not torch.compiler.is_exporting():
        # Four dimensions, as the kernel wants them.
        attended = F.scaled_dot_product_attention(
            q.flatten(0, -4), k.flatten(0, -4), v.flatten(0, -4)
        )
        return attended.view_as(q)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    for bias in biases:
        logits = add_to(logits, bias)
    return logits.softmax(-1) @ v


def by_head(windows: Tensor, heads: int) -> Tensor:
    """(B, rows, columns, height, width, C) to (B, rows, columns, heads, height·width, C/heads)."""
    return windows.flatten(3, 4).unflatten(-1, (heads, -1)).transpose(3, 4)
