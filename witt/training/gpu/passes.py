"""The passes of the paper's network over rows of tokens, for maps of whole windows.

The parameters are those of an `Encoder` and a `Decoder`, in float32; what goes from block to block
may be bfloat16. LayerNorm with the linear layer after it, and all that follows the attention, are
functions of tensors alone: `torch.compile` makes few kernels of each, the same for all blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn
from torch.nn import functional as F

from witt.codecs.witt import WITT, Decoder, Encoder, WITTConfig
from witt.nn.layers import DecoderStage, EncoderStage
from witt.nn.swin import SwinBlock, SwinBlocks
from witt.training.gpu.attention import KERNEL_TOKENS, attend_kernel, attend_plain
from witt.training.gpu.mlp import (
    Weights,
    add_linear,
    fits_kernel,
    mlp,
    mlp_kernel,
    norm_linear,
)
from witt.training.gpu.orders import Orders, Shape, moved, take_rows

KINDS = 64  # of shapes for which a function may be compiled


def after_attention(
    x: Tensor, attended: Tensor, proj: Weights, norm: Weights, fc1: Weights, fc2: Weights
) -> Tensor:
    """x + proj(attended), then x + MLP(LayerNorm(x))."""
    return mlp(add_linear(x, attended, proj), norm, fc1, fc2)


class Lines(NamedTuple):
    """What the passes are made of: the functions of these names, or others that do the same.

    mlp_kernel: whether the MLP is one kernel, where that takes the rows.
    """

    attend: Callable[..., Tensor] = attend_plain
    norm_linear: Callable[..., Tensor] = norm_linear
    add_linear: Callable[..., Tensor] = add_linear
    after_attention: Callable[..., Tensor] = after_attention
    take_rows: Callable[..., Tensor] = take_rows
    mlp_kernel: bool = False

    def compiled(self) -> Lines:
        """The same in the kernels that `torch.compile` makes of them, on their first call."""
        import torch._dynamo.config as limits

        limits.recompile_limit = max(limits.recompile_limit, KINDS)
        lines = {name: line for name, line in self._asdict().items() if callable(line)}
        made: dict[str, Any] = {
            n: _compile(line) for n, line in lines.items() if line is not attend_kernel
        }
        return self._replace(**made)


def _compile(line: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return cast("Callable[..., Tensor]", torch.compile(line, dynamic=False, fullgraph=True))


class _Passes(nn.Module):
    """What encoder and decoder share."""

    def __init__(
        self, config: WITTConfig, end: nn.Module, lines: Lines, dtype: torch.dtype, orders: Orders
    ) -> None:
        super().__init__()
        self.config, self.end, self.lines = config, end, lines
        self.dtype, self.orders = dtype, orders

    def _through(self, x: Tensor, shape: Shape, blocks: SwinBlocks) -> Tensor:
        """Rows in the order of the map through blocks, to the same order."""
        here: int | None = None
        for block in cast("list[SwinBlock]", list(blocks)):
            x = self._moved(x, shape, here, block.shift)
            here = block.shift
            x = self._block(x, shape, block)
        return self._moved(x, shape, here, None)

    def _moved(self, x: Tensor, shape: Shape, old: int | None, new: int | None) -> Tensor:
        if old == new:
            return x
        return moved(x, self.orders.move(shape, old, new), self.lines.take_rows)

    def _block(self, x: Tensor, shape: Shape, block: SwinBlock) -> Tensor:
        attention, lines, together = block.attn, self.lines, 1
        bias = attention._get_rel_pos_bias()[0]
        if lines.attend is attend_kernel:  # which takes windows of one size only
            together = KERNEL_TOKENS // self.config.window**2
            bias = bias.repeat(1, together, together)
        masks, kinds = self.orders.windows(shape, block.shift, together)
        qkv = lines.norm_linear(x, _of(block.norm1), *_of(attention.qkv))
        attended, proj = lines.attend(qkv, bias, masks, kinds), _of(attention.proj)
        branch = (_of(block.norm2), _of(block.mlp.fc1), _of(block.mlp.fc2))
        if lines.mlp_kernel and fits_kernel(x, len(branch[1][0])):
            return mlp_kernel(lines.add_linear(x, attended, proj), *branch)
        return lines.after_attention(x, attended, proj, *branch)


def _of(layer: nn.Module) -> Weights:
    return cast(Tensor, layer.weight), cast(Tensor, layer.bias)


class FastEncoder(_Passes):
    """As `witt.codecs.witt.Encoder`, whose parameters it has."""

    end: Encoder

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to features (B, h, w, C)."""
        end, patch = self.end, self.config.patch
        batch, _, height, width = image.shape
        h, w = height // patch, width // patch
        x = image.view(batch, 3, h, patch, w, patch).permute(0, 2, 4, 1, 3, 5)
        proj = end.patch_embed.proj
        x = F.linear(x.reshape(batch * h * w, -1), proj.weight.flatten(1), proj.bias).to(self.dtype)
        for stage in cast("list[EncoderStage]", list(end.layers)):
            merge = stage.downsample
            if isinstance(merge, PatchMerging):
                h, w = h // 2, w // 2
                x = (
                    x.view(batch, h, 2, w, 2, -1)
                    .permute(0, 1, 3, 4, 2, 5)
                    .reshape(batch * h * w, -1)
                )
                x = self.lines.norm_linear(x, _of(merge.norm), merge.reduction.weight, None)
            x = self._through(x, (batch, h, w), cast(SwinBlocks, stage.blocks))
        features = end.norm(x.float()).view(batch, h, w, -1)
        return end.head(end.modnet(features, condition) if end.modulation else features)


