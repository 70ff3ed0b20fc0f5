"""Attention to pooled keys: the tokens of a large region look at 8 × 8 poolings of its tokens.

What the blocks `mvit` and `hpvit` share. Their papers let every token look at the (pooled) tokens
of the whole picture, so that the cost of a pixel grows with the picture. Here a region is what 8 by
8 pooled tokens cover, 8 times the network's stride in pixels: 128 a side for photographs, 32 for
CIFAR-10. A picture of at most that size is one region, as in the papers. Of a larger one each
region is for itself, and every second block has its regions shifted by half their side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from witt.nn.blocks.strips import rows_of_strip
from witt.nn.blocks.windows import Grid, attend, by_head

KEYS = 8  # of a region, each way

Bias = Callable[[Tensor], tuple[Tensor, ...]]  # of queries (…, heads, N, d)


class Regions(NamedTuple):
    """Regions of a map, as windows of its tokens and of its pooled tokens."""

    queries: Grid
    keys: Grid

    @classmethod
    def of(cls, size: tuple[int, int], stride: int, shifted: bool) -> Regions:
        """Those of a map of (height, width) tokens whose keys are pooled by `stride` each way."""
        keys = (-(-size[0] // stride), -(-size[1] // stride))
        side = (min(keys[0], KEYS), min(keys[1], KEYS))
        shifts = [KEYS // 2 if shifted and n > KEYS else 0 for n in keys]
        return cls(
            Grid(
                size, (side[0] * stride, side[1] * stride), (shifts[0] * stride, shifts[1] * stride)
            ),
            Grid(keys, side, (shifts[0], shifts[1])),
        )

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Bias | None = None
    ) -> Tensor:
        """Each region's tokens attend to its pooled ones.

        Args:
            q: (B, H, W, C).
            k, v: (B, h, w, C), pooled.
            heads: of attention.
            bias: what is added to the logits, of the queries of some regions.

        Returns:
            (B, H, W, C).
        """
        height, width = self.queries.side
        at_once = self.queries.counts[0]
        if not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            at_once = rows_of_strip(q, height) // height
        missing = self.keys.missing(q)
        q, k, v = self.queries.cut(q), self.keys.cut(k), self.keys.cut(v)
        parts = []
        for top in range(0, q.shape[1], at_once):
            row = slice(top, top + at_once)
            own, keys, values = (by_head(x[:, row], heads) for x in (q, k, v))
            biases = () if bias is None else bias(own)
            if missing is not None:
                biases = (*biases, missing[row, :, None, None])
            parts.append(attend(own, keys, values, *biases).transpose(3, 4).flatten(4))
        attended = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return self.queries.join(attended.unflatten(3, (height, width)))
