"""ConvNeXt blocks: a depthwise 7×7 convolution, then an MLP over each token.

Source: Liu et al., A ConvNet for the 2020s, arXiv 2201.03545; the block is timm's `ConvNeXtBlock`
(Apache-2.0). What differs from the paper: no layer scale, since the last layer of each branch
starts small here.
"""

from __future__ import annotations

from timm.models.convnext import ConvNeXtBlock as TimmBlock
from torch import Tensor, nn

from witt.nn.blocks.stage import StageSize
from witt.nn.blocks.strips import add_by_token


class ConvNeXtBlock(TimmBlock):
    """x + MLP(LN(depthwise 7×7(x))); zeros beyond the border.

    Args:
        dim: feature width.
        mlp_ratio: hidden width of the MLP over `dim`.
    """

    branch_ends = ("mlp.fc2",)

    def __init__(self, dim: int, mlp_ratio: float) -> None:
        super().__init__(dim, mlp_ratio=mlp_ratio, ls_init_value=None)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the same shape."""
        seen = self.conv_dw(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return add_by_token(x, lambda part: self.mlp(self.norm(part)), seen)


def convnext(size: StageSize) -> nn.Sequential:
    """ConvNeXt blocks; heads and window have no meaning."""
    return nn.Sequential(*(ConvNeXtBlock(size.dim, size.mlp_ratio) for _ in range(size.depth)))
