# mypy: disallow-untyped-defs=False
"""Triton's part of `witt.training.gpu.attention`; importing it takes Triton.

A program takes one head of several windows, one after the other, so that the gradient of the bias
adds up in registers and is written once.
"""

import triton
import triton.language as tl


@triton.jit
def attend(qkv, bias, mask, kinds, out, C, scale, W, N: tl.constexpr, D: tl.constexpr):
    """softmax(q·kᵀ·scale + bias + mask)·v of W windows of N tokens in one head of width D."""
    block, head = tl.program_id(0), tl.program_id(1)
    r, c = tl.arange(0, N), tl.arange(0, D)
    square = r[:, None] * N + r[None, :]
    b = tl.load(bias + head * N * N + square)
    for i in range(W):
        w = (block * W + i).to(tl.int64)
        at = qkv + w * N * 3 * C + r[:, None] * 3 * C + head * D + c[None, :]
        q, k, v = tl.load(at), tl.load(at + C), tl.load(at + 2 * C)
        apart = tl.load(mask + tl.load(kinds + w) * N * N + square)
        s = tl.dot(q, tl.trans(k), input_precision="ieee") * scale + b + apart
        p = tl.exp(s - tl.max(s, 1)[:, None])
        p = p / tl.sum(p, 1)[:, None]
        o = tl.dot(p.to(q.dtype), v, input_precision="ieee")
        tl.store(out + w * N * C + r[:, None] * C + head * D + c[None, :], o.to(q.dtype))


@triton.jit
def attend_back(
    qkv, bias, mask, kinds, grad, dqkv, dbias, C, scale, W, N: tl.constexpr, D: tl.constexpr
):
    """Gradients of `attend`: of q, k and v, and of the bias, summed over the W windows."""
    block, head = tl.program_id(0), tl.program_id(1)
    r, c = tl.arange(0, N), tl.arange(0, D)
    square = r[:, None] * N + r[None, :]
    b = tl.load(bias + head * N * N + square)
    total = tl.zeros((N, N), dtype=tl.float32)
    for i in range(W):
        w = (block * W + i).to(tl.int64)
        at = w * N * 3 * C + r[:, None] * 3 * C + head * D + c[None, :]
        q, k, v = tl.load(qkv + at), tl.load(qkv + at + C), tl.load(qkv + at + 2 * C)
        do = tl.load(grad + w * N * C + r[:, None] * C + head * D + c[None, :])
        apart = tl.load(mask + tl.load(kinds + w) * N * N + square)
        s = tl.dot(q, tl.trans(k), input_precision="ieee") * scale + b + apart
        p = tl.exp(s - tl.max(s, 1)[:, None])
        p = p / tl.sum(p, 1)[:, None]
        dp = tl.dot(do, tl.trans(v), input_precision="ieee")
        ds = p * (dp - tl.sum(p * dp, 1)[:, None])
        total += ds
        low = ds.to(q.dtype)
        dq = tl.dot(low, k, input_precision="ieee") * scale
        dk = tl.dot(tl.trans(low), q, input_precision="ieee") * scale
        dv = tl.dot(tl.trans(p.to(q.dtype)), do, input_precision="ieee")
        tl.store(dqkv + at, dq.to(q.dtype))
        tl.store(dqkv + at + C, dk.to(q.dtype))
        tl.store(dqkv + at + 2 * C, dv.to(q.dtype))
    tl.store(dbias + (block * tl.num_programs(1) + head) * N * N + square, total)