class FastDecoder(_Passes):
    """As `witt.codecs.witt.Decoder`, whose parameters it has."""

    end: Decoder

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Features (B, h, w, C) as received to (B, 3, H, W), not clamped."""
        end = self.end
        batch, h, w, _ = features.shape
        x = end.head(features)
        x = (end.modnet(x, condition) if end.modulation else x).flatten(0, 2).to(self.dtype)
        for number, stage in enumerate(cast("list[DecoderStage]", list(end.layers)), start=1):
            x = self._through(x, (batch, h, w), cast(SwinBlocks, stage.blocks))
            up = stage.upsample
            if number == len(end.layers):
                x = x.float()  # pixels have more than 8 bits
            x = self.lines.norm_linear(x, _of(up.norm), up.increment.weight, None)
            side = up.shuffle.upscale_factor
            x = x.view(batch, h, w, -1, side, side).permute(0, 1, 4, 2, 5, 3)
            h, w = h * side, w * side
            x = x.reshape(batch * h * w, -1)
        return x.view(batch, h, w, 3).permute(0, 3, 1, 2)


class FastWITT(WITT):
    """A model with these passes in the place of its own, and the same parameters.

    Args:
        model: with the paper's network.
        lines: what the passes are made of.
        dtype: of what goes from block to block.
    """

    def __init__(
        self, model: WITT, lines: Lines | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        nn.Module.__init__(self)
        self.config = model.config
        orders = Orders(model.config.window, next(model.parameters()).device)
        rest = (lines or Lines(), dtype, orders)
        self.encoder = FastEncoder(model.config, model.encoder, *rest)
        self.decoder = FastDecoder(model.config, model.decoder, *rest)


def whole_windows(config: WITTConfig, side: int) -> bool:
    """Whether the maps of pictures of `side` pixels are whole windows in each stage."""
    return side % (config.stride * config.window) == 0


def suits_kernel(config: WITTConfig, batch: int, side: int) -> bool:
    """Whether the kernel takes all windows of a batch: those of 64 tokens, or groups that have."""
    tokens = config.window**2
    last = batch * (side // config.stride) ** 2
    depths = [dim // heads for dim, heads in zip(config.dims, config.heads, strict=True)]
    powers = all(depth >= 16 and depth & (depth - 1) == 0 for depth in depths)
    return KERNEL_TOKENS % tokens == 0 and last % KERNEL_TOKENS == 0 and powers
