"""Focal self-attention: the tokens of a window look at each other, and at what is around, pooled.

Source: Yang et al., Focal Self-attention for Local-Global Interactions in Vision Transformers,
arXiv 2107.00641, section 3.2: two focal levels. The fine level is the window; the coarse one is the
window and what lies up to one window around it, in cells of half a window's side, each a weighted
mean of its tokens whose weights are learnt. timm has focal modulation only, another operation.

What differs from the paper: its fine level reaches a few tokens beyond the window, and its coarse
cells are as large as the window and reach two or three of them; at equal operations these narrow
networks have no room for as many keys (there 169 + 49, here 64 + 36 for windows of 8).
"""

from __future__ import annotations

import torch
from timm.layers import Mlp, trunc_normal_
from timm.models.swin_transformer import get_relative_position_index
from torch import Tensor, nn
from torch.nn import functional as F

from witt.nn.blocks.stage import StageSize
from witt.nn.blocks.strips import add_by_token, rows_of_strip
from witt.nn.blocks.windows import Grid, attend, by_head


class FocalAttention(nn.Module):
    """Attention of the tokens of each window to themselves and to the cells around.

    Args:
        dim: feature width.
        heads: attention heads.
        window: side of a window in tokens; an odd one has cells as large as itself.
    """

    places: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.cell = window // 2 if window % 2 == 0 else window
        self.around = window // self.cell  # cells of a window each way, and beyond it each way
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.cell_weights = nn.Parameter(torch.full((self.cell**2,), self.cell**-2.0))
        # By distance of two tokens of a window; and by place of a cell, for all tokens the same.
        self.fine_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.coarse_bias_table = nn.Parameter(torch.zeros((3 * self.around) ** 2, heads))
        trunc_normal_(self.fine_bias_table, std=0.02)
        trunc_normal_(self.coarse_bias_table, std=0.02)
        index = get_relative_position_index(window, window)
        self.register_buffer("places", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the same shape, before the last linear layer."""
        size, dim = (x.shape[1], x.shape[2]), x.shape[-1]
        grid = Grid(size, (self.window, self.window))
        cells = Grid(size, (self.cell, self.cell))
        q, *fine = grid.cut(self.qkv(x)).chunk(3, dim=-1)
        pooled = torch.einsum("brcnd,n->brcd", cells.cut(x).flatten(3, 4), self.cell_weights)
        pooled = F.linear(pooled, self.qkv.weight[dim:], self.qkv.bias[dim:])
        coarse = self._around(pooled, grid.counts).chunk(2, dim=-1)
        bias, missing = self._bias(), self._missing(x, grid, cells)
        rows, at_once = grid.counts[0], grid.counts[0]
        if not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            at_once = rows_of_strip(x, self.window) // self.window
        parts = []
        for top in range(0, rows, at_once):
            row = slice(top, top + at_once)
            own = by_head(q[:, row], self.heads)
            keys, values = (
                torch.cat([by_head(level[:, row], self.heads) for level in pair], dim=4)
                for pair in zip(fine, coarse, strict=True)
            )
            attended = attend(own, keys, values, bias, missing[row, :, None, None])
            parts.append(attended.transpose(3, 4).flatten(4))
        attended = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return grid.join(attended.unflatten(3, grid.side))

    def _around(self, cells: Tensor, windows: tuple[int, int]) -> Tensor:
        """The cells in and around each window, (B, rows, columns, 3·n, 3·n, C) of (B, h, w, C)."""
        n, (rows, columns) = self.around, windows
        down, right = rows * n - cells.shape[1], columns * n - cells.shape[2]
        cells = F.pad(cells, (0, 0, n, n + right, n, n + down))
        reach = torch.arange(3 * n, device=cells.device)
        row = n * torch.arange(rows, device=cells.device)[:, None] + reach
        column = n * torch.arange(columns, device=cells.device)[:, None] + reach
        return cells[:, row[:, None, :, None], column[None, :, None, :]]

    def _bias(self) -> Tensor:
        """(heads, tokens of a window, keys)."""
        tokens = self.window**2
        fine = self.fine_bias_table[self.places.flatten()].view(tokens, tokens, -1)
        coarse = self.coarse_bias_table.expand(tokens, -1, -1)
        return torch.cat((fine, coarse), dim=1).permute(2, 0, 1)

    def _missing(self, x: Tensor, grid: Grid, cells: Grid) -> Tensor:
        """(rows, columns, keys): -inf for the keys beyond the map; a cell is there in part too."""
        (rows, columns), count = grid.counts, self.window**2
        fine = grid.missing(x)
        fine = x.new_zeros(rows, columns, count) if fine is None else fine
        there = self._around(x.new_ones(1, *cells.counts, 1), grid.counts)[0].flatten(2)
        zero = x.new_zeros(())
        return torch.cat((fine, torch.where(there > 0, zero, zero - torch.inf)), dim=-1)


class FocalBlock(nn.Module):
    """x + proj(focal attention(LN(x))), then x + MLP(LN(x)).

    Args:
        dim, heads, window: as of `FocalAttention`.
        mlp_ratio: hidden width of the MLP over `dim`.
    """

    branch_ends = ("attn.proj", "mlp.fc2")

    def __init__(self, dim: int, heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = FocalAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the same shape."""
        x = x + self.attn.proj(self.attn(self.norm1(x)))
        return add_by_token(x, lambda part: self.mlp(self.norm2(part)))


def focal(size: StageSize) -> nn.Sequential:
    """Focal attention; windows are not shifted, since they see what is around them."""
    return nn.Sequential(
        *(FocalBlock(size.dim, size.heads, size.window, size.mlp_ratio) for _ in range(size.depth))
    )
