# mypy: disallow-untyped-defs=False
"""Triton's part of `witt.training.gpu.mlp`; importing it takes Triton.

A program takes a tile of M rows of width C through the whole branch; the hidden layer is there in
chunks of K columns only, in registers. For its gradients it is computed again; what the gradients
of the two matrices need of it is written, and they are left to the library.
"""

import triton
import triton.language as tl


@triton.jit
def normed(x, EPS: tl.constexpr, C: tl.constexpr):
    """(x − mean) / deviation of each row, and 1 / deviation."""
    centred = x - (tl.sum(x, 1) / C)[:, None]
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / C + EPS)
    return centred * inverse[:, None], inverse


@triton.jit
def branch(
    x, gamma, beta, w1, b1, w2, b2, out,
    EPS: tl.constexpr, M: tl.constexpr, C: tl.constexpr, H: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """out = x + gelu(LayerNorm(x)·w1ᵀ + b1)·w2ᵀ + b2 of M rows."""
    r, c, k = tl.arange(0, M), tl.arange(0, C), tl.arange(0, K)
    rows = tl.program_id(0).to(tl.int64) * M + r
    at = rows[:, None] * C + c[None, :]
    given = tl.load(x + at)
    unit, _ = normed(given.to(tl.float32), EPS, C)
    y = (unit * tl.load(gamma + c)[None, :] + tl.load(beta + c)[None, :]).to(given.dtype)
    total = given.to(tl.float32) + tl.load(b2 + c)[None, :]
    for start in range(0, H, K):
        h = start + k
        first = tl.load(w1 + h[:, None] * C + c[None, :])
        u = tl.dot(y, tl.trans(first), input_precision="ieee") + tl.load(b1 + h)[None, :]
        g = 0.5 * u * (1.0 + tl.erf(u * 0.7071067811865476))
        second = tl.load(w2 + c[:, None] * H + h[None, :])
        total += tl.dot(g.to(given.dtype), tl.trans(second), input_precision="ieee")
    tl.store(out + at, total.to(given.dtype))


@triton.jit
def branch_back(
    x, gamma, beta, w1, b1, w2, grad, dx, y_out, g_out, du_out, dgamma, dbeta, db1,
    EPS: tl.constexpr, M: tl.constexpr, C: tl.constexpr, H: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """Gradients of `branch`, those of LayerNorm and of b1 as sums over the M rows.

    What the matrices' need is written: LayerNorm(x), gelu(u), and the gradient of u.
    """
    program = tl.program_id(0)
    r, c, k = tl.arange(0, M), tl.arange(0, C), tl.arange(0, K)
    rows = program.to(tl.int64) * M + r
    at = rows[:, None] * C + c[None, :]
    given, dy = tl.load(x + at), tl.load(grad + at)
    unit, _ = normed(given.to(tl.float32), EPS, C)
    slope = tl.load(gamma + c)[None, :]
    y = (unit * slope + tl.load(beta + c)[None, :]).to(given.dtype)
    tl.store(y_out + at, y)
    total = tl.zeros((M, C), dtype=tl.float32)
    for start in range(0, H, K):
        h = start + k
        first = tl.load(w1 + h[:, None] * C + c[None, :])
        u = tl.dot(y, tl.trans(first), input_precision="ieee") + tl.load(b1 + h)[None, :]
        second = tl.load(w2 + c[:, None] * H + h[None, :])
        dg = tl.dot(dy, second, input_precision="ieee")
        below = 0.5 * (1.0 + tl.erf(u * 0.7071067811865476))
        du = dg * (below + u * 0.3989422804014327 * tl.exp(-0.5 * u * u))
        low = du.to(given.dtype)
        there = rows[:, None] * H + h[None, :]
        tl.store(g_out + there, (u * below).to(given.dtype))
        tl.store(du_out + there, low)
        tl.store(db1 + program * H + h, tl.sum(du, 0))
        total += tl.dot(low, first, input_precision="ieee")
    # Not kept in registers: the chunks need them.
    unit, inverse = normed(tl.load(x + at).to(tl.float32), EPS, C)
    tl.store(dgamma + program * C + c, tl.sum(total * unit, 0))
    tl.store(dbeta + program * C + c, tl.sum(total, 0))
    total = total * slope
    mean, along = tl.sum(total, 1) / C, tl.sum(total * unit, 1) / C
    total = (total - mean[:, None] - unit * along[:, None]) * inverse[:, None]
    tl.store(dx + at, (tl.load(grad + at).to(tl.float32) + total).to(given.dtype))
