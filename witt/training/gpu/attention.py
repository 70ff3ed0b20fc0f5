"""Attention in windows, in rows of tokens: plain lines, and one kernel with its gradients.

    out = softmax(q·kᵀ/√d + bias + mask)·v

The tokens of a window are `N` rows one after the other, of q, k and v side by side. The kernel
keeps the logits of a window in registers; the plain lines write and read them in memory, which is
most of what they cost.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor

KERNEL_TOKENS = 64  # that a window of the kernel has
PROGRAMS = 1000  # that keep a GPU busy
WORST = 0.02  # relative error of the kernel; bfloat16 itself makes 0.005


def attend_plain(qkv: Tensor, bias: Tensor, masks: Tensor, kinds: Tensor) -> Tensor:
    """Attention of windows of N tokens.

    Args:
        qkv: (n·N, 3·C).
        bias: (heads, N, N).
        masks: (m, N, N), one for each kind of window.
        kinds: (n,) kind of each window, int32.

    Returns:
        (n·N, C).
    """
    heads, tokens, _ = bias.shape
    depth = qkv.shape[1] // 3 // heads
    q, k, v = qkv.view(-1, tokens, 3, heads, depth).permute(2, 0, 3, 1, 4).unbind()
    logits = (q @ k.mT).to(bias.dtype) * depth**-0.5 + bias + masks[kinds][:, None]
    out = logits.softmax(-1).to(v.dtype) @ v
    return out.transpose(1, 2).reshape(-1, heads * depth)


def has_triton() -> bool:
    """Whether the kernel can be used; Triton comes with the CUDA build of PyTorch."""
    return importlib.util.find_spec("triton") is not None


def attend_kernel(qkv: Tensor, bias: Tensor, masks: Tensor, kinds: Tensor) -> Tensor:
    """As `attend_plain`, by one kernel; windows of 64 tokens and heads of 16, 32, 64 … wide."""
    result: Tensor = _Attention.apply(qkv, bias, masks, kinds)
    return result


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, bias: Tensor, masks: Tensor, kinds: Tensor) -> Tensor:
        from witt.training.gpu.attention_kernels import attend

        (heads, tokens, _), width = bias.shape, qkv.shape[1] // 3
        windows, depth = len(qkv) // tokens, width // heads
        each = _each(windows, heads)
        out = qkv.new_empty(len(qkv), width)
        attend[(windows // each, heads)](
            qkv, bias, masks, kinds, out, width, depth**-0.5, each, N=tokens, D=depth
        )
        ctx.save_for_backward(qkv, bias, masks, kinds)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        from witt.training.gpu.attention_kernels import attend_back

        qkv, bias, masks, kinds = ctx.saved_tensors
        (heads, tokens, _), width = bias.shape, qkv.shape[1] // 3
        windows, depth = len(qkv) // tokens, width // heads
        each = _each(windows, heads)
        dqkv = torch.empty_like(qkv)
        dbias = bias.new_empty(windows // each, *bias.shape)
        attend_back[(windows // each, heads)](
            qkv, bias, masks, kinds, grad.contiguous(), dqkv, dbias,
            width, depth**-0.5, each, N=tokens, D=depth,
        )  # fmt: skip
        return dqkv, dbias.sum(0), None, None


def _each(windows: int, heads: int) -> int:
    """Windows of a program: a power of two that divides all, and leaves programs enough."""
    each = 1
    while windows % (2 * each) == 0 and windows * heads // (2 * each) >= PROGRAMS:
        each *= 2
    return each


def kernel_error(heads: int, depth: int, dtype: torch.dtype, device: torch.device) -> float:
    """Largest relative error of the kernel and its gradients against the plain lines in float32."""
    source = torch.Generator(device).manual_seed(0)
    windows, tokens = 8, KERNEL_TOKENS

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, generator=source)

    qkv, bias = normal(windows * tokens, 3 * heads * depth), normal(heads, tokens, tokens)
    masks = -100.0 * (normal(4, tokens, tokens) > 0.5).float()
    kinds = (torch.arange(windows, device=device) % 4).int()
    grad = normal(windows * tokens, heads * depth).to(dtype)
    found = []
    for attend, kind in ((attend_plain, torch.float32), (attend_kernel, dtype)):
        q, b = qkv.to(dtype).to(kind).requires_grad_(), bias.clone().requires_grad_()
        out = attend(q, b, masks, kinds)
        out.backward(grad.to(kind))
        found.append((out.detach(), q.grad, b.grad))
    errors = [
        float((x.float() - y.float()).norm() / x.norm())
        for x, y in zip(*found, strict=True)
        if x is not None and y is not None
    ]
    return max(errors)
