"""Layers over each token by itself, in strips of rows where no gradient is asked for.

Of a large picture the map itself is then in memory, never its hidden layer of several times the
width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from witt.nn import swin


def add_by_token(x: Tensor, branch: Callable[[Tensor], Tensor], of: Tensor | None = None) -> Tensor:
    """x + branch(of), for a branch that looks at one token at a time.

    Args:
        x: (B, H, W, C).
        branch: (…, C) to the same shape.
        of: (B, H, W, C) that the branch is of; None is x.
    """
    of = x if of is None else of
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return x + branch(of)
    rows = rows_of_strip(x)
    if rows >= x.shape[1]:
        return x + branch(of)
    out = torch.empty_like(x)
    for top in range(0, x.shape[1], rows):
        part = slice(top, top + rows)
        out[:, part] = x[:, part] + branch(of[:, part])
    return out


def rows_of_strip(x: Tensor, multiple: int = 1) -> int:
    """Rows of a map (B, H, W, C) that are a strip: a multiple, and at least that."""
    strip = swin.STRIP if x.device.type == "cpu" else swin.GPU_STRIP
    row = x.shape[0] * x.shape[2] * x.shape[3]
    return max(strip // row // multiple, 1) * multiple
