"""Pooling attention of MViT: the keys and values are pooled by a convolution before attention.

Source: Fan et al., Multiscale Vision Transformers, arXiv 2104.11227, in the improved form of Li et
al., MViTv2, arXiv 2112.01526 (relative positions, the query added to what it attends to), which
timm has: its `MultiScaleBlock` (Apache-2.0) holds the parameters. The stride of the pooling halves
from stage to stage, as in the papers, and is 1 at the smallest map.

What differs from the papers: the queries are not pooled, since the stages of the network halve the
map themselves, which MViT does in a block; there is no class token; and large pictures are attended
to in regions (`witt.nn.blocks.pooled`).
"""

from __future__ import annotations

from typing import cast

import torch
from timm.models.mvitv2 import MultiScaleAttention, MultiScaleBlock
from torch import Tensor, nn

from witt.nn.blocks.pooled import KEYS, Regions
from witt.nn.blocks.stage import StageSize
from witt.nn.blocks.strips import add_by_token


class PoolingBlock(MultiScaleBlock):
    """x + proj(q + attention(q, pool(k), pool(v))) of LN(x), then x + MLP(LN(x)).

    Args:
        dim: feature width.
        heads: attention heads.
        stride: of the pooling, each way; kernels overlap by one token, at stride 1 there is none.
        shifted: whether the regions of a large map are shifted.
        mlp_ratio: hidden width of the MLP over `dim`.
    """

    branch_ends = ("attn.proj", "mlp.fc2")
    attn: MultiScaleAttention

    def __init__(self, dim: int, heads: int, stride: int, shifted: bool, mlp_ratio: float) -> None:
        kernel = stride + 1 if stride > 1 else 1
        super().__init__(
            dim,
            dim,
            heads,
            feat_size=(KEYS * stride, KEYS * stride),
            mlp_ratio=mlp_ratio,
            kernel_kv=(kernel, kernel),
            stride_kv=(stride, stride),
            has_cls_token=False,
        )
        self.heads, self.stride, self.shifted = heads, stride, shifted

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """``(B, H, W, C)`` to the same shape."""
        attn = self.attn
        q, k, v = attn.qkv(self.norm1(x)).chunk(3, dim=-1)
        k, v = self._pooled(k, attn.pool_k, attn.norm_k), self._pooled(v, attn.pool_v, attn.norm_v)
        regions = Regions.of((x.shape[1], x.shape[2]), self.stride, self.shifted)

        def bias(queries: Tensor) -> tuple[Tensor, ...]:
            return self._relative(queries, regions)

        x = x + attn.proj(regions.attend(q, k, v, self.heads, bias) + q)
        return add_by_token(x, lambda part: self.mlp(self.norm2(part)))

    def _pooled(self, x: Tensor, pool: nn.Module | None, norm: nn.Module | None) -> Tensor:
        """(B, H, W, C) to (B, h, w, C), each head by the same kernels."""
        if pool is None or norm is None:
            return x
        batch = len(x)
        x = x.unflatten(-1, (self.heads, -1)).permute(0, 3, 4, 1, 2).flatten(0, 1)
        x = norm(pool(x).permute(0, 2, 3, 1))
        return x.unflatten(0, (batch, self.heads)).permute(0, 2, 3, 1, 4).flatten(3)

    def _relative(self, q: Tensor, regions: Regions) -> tuple[Tensor, ...]:
        """What the distance between query and key adds to the logits: of rows, and of columns.

        MViTv2, equation 4; q (…, heads, N, d) to (…, heads, N, K).
        """
        (height, width), (rows, columns) = regions.queries.side, regions.keys.side
        grid = q.unflatten(-2, (height, width))
        by_row = torch.einsum("...yxd,ykd->...yxk", grid, self._table("rel_pos_h", height, rows))
        by_column = torch.einsum(
            "...yxd,xkd->...yxk", grid, self._table("rel_pos_w", width, columns)
        )
        by_row = by_row[..., None].expand(*by_row.shape, columns)
        by_column = by_column[..., None, :].expand(*by_column.shape[:-1], rows, columns)
        return by_row.flatten(-2).flatten(-3, -2), by_column.flatten(-2).flatten(-3, -2)

    def _table(self, name: str, queries: int, keys: int) -> Tensor:
        """(queries, keys, d) of the table, by distance in tokens from the key to the query."""
        table = cast(Tensor, getattr(self.attn, name))
        own = torch.arange(queries, device=table.device)[:, None]
        other = torch.arange(keys, device=table.device) * self.stride
        return table[own - other + (KEYS - 1) * self.stride]


def mvit(size: StageSize) -> nn.Sequential:
    """Pooling attention; the window has no meaning."""
    stride = 2**size.halvings
    return nn.Sequential(
        *(
            PoolingBlock(size.dim, size.heads, stride, i % 2 == 1, size.mlp_ratio)
            for i in range(size.depth)
        )
    )
