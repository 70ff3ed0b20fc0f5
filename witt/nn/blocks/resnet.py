"""Residual blocks of two 3×3 convolutions: the CNN to measure the others by.

Source: He et al., Identity Mappings in Deep Residual Networks, arXiv 1603.05027 (the block with
normalisation and ReLU before each convolution). What differs from the paper: LayerNorm over the
features of a token in the place of batch normalisation, which would couple the pictures of a batch.
timm has this block as `PreActBasic`, with widths in multiples of 8 only, too coarse to match the
operations of the other blocks.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from witt.nn.blocks.stage import StageSize


class ResidualBlock(nn.Module):
    """x + conv(ReLU(LN(conv(ReLU(LN(x)))))); zeros beyond the border.

    Args:
        dim: feature width.
        ratio: width between the convolutions over `dim`.
    """

    branch_ends = ("conv2",)

    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        hidden = max(int(dim * ratio), 1)
        self.norm1 = nn.LayerNorm(dim)
        self.conv1 = nn.Conv2d(dim, hidden, 3, padding=1, bias=False)
        self.norm2 = nn.LayerNorm(hidden)
        self.conv2 = nn.Conv2d(hidden, dim, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the same shape."""
        y = self.conv1(F.relu(self.norm1(x)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = self.conv2(F.relu(self.norm2(y)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + y


def resnet(size: StageSize) -> nn.Sequential:
    """Residual blocks; heads and window have no meaning, `mlp_ratio` is that of the inner width."""
    return nn.Sequential(*(ResidualBlock(size.dim, size.mlp_ratio) for _ in range(size.depth)))
