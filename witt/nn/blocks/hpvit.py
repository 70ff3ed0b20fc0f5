"""Blocks of a plain ViT, whose keys are averages in the wider maps of the network.

Source: Xu et al., Rethinking Hierarchies in Pre-trained Plain Vision Transformer (HPViT), arXiv
2211.01785: the blocks of a plain ViT (Dosovitskiy et al., arXiv 2010.11929), between which the map
is halved by pooling. The block is timm's (Apache-2.0); positions are the fixed sines and cosines of
the masked autoencoders whose weights that paper starts from (He et al., arXiv 2111.06377).

What differs from the paper: the stages of this network halve the map by merging; attention of all
tokens to all tokens of the first map would cost hundreds of times what the rest does, so keys and
values are averages of 8×8, 4×4, 2×2 tokens in the first three of four stages, and those of the last
are the plain ViT's; large pictures are attended to in regions (`witt.nn.blocks.pooled`); and
positions, those in the region, are added before each attention, since there is no one place before
all blocks.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn
from torch.nn import functional as F

from witt.nn.blocks.pooled import Regions
from witt.nn.blocks.stage import StageSize
from witt.nn.blocks.strips import add_by_token
from witt.nn.blocks.windows import Grid

LONGEST = 10_000.0  # wave, in tokens over 2π, as in the papers


def averages(x: Tensor, side: int) -> Tensor:
    """Means (B, h, w, C) of squares of tokens, of those that there are at the border."""
    if side == 1:
        return x
    grid = Grid((x.shape[1], x.shape[2]), (side, side))
    there = grid.cut(x.new_ones(1, *grid.size, 1))
    return grid.cut(x).sum((3, 4)) / there.sum((3, 4))


def waves(places: Tensor, dim: int) -> Tensor:
    """Sines and cosines (n, dim) of places (n,); 0 where `dim` is odd."""
    count = dim // 2
    speed = LONGEST ** -(torch.arange(count).to(places) / max(count, 1))
    angle = places[:, None] * speed
    return F.pad(torch.cat((angle.sin(), angle.cos()), dim=1), (0, dim - 2 * count))


def positions(grid: Grid, stride: int, like: Tensor) -> Tensor:
    """What tells tokens by their places in their region, (1, H, W, C) of a map of C features.

    Half of the features tell the row, half the column.

    Args:
        grid: regions of the map.
        stride: tokens of the map before pooling, each way, that one of this map stands for.
        like: (B, H, W, C).
    """
    dim, dtype = like.shape[-1], torch.promote_types(like.dtype, torch.float32)
    parts = []
    for size, side, before in zip(grid.size, grid.side, grid.before, strict=True):
        place = (torch.arange(size, device=like.device) + before) % side
        place = stride * place.to(dtype) + (stride - 1) / 2
        parts.append(waves(place, dim // 2).to(like.dtype))
    rows, columns = parts[0][:, None], parts[1][None]
    both = (rows.expand(-1, grid.size[1], -1), columns.expand(grid.size[0], -1, -1))
    return F.pad(torch.cat(both, dim=-1), (0, dim % 2))[None]


class PlainBlock(Block):
    """x + proj(attention(LN(x) + positions)), then x + MLP(LN(x)); keys and values are averages.

    Args:
        dim: feature width.
        heads: attention heads.
        stride: tokens, each way, of which a key is the average.
        shifted: whether the regions of a large map are shifted.
        mlp_ratio: hidden width of the MLP over `dim`.
    """

    branch_ends = ("attn.proj", "mlp.fc2")

    def __init__(self, dim: int, heads: int, stride: int, shifted: bool, mlp_ratio: float) -> None:
        # timm's own is another one from version to version.
        norm = cast("type[nn.Module]", partial(nn.LayerNorm, eps=1e-6))
        super().__init__(dim, heads, mlp_ratio=mlp_ratio, qkv_bias=True, norm_layer=norm)
        self.heads, self.stride, self.shifted = heads, stride, shifted

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """``(B, H, W, C)`` to the same shape."""
        dim, stride = x.shape[-1], self.stride
        attention = cast(Attention, self.attn)
        weight, bias = attention.qkv.weight, attention.qkv.bias
        regions = Regions.of((x.shape[1], x.shape[2]), stride, self.shifted)
        normed = self.norm1(x)
        pooled = averages(normed, stride)
        normed = normed + positions(regions.queries, 1, normed)
        pooled = pooled + positions(regions.keys, stride, pooled)
        q = F.linear(normed, weight[:dim], bias[:dim])
        k, v = F.linear(pooled, weight[dim:], bias[dim:]).chunk(2, dim=-1)
        x = x + attention.proj(regions.attend(q, k, v, self.heads))
        return add_by_token(x, lambda part: self.mlp(self.norm2(part)))


def hpvit(size: StageSize) -> nn.Sequential:
    """Blocks of a plain ViT; the window has no meaning."""
    stride = 2**size.halvings
    return nn.Sequential(
        *(
            PlainBlock(size.dim, size.heads, stride, i % 2 == 1, size.mlp_ratio)
            for i in range(size.depth)
        )
    )
