"""Parts of the encoder and decoder around their blocks, on timm's parts.

Swin Transformer: Liu et al., arXiv 2103.14030. Patch merging is timm's (Apache-2.0), the blocks
are in `witt.nn.swin` and `witt.nn.blocks`. Feature maps are ``(B, H, W, C)``.
"""

from __future__ import annotations

from typing import cast

import torch
from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn
from torch.nn import functional as F

from witt.nn.blocks.stage import StageSize, blocks_of


class Unmerge(nn.Module):
    """Upsampling by `factor`: LayerNorm, Linear without bias, pixel shuffle.

    ``(B, H, W, dim)`` becomes ``(B, factor·H, factor·W, out_dim)``.
    """

    def __init__(self, dim: int, out_dim: int, factor: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.increment = nn.Linear(dim, out_dim * factor**2, bias=False)
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, x: Tensor) -> Tensor:
        x = self.increment(self.norm(x)).permute(0, 3, 1, 2)
        return self.shuffle(x).permute(0, 2, 3, 1)


class PatchEmbed(nn.Module):
    """Strided convolution from pixels to the first map, ``(B, 3, H, W)`` to ``(B, h, w, C)``."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).permute(0, 2, 3, 1)


# Of the last layer of a network beside a linear path, which starts at 0 and ends at small numbers:
# at the learning rate of the other layers an optimiser's step would be as large as what it holds.
OUTPUT_SCALE = 0.1


def init_steady(network: nn.Module, branches: float) -> None:
    """Weights at which features keep their size whatever the width.

    The residual branches start small, by the factor `branches`, so that the signal comes through.
    A block names the last layers of its branches as `branch_ends`; convolutions elsewhere stay.
    """
    ends: set[nn.Module] = set()
    layers: set[nn.Module] = {m for m in network.modules() if isinstance(m, nn.Linear)}
    for block in network.modules():
        names = cast("tuple[str, ...]", getattr(block, "branch_ends", ()))
        ends |= {block.get_submodule(name) for name in names}
        layers |= {m for m in block.modules() if names and isinstance(m, nn.Conv2d)}
    for module in network.modules():
        if module in layers:
            weight, bias = cast(Tensor, module.weight), cast("Tensor | None", module.bias)
            factor = branches if module in ends else 1.0
            nn.init.normal_(weight, std=factor * weight[0].numel() ** -0.5)
            if bias is not None:
                nn.init.zeros_(bias)


class EncoderStage(nn.Module):
    """Patch merging (but for the first stage), then blocks.

    Args:
        in_dim: feature width before; None in the first stage.
        dim, depth, heads, window, mlp_ratio, halvings: as of `StageSize`.
        block: as of `blocks_of`.
    """

    def __init__(
        self,
        in_dim: int | None,
        dim: int,
        depth: int,
        heads: int,
        window: int,
        block: str = "swin",
        mlp_ratio: float = 4.0,
        halvings: int = 0,
    ) -> None:
        super().__init__()
        self.downsample = nn.Identity() if in_dim is None else PatchMerging(in_dim, dim)
        size = StageSize(dim, depth, heads, window, mlp_ratio, halvings)
        self.blocks = blocks_of(block, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x).to(x.dtype))  # autocast: the sums stay in full


class DecoderStage(nn.Module):
    """Blocks, then un-merging to the next stage or to pixels.

    Args:
        out_dim, factor: as of `Unmerge`.
        dim, depth, heads, window, mlp_ratio, halvings: as of `StageSize`.
        block: as of `blocks_of`.
    """

    def __init__(
        self,
        dim: int,
        out_dim: int,
        factor: int,
        depth: int,
        heads: int,
        window: int,
        block: str = "swin",
        mlp_ratio: float = 4.0,
        halvings: int = 0,
    ) -> None:
        super().__init__()
        size = StageSize(dim, depth, heads, window, mlp_ratio, halvings)
        self.blocks = blocks_of(block, size)
        self.upsample = Unmerge(dim, out_dim, factor)

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(self.blocks(x)).to(x.dtype)


class ModNet(nn.Module):
    """Channel ModNet: scales each feature by a gate that depends on features and channel.

        t = W₀ x · b₀(c);  t = W_k t · b_k(c), k = 1 … n−1;  x ← x · sigmoid(W_n t)

    where b_k is Linear, ReLU, Linear, ReLU, Linear, sigmoid of the condition c: the SNR in dB
    and, for a rate-adaptive model, the rate (then it is SwinJSCC's Rate ModNet as well, in one).

    No layer of the chain from x to the gates bends, so for one condition it is one affine map.
    Where an image has more tokens than features, that map is worked out first: in `witt_cifar` at
    256×256 the chain for every token would be a sixth of all operations.

    Source: WITT, arXiv 2211.00937, section 2.3 (n = 7, hidden width 1.5·dim).

    Args:
        dim: feature width.
        layers: n.
        ratio: hidden width over `dim`.
        conditions: numbers in the condition.

    Attributes:
        detached: whether the gates learn without a gradient to what they look at, as in the
            published training; the result is the same.
    """

    detached = False

    def __init__(self, dim: int, layers: int, ratio: float, conditions: int) -> None:
        super().__init__()
        hidden = int(dim * ratio)
        widths = [dim] + [hidden] * layers
        self.sm_list = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip(widths, [*widths[1:], dim], strict=True)
        )
        self.bm_list = nn.ModuleList(
            nn.Sequential(
                nn.Linear(conditions, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.Sigmoid(),
            )
            for _ in range(layers)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`x` (B, H, W, dim), `condition` (B, conditions)."""
        return x * self.gates(x.detach() if self.detached else x, condition)

    def gates(self, x: Tensor, condition: Tensor) -> Tensor:
        """What `forward` multiplies the features by, of their shape."""
        _, height, width, dim = x.shape
        if height * width > dim:
            affine = self._affine(condition)
            t = x.flatten(1, 2) @ affine[:, :, :-1].mT + affine[:, None, :, -1]
            return torch.sigmoid(t).view_as(x)
        t = x
        for linear, factor in zip(list(self.sm_list)[:-1], self.bm_list, strict=True):
            t = linear(t) * factor(condition)[:, None, None]
        return torch.sigmoid(self.sm_list[-1](t))

    def _affine(self, condition: Tensor) -> Tensor:
        """[A | c] of the chain A·x + c from features to gates, ``(B, dim, dim + 1)``."""
        first, *others = cast("list[nn.Linear]", list(self.sm_list))
        affine = torch.cat((first.weight, first.bias[:, None]), dim=1)
        for linear, factor in zip(others, self.bm_list, strict=True):
            affine = linear.weight @ (factor(condition)[:, :, None] * affine)
            affine = affine + F.pad(linear.bias[:, None], (affine.shape[-1] - 1, 0))
        return affine
