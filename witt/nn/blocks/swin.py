"""Swin blocks, the choice of the paper: attention in windows, every second time shifted ones.

Source: Liu et al., arXiv 2103.14030. The block itself is in `witt.nn.swin`.
"""

from __future__ import annotations

from witt.nn.blocks.stage import StageSize
from witt.nn.swin import SwinBlocks, swin_blocks


def swin(size: StageSize) -> SwinBlocks:
    """Swin blocks, every second one shifted by half a window."""
    return swin_blocks(size.dim, size.depth, size.heads, size.window, size.mlp_ratio)
