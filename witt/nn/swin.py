"""timm's Swin block, computed in strips of windows: the same result, faster and in less memory.

Swin Transformer: Liu et al., arXiv 2103.14030. Parameters, their names and their start are timm's
(Apache-2.0). Feature maps are ``(B, H, W, C)``.

A token's way through a block touches its own window alone: attention, MLP and both residual paths.
So a strip of window rows goes through the whole block while the caches hold it, and of a large
picture the map itself is in memory, never its hidden layer of four times the width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple, cast

import torch
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn
from torch.nn import functional as F

# Tokens × width of a strip. Its hidden layer then takes 4 MiB, which caches hold; and the C
# library has it at hand, where it asks the system for every single tensor above 32 MiB.
STRIP = 2**18
GPU_STRIP = 2**27  # there only what memory holds counts, and few large kernels
FUSED_TOKENS = 16  # that PyTorch's fused attention wants at least on a CPU
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


def add_linear(x: Tensor, branch: Tensor, linear: nn.Linear) -> Tensor:
    """x + linear(branch) of ``(n, N, C)``; without gradients in the memory of x.

    Under autocast the branch has half the bits of x.
    """
    apart = branch.dtype != x.dtype
    if torch.is_grad_enabled() or apart or torch.compiler.is_compiling():
        return add_to(linear(branch), x)
    flat = x.view(-1, x.shape[-1])
    torch.addmm(flat, branch.flatten(0, 1), linear.weight.t(), out=flat)
    return x.add_(linear.bias)


def attend(qkv: Tensor, bias: Tensor) -> Tensor:
    """softmax(q·kᵀ/√d + bias)·v in windows: ``(n, N, 3·C)`` and ``(heads, N, N)`` to ``(n, N, C)``.

    On the CPU PyTorch's fused kernel gives a bias no gradient, and what takes its place there is
    slower than the lines at the end; and graphs for others are made of lines that they have.
    """
    on_cpu, shape = bias.device.type == "cpu", qkv.shape
    lines = torch.compiler.is_exporting() or (on_cpu and bias.requires_grad)
    if on_cpu and not lines:
        qkv, bias = side_by_side(qkv, bias)
    q, k, v = qkv.unflatten(-1, (3, len(bias), -1)).permute(2, 0, 3, 1, 4).unbind()
    if lines:
        logits = add_to((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1), bias)
        attended = logits.softmax(-1) @ v
    else:
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
    return attended.transpose(1, 2).reshape(*shape[:2], -1)


def side_by_side(qkv: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Windows of few tokens as fewer of more, whose tokens attend to their own window only."""
    together = math.gcd(len(qkv), max(FUSED_TOKENS // qkv.shape[1], 1))
    if together == 1:
        return qkv, bias
    own = torch.eye(together, dtype=torch.bool, device=bias.device)[:, None, :, None]
    wide = torch.where(own, bias[:, None, :, None], -math.inf)
    return qkv.unflatten(0, (-1, together)).flatten(1, 2), wide.flatten(3).flatten(1, 2)


class Strip(NamedTuple):
    """Rows of windows of a map, as numbers of tokens in (B, H, W).

    top: first row of tokens, in a map that is shifted; those past the last are the first ones.
    rows: of tokens, without those that fill up windows.
    taken: (n·N,) tokens in the order of their windows; those of the right border come last.
    given: (B·rows·W,) where each token is among those, in the order of the map.
    inside: (n, N, 1) 0 for what only fills up a window, or None.
    column: windows at the right border.
    last: whether it is at the lower border.
    """

    top: int
    rows: int
    taken: Tensor
    given: Tensor
    inside: Tensor | None
    column: int
    last: bool


@lru_cache(maxsize=32)
def strips(
    shape: tuple[int, int, int],
    heights: tuple[int, ...],
    side: int,
    shift: int,
    device: torch.device,
) -> list[Strip]:
    """Strips of windows of maps ``(B, H, W)``, of so many rows each; see `SwinBlock._heights`."""
    batch, height, width = shape
    tokens = torch.arange(batch * height * width).view(shape).roll((-shift, -shift), (1, 2))
    place = torch.empty(tokens.numel(), dtype=torch.int64)  # of each token in its strip
    found, top = [], 0
    for i, rows in enumerate(heights):
        margin = (0, -width % side, 0, -rows % side)
        part = F.pad(tokens[:, top : top + rows], margin, value=-1)
        r, c = part.shape[1] // side, part.shape[2] // side
        taken = part.view(batch, r, side, c, side).permute(3, 0, 1, 2, 4).flatten()
        real = taken >= 0
        inside = real.view(-1, side**2, 1).to(device) if any(margin) else None
        place[taken[real]] = torch.arange(len(taken))[real]
        # In the order of the map, after the shift was undone.
        given = place[tokens[:, top : top + rows].roll(shift, 2).flatten()].to(device)
        first, last = (top + shift) % height, i == len(heights) - 1
        taken = taken.clamp_min(0).to(device)
        found.append(Strip(first, rows, taken, given, inside, batch * r, last))
        top += rows
    return found


class SwinBlock(SwinTransformerBlock):
    """x + proj(attention(LN(x))), then x + MLP(LN(x)), in windows that may be shifted.

    Maps smaller than a window, or no multiple of it, are padded with zeros inside the attention,
    so any map size works; window and shift stay as built.

    Args:
        dim: feature width.
        heads: attention heads.
        window: side of a window in tokens.
        shift: tokens by which the windows are shifted, each way.
        mlp_ratio: hidden width of the MLP over `dim`.
    """

    branch_ends = ("attn.proj", "mlp.fc2")  # see `witt.nn.layers.init_steady`
    masks: Tensor
    strip_is_compiled = False  # see `compile_blocks`
    attend = staticmethod(attend)  # of a block itself, so that it can be looked at

    def __init__(
        self, dim: int, heads: int, window: int, shift: int, mlp_ratio: float = 4.0
    ) -> None:
        super().__init__(
            dim,
            input_resolution=window,
            num_heads=heads,
            window_size=window,
            shift_size=shift,
            mlp_ratio=mlp_ratio,
            always_partition=True,
            dynamic_mask=True,
        )
        self.side, self.shift = window, shift
        self.register_buffer("masks", border_masks(window, shift), persistent=False)

    def forward(self, x: Tensor, in_place: bool = False) -> Tensor:
        """``(B, H, W, C)`` to the same shape; without gradients, if wanted, in the memory of x."""
        bias = self.attn._get_rel_pos_bias()[0]
        heights, shift = self._heights(x), self.shift
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            through = _compiled_strip() if self.strip_is_compiled else SwinBlock._strip
            x = x.roll((-shift, -shift), (1, 2)) if shift else x
            last = len(heights) - 1
            parts = x.split(heights, dim=1)
            x = torch.cat([through(self, s, bias, i == last) for i, s in enumerate(parts)], dim=1)
            return x.roll((shift, shift), (1, 2)) if shift else x
        # The same with one copy in and one out: each token belongs to one window. With autograd
        # each copy would have a gradient of the size of the map.
        batch, height, width, dim = x.shape
        x = x.contiguous()
        flat, out = x.view(-1, dim), x if in_place else torch.empty_like(x)
        for strip in strips((batch, height, width), tuple(heights), self.side, shift, x.device):
            part = flat.index_select(0, strip.taken).view(-1, self.side**2, dim)
            part = self._windows(part, bias, strip.inside, strip.column, strip.last)
            part = part.view(-1, dim).index_select(0, strip.given).view(batch, -1, width, dim)
            below = min(strip.rows, height - strip.top)  # the rest wraps around
            out[:, strip.top : strip.top + below] = part[:, :below]
            out[:, : strip.rows - below] = part[:, below:]
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
        inside = None
        if padded:
            inside = F.pad(x.new_ones(1, height, width, 1, dtype=torch.bool), margin)
            inside = inside.reshape(1, r, side, c, side, 1).permute(3, 0, 1, 2, 4, 5)
            inside = inside.expand(c, batch, r, side, side, 1).reshape(*x.shape[:2], 1)
        x = self._windows(x, bias, inside, batch * r, last)
        x = x.reshape(c, batch, r, side, side, dim).permute(1, 2, 3, 0, 4, 5)
        x = x.reshape(batch, r * side, c * side, dim)
        return x[:, :height, :width] if padded else x

    def _windows(
        self, x: Tensor, bias: Tensor, inside: Tensor | None, column: int, last: bool
    ) -> Tensor:
        """The block on windows ``(n, N, C)``; the others as in `Strip`. See `add_linear` for x."""
        normed = self.norm1(x)
        normed = normed if inside is None else normed * inside
        x = add_linear(x, self._attention(normed, bias, column, last), self.attn.proj)
        hidden = self.mlp.fc1(self.norm2(x))
        gelu = self.mlp.act if torch.is_grad_enabled() else torch.ops.aten.gelu_
        return add_linear(x, gelu(hidden), cast(nn.Linear, self.mlp.fc2))

    def _attention(self, x: Tensor, bias: Tensor, column: int, last: bool) -> Tensor:
        """Attention in windows ``(n, N, C)``, before the last linear layer."""
        qkv = self.attn.qkv(x)
        if self.shift:
            counts = (len(x) - column, column)
            biases = [bias + mask for mask in self.masks[int(last)].to(bias.dtype)]
            groups = zip(qkv.split(counts), biases, strict=True)
            return torch.cat([self.attend(part, b) for part, b in groups if len(part)])
        return self.attend(qkv, bias)


class SwinBlocks(nn.Sequential):
    """Blocks one after the other; without gradients in one map, since new memory is slow."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the same shape."""
        for i, block in enumerate(self):
            x = block(x, in_place=i > 0)
        return x


def swin_blocks(
    dim: int, depth: int, heads: int, window: int, mlp_ratio: float = 4.0
) -> SwinBlocks:
    """`depth` Swin blocks, every second one shifted by half a window."""
    shifts = [window // 2 if i % 2 else 0 for i in range(depth)]
    return SwinBlocks(*(SwinBlock(dim, heads, window, shift, mlp_ratio) for shift in shifts))


@cache
def _compiled_strip() -> Callable[[SwinBlock, Tensor, Tensor, bool], Tensor]:
    return torch.compile(SwinBlock._strip, dynamic=False)


def compile_blocks(network: nn.Module) -> None:
    """Have torch.compile work on every block, when it is first called with a shape.

    Of Swin blocks on the CPU on each kind of strip in training: a whole map would leave the caches,
    which costs more than compilation gains, and inference is no faster with it. Blocks of one width
    and shift share what is compiled: about 15 kinds of strips in `witt_base`, of 24 blocks, and
    PyTorch would give up after 8.
    """
    import torch._dynamo.config as limits

    limits.recompile_limit = max(limits.recompile_limit, KINDS)
    for module in network.modules():
        if isinstance(module, SwinBlock):
            if module.attn.qkv.weight.device.type == "cpu":
                module.strip_is_compiled = True
            else:
                module.compile()
        elif getattr(module, "branch_ends", ()):  # another kind of block
            module.compile(dynamic=False)
