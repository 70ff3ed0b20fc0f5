"""What a stage of the network asks of its blocks."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from witt.errors import InputError
from witt.registry import BLOCKS


class StageSize(NamedTuple):
    """Sizes of a stage.

    dim: feature width.
    depth: blocks.
    heads: attention heads; blocks without attention ignore them.
    window: side of a window, in tokens; blocks without windows ignore it.
    mlp_ratio: hidden width of the layers over each token, over `dim`.
    halvings: how often the network halves this map until its smallest; 0 is the smallest itself.
    """

    dim: int
    depth: int
    heads: int
    window: int
    mlp_ratio: float = 4.0
    halvings: int = 0


def blocks_of(name: str, size: StageSize) -> nn.Module:
    """The blocks of a stage, maps ``(B, H, W, dim)`` to the same shape.

    Args:
        name: one of `BLOCKS`, or "file.py:function" of one's own.
        size: of the stage.

    Raises:
        InputError: no such blocks, or they cannot be made with this size.
    """
    blocks = BLOCKS.make(name, size=size)
    if not isinstance(blocks, nn.Module):
        raise InputError(f"block {name}: makes {type(blocks).__name__}, not a torch module")
    return blocks
