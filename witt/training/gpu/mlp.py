"""A block's MLP branch on rows: plain lines, and one kernel with its gradients.

    x + fc2(gelu(fc1(LayerNorm(x))))

The hidden layer is four times as wide as x; the plain lines write and read it eight times in all,
which is half of the bytes of a block. The kernel takes the widths of 64, 128 and 256 only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-5  # of LayerNorm
WIDTHS = (64, 128, 256)  # that the kernel takes
CHUNK = 64  # columns of the hidden layer at a time
ROWS = 64  # of a tile; with more, a Hopper GPU's registers do not hold what a program needs

Weights = tuple[Tensor, Tensor]  # weight and bias


def norm_linear(x: Tensor, norm: Weights, weight: Tensor, bias: Tensor | None) -> Tensor:
    """linear(LayerNorm(x)), the norm in float32."""
    y = F.layer_norm(x.float(), norm[0].shape, *norm, EPS).to(x.dtype)
    return F.linear(y, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def add_linear(x: Tensor, branch: Tensor, layer: Weights) -> Tensor:
    """x + linear(branch)."""
    return x + F.linear(branch, *(p.to(x.dtype) for p in layer))


def mlp(x: Tensor, norm: Weights, fc1: Weights, fc2: Weights) -> Tensor:
    """The branch on (rows, C)."""
    return add_linear(x, F.gelu(norm_linear(x, norm, *fc1)), fc2)


def fits_kernel(x: Tensor, hidden: int) -> bool:
    """Whether the kernel takes these rows, and a hidden layer of this width."""
    return x.shape[1] in WIDTHS and len(x) % ROWS == 0 and hidden % CHUNK == 0


def mlp_kernel(x: Tensor, norm: Weights, fc1: Weights, fc2: Weights) -> Tensor:
    """As `mlp`, by one kernel; for rows that `fits_kernel`."""
    result: Tensor = _Mlp.apply(x, *norm, *fc1, *fc2)
    return result


class _Mlp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        from witt.training.gpu.mlp_kernels import branch

        gamma, beta, w1, b1, w2, b2 = weights
        low1, low2 = w1.to(x.dtype), w2.to(x.dtype)
        out = torch.empty_like(x)
        branch[(_programs(x),)](x, gamma, beta, low1, b1, low2, b2, out, **_sizes(x, w1))
        ctx.save_for_backward(x, gamma, beta, low1, b1, low2)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from witt.training.gpu.mlp_kernels import branch_back

        x, gamma, beta, w1, b1, w2 = ctx.saved_tensors
        grad, programs, hidden = grad.contiguous(), _programs(x), len(w1)
        dx, y = torch.empty_like(x), torch.empty_like(x)
        g, du = x.new_empty(len(x), hidden), x.new_empty(len(x), hidden)
        dgamma, dbeta = gamma.new_empty(programs, len(gamma)), beta.new_empty(programs, len(beta))
        db1 = b1.new_empty(programs, hidden)
        branch_back[(programs,)](
            x, gamma, beta, w1, b1, w2, grad, dx, y, g, du, dgamma, dbeta, db1,
            **_sizes(x, w1),
        )  # fmt: skip
        dw1, dw2 = (du.mT @ y).to(b1.dtype), (grad.mT @ g).to(b1.dtype)
        db2 = grad.sum(0, dtype=b1.dtype)
        return dx, dgamma.sum(0), dbeta.sum(0), dw1, db1.sum(0), dw2, db2


def _programs(x: Tensor) -> int:
    return len(x) // ROWS


def _sizes(x: Tensor, w1: Tensor) -> dict[str, Any]:
    width = x.shape[1]
    launch = {"num_warps": 4 if width <= 128 else 8, "num_stages": 2}
    return {"EPS": EPS, "M": ROWS, "C": width, "H": len(w1), "K": CHUNK, **launch}


def mlp_error(width: int, dtype: torch.dtype, device: torch.device) -> float:
    """Largest relative error of the kernel and its gradients against the plain lines in float32."""
    source = torch.Generator(device).manual_seed(0)

    def normal(*shape: int, size: float = 1.0) -> Tensor:
        return size * torch.randn(shape, device=device, generator=source)

    rows = 2 * ROWS
    given = (normal(rows, width), 1 + normal(width, size=0.1), normal(width, size=0.1),
             normal(4 * width, width, size=width**-0.5), normal(4 * width, size=0.1),
             normal(width, 4 * width, size=(4 * width) ** -0.5), normal(width))  # fmt: skip
    grad = normal(rows, width)
    found = []
    for line, kind in ((mlp, torch.float32), (mlp_kernel, dtype)):
        x = given[0].to(dtype).to(kind).requires_grad_()
        gamma, beta, w1, b1, w2, b2 = (w.clone().requires_grad_() for w in given[1:])
        out = line(x, (gamma, beta), (w1, b1), (w2, b2))
        out.backward(grad.to(dtype).to(kind))
        gradients = [w.grad for w in (x, gamma, beta, w1, b1, w2, b2) if w.grad is not None]
        found.append([out.detach(), *gradients])
    return max(
        float((a.float() - b.float()).norm() / a.norm()) for a, b in zip(*found, strict=True)
    )
