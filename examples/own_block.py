"""A block of your own in the paper's network: one convolution gates another, as in NAFNet (2022).

witt train --preset witt_narrow --set block=examples/own_block.py:gated --data photos --out runs/g
"""

from torch import Tensor, nn

from witt.nn.blocks.stage import StageSize


class Gated(nn.Module):
    branch_ends = ("last",)  # starts small, so that at first the map goes through as it is

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.first = nn.Linear(dim, 2 * hidden)
        self.near = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.last = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:  # (B, H, W, dim), any H and W
        y = self.first(self.norm(x)).permute(0, 3, 1, 2)
        gate, value = self.near(y).permute(0, 2, 3, 1).chunk(2, dim=-1)
        return x + self.last(gate * value)


def gated(size: StageSize) -> nn.Module:
    hidden = int(size.dim * size.mlp_ratio)
    return nn.Sequential(*(Gated(size.dim, hidden) for _ in range(size.depth)))
