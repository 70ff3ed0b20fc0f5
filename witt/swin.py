"""timm's Swin block, computed in strips of windows: the same result, faster and in less memory.

Swin Transformer: Liu et al., arXiv 2103.14030. Parameters, their names and their start are timm's
(Apache-2.0). Feature maps are ``(B, H, W, C)``.

A token's way through a block touches its own window alone: attention, MLP and both residual paths.
So a strip of window rows goes through the whole block while the caches hold it, and of a large
picture the map itself is in memory, never its hidden layer of four times the width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn
from torch.nn import functional as F

# Tokens × width of a strip. Its hidden layer then takes 4 MiB, which caches hold; and the C
# library has it at hand, where it asks the system for every single tensor above 32 MiB.
STRIP = 2**18
GPU_STRIP = 2**27  # there only what memory holds counts, and few large kernels
FUSED_TOKENS = 32  # of a window, from which on PyTorch's fused attention is faster on a CPU
KINDS = 64  # of strips that may be compiled
APART = -100.0  # added to the logit of two tokens that only the cyclic shift brought together


def border_masks(window: int, shift: int) -> Tensor:
    """Masks (2, 2, N, N) of windows of N tokens: [in the last row of windows, in the last column].

    Elsewhere no border of the picture crosses a window, so no mask depends on the picture's size.
    """
    wrapped = torch.arange(window) >= window - shift
    row = wrapped[:, None].expand(window, window).flatten()
    column = wrapped.expand(window, window).flatten()
    rows, columns = row[:, None] != row, column[:, None] != column
    apart = torch.stack((torch.zeros_like(rows), columns, rows, rows | columns))
    return (apart * APART).unflatten(0, (2, 2))


def add_to(branch: Tensor, x: Tensor) -> Tensor:
    """x + branch, in the memory of `branch`, which nothing else needs: new memory is slow.

    Under autocast the branch has half the bits of x and cannot hold the sum.
    """
    return branch.add_(x) if branch.dtype == x.dtype else x + branch


def attend(qkv: Tensor, bias: Tensor) -> Tensor:
    """softmax(q·kᵀ/√d + bias)·v of ``(3, n, heads, N, d)``, with `bias` ``(heads, N, N)``.

    On the CPU PyTorch's fused kernel gives a bias no gradient, and what takes its place there is
    slower than these lines; as is the kernel itself where windows have few tokens, or where a
    compiler fuses the lines.
    """
    q, k, v = qkv.unbind()
    lines = bias.requires_grad or bias.shape[-1] < FUSED_TOKENS or torch.compiler.is_compiling()
    if bias.device.type != "cpu" or not lines:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
    logits = add_to((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1), bias)
    return logits.softmax(-1) @ v


class SwinBlock(SwinTransformerBlock):
    """x + proj(attention(LN(x))), then x + MLP(LN(x)), in windows that may be shifted.

    Maps smaller than a window, or no multiple of it, are padded with zeros inside the attention,
    so any map size works; window and shift stay as built.

    Args:
        dim: feature width.
        heads: attention heads.
        window: side of a window in tokens.
        shift: tokens by which the windows are shifted, each way.
    """

    masks: Tensor
    strip_is_compiled = False  # see `compile_blocks`

    def __init__(self, dim: int, heads: int, window: int, shift: int) -> None:
        super().__init__(
            dim,
            input_resolution=window,
            num_heads=heads,
            window_size=window,
            shift_size=shift,
            always_partition=True,
            dynamic_mask=True,
        )
        self.side, self.shift = window, shift
        self.register_buffer("masks", border_masks(window, shift), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the same shape."""
        bias = self.attn._get_rel_pos_bias()[0]
        heights, shift = self._heights(x), self.shift
        last = len(heights) - 1
        through = _compiled_strip() if self.strip_is_compiled else SwinBlock._strip
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            x = x.roll((-shift, -shift), (1, 2)) if shift else x
            strips = x.split(heights, dim=1)
            x = torch.cat([through(self, s, bias, i == last) for i, s in enumerate(strips)], dim=1)
            return x.roll((shift, shift), (1, 2)) if shift else x
        # The same without copies of the map. With autograd each slice of it would have a
        # gradient of the size of the map.
        out, top, height = torch.empty_like(x), shift % x.shape[1], x.shape[1]
        for i, rows in enumerate(heights):
            below = min(rows, height - top)  # the rest wraps around
            strip = x[:, top : top + below]
            if shift:
                strip = torch.cat((strip, x[:, : rows - below]), dim=1).roll(-shift, 2)
            strip = through(self, strip, bias, i == last)
            strip = strip.roll(shift, 2) if shift else strip
            out[:, top : top + below] = strip[:, :below]
            out[:, : rows - below] = strip[:, below:]
            top = (top + rows) % height
        return out

    def _heights(self, x: Tensor) -> list[int]:
        """Rows of each strip: whole windows, the last row of windows by itself if shifted."""
        batch, height, width, dim = x.shape
        side = self.side
        strip = STRIP if x.device.type == "cpu" else GPU_STRIP
        rows = height if torch.compiler.is_compiling() else strip // (batch * width * dim)
        step = max(rows // side, 1) * side
        end = (height - 1) // side * side if self.shift else height
        heights = [min(step, end - top) for top in range(0, end, step)]
        return [*heights, height - end] if self.shift else heights

    def _strip(self, x: Tensor, bias: Tensor, last: bool) -> Tensor:
        """The block on rows of windows ``(B, R, W, C)``; `last` are those at the lower border."""
        batch, height, width, dim = x.shape
        side = self.side
        margin = (0, 0, 0, -width % side, 0, -height % side)
        padded = any(margin)
        x = F.pad(x, margin) if padded else x
        r, c = x.shape[1] // side, x.shape[2] // side
        # Columns of windows outermost: those of the right border, which have a mask, come last.
        x = x.reshape(batch, r, side, c, side, dim).permute(3, 0, 1, 2, 4, 5)
        x = x.reshape(c * batch * r, side**2, dim)
        normed = self.norm1(x)
        if padded:
            inside = F.pad(normed.new_ones(1, height, width, 1), margin)
            inside = inside.reshape(1, r, side, c, side, 1).permute(3, 0, 1, 2, 4, 5)
            inside = inside.expand(c, batch, r, side, side, 1).reshape(*x.shape[:2], 1)
            normed = normed * inside
        x = add_to(self._attention(normed, bias, batch * r, last), x)
        x = add_to(self.mlp(self.norm2(x)), x)
        x = x.reshape(c, batch, r, side, side, dim).permute(1, 2, 3, 0, 4, 5)
        x = x.reshape(batch, r * side, c * side, dim)
        return x[:, :height, :width] if padded else x

    def _attention(self, x: Tensor, bias: Tensor, column: int, last: bool) -> Tensor:
        """Attention in windows ``(n, N, C)``; the last `column` are at the right border."""
        heads = self.attn.num_heads
        qkv = self.attn.qkv(x).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        if self.shift:
            counts = (len(x) - column, column)
            biases = [bias + mask for mask in self.masks[int(last)].to(bias.dtype)]
            groups = zip(qkv.split(counts, dim=1), biases, strict=True)
            attended = torch.cat([attend(part, b) for part, b in groups if part.shape[1]])
        else:
            attended = attend(qkv, bias)
        return self.attn.proj(attended.transpose(1, 2).flatten(2))


@cache
def _compiled_strip() -> Callable[[SwinBlock, Tensor, Tensor, bool], Tensor]:
    return torch.compile(SwinBlock._strip, dynamic=False)


def compile_blocks(network: nn.Module) -> None:
    """Have torch.compile work on every Swin block, when it is first called with a shape.

    On the CPU on each kind of strip: a whole map would leave the caches, which costs more than
    compilation gains. Blocks of one width and shift share what is compiled: about 15 kinds of
    strips in `witt_base`, of 24 blocks, and PyTorch would give up after 8.
    """
    import torch._dynamo.config as limits

    limits.recompile_limit = max(limits.recompile_limit, KINDS)
    for module in network.modules():
        if isinstance(module, SwinBlock):
            if module.attn.qkv.weight.device.type == "cpu":
                module.strip_is_compiled = True
            else:
                module.compile()
