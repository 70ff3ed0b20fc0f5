"""The two kinds of attention to pooled keys: against timm's blocks, and loops over tokens."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from timm.models.mvitv2 import MultiScaleBlock
from timm.models.vision_transformer import Block
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.witt.nn.blocks.oracle import Array, attend, layer_norm, linear, mlp, weights
from tests.witt.nn.blocks.test_every_block import DIM, HEADS, made, normal
from witt.nn.blocks import hpvit
from witt.nn.blocks.hpvit import PlainBlock
from witt.nn.blocks.mvit import PoolingBlock
from witt.nn.blocks.pooled import KEYS

HEAD, STRIDE = DIM // HEADS, 2
# One region (of 16 tokens a side), less, more than one, and more both ways.
SIZES = [(16, 16), (7, 5), (20, 3), (19, 27)]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)
every_index = pytest.mark.parametrize("index", [0, 1])


def regions(length: int, shifted: bool) -> list[range]:
    """Cells of each region along one side, of a map of so many tokens."""
    cells = math.ceil(length / STRIDE)
    cuts = list(range(KEYS // 2 if shifted and cells > KEYS else KEYS, cells, KEYS))
    return [range(a, b) for a, b in zip([0, *cuts], [*cuts, cells], strict=True)]


def pooled_by_convolution(x: Array, kernel: Array) -> Array:
    """(H, W, d) by a kernel (d, 1, 3, 3) for each feature, every second token, 0 beyond."""
    height, width, _ = x.shape
    out = np.zeros((math.ceil(height / 2), math.ceil(width / 2), x.shape[2]))
    for row, column in np.ndindex(*out.shape[:2]):
        for i, j in np.ndindex(3, 3):
            y, z = 2 * row + i - 1, 2 * column + j - 1
            if 0 <= y < height and 0 <= z < width:
                out[row, column] += kernel[:, 0, i, j] * x[y, z]
    return out


def mvit_reference(tokens: Array, w: dict[str, Array], shifted: bool) -> Array:
    height, width, _ = tokens.shape
    q, k, v = np.split(linear(layer_norm(tokens, w, "norm1"), w, "attn.qkv"), 3, axis=-1)
    out = np.zeros_like(tokens)
    for head in range(HEADS):
        part = slice(head * HEAD, (head + 1) * HEAD)
        pooled = [
            layer_norm(
                pooled_by_convolution(x[:, :, part], w[f"attn.pool_{n}.weight"]),
                w,
                f"attn.norm_{n}",
            )
            for n, x in (("k", k), ("v", v))
        ]
        for rows in regions(height, shifted):
            for columns in regions(width, shifted):
                for row in range(rows[0] * STRIDE, min((rows[-1] + 1) * STRIDE, height)):
                    for column in range(
                        columns[0] * STRIDE, min((columns[-1] + 1) * STRIDE, width)
                    ):
                        own = q[row, column, part]
                        places = [(i, j) for i in rows for j in columns]
                        far = (KEYS - 1) * STRIDE
                        logits = [
                            own @ w["attn.rel_pos_h"][row - STRIDE * i + far]
                            + own @ w["attn.rel_pos_w"][column - STRIDE * j + far]
                            for i, j in places
                        ]
                        keys, values = ([x[place] for place in places] for x in pooled)
                        out[row, column, part] = own + attend(own, keys, values, logits)
    x = tokens + linear(out, w, "attn.proj")
    return x + mlp(layer_norm(x, w, "norm2"), w, "mlp")


def sines(place: float, count: int) -> list[float]:
    speeds = [10_000 ** -(n / (count // 2)) for n in range(count // 2)]
    return [math.sin(place * s) for s in speeds] + [math.cos(place * s) for s in speeds]


def hpvit_reference(tokens: Array, w: dict[str, Array], shifted: bool) -> Array:
    height, width, _ = tokens.shape
    y = layer_norm(tokens, w, "norm1", 1e-6)
    out = np.zeros_like(tokens)
    for rows in regions(height, shifted):
        for columns in regions(width, shifted):
            # A region that is cut off at the upper or left border begins as if it were whole.
            up, left = (
                STRIDE * (KEYS - len(part))
                if shifted and part[0] == 0 and math.ceil(n / STRIDE) > KEYS
                else -STRIDE * part[0]
                for part, n in ((rows, height), (columns, width))
            )
            queries = [
                (r, c)
                for r in range(STRIDE * rows[0], min(STRIDE * (rows[-1] + 1), height))
                for c in range(STRIDE * columns[0], min(STRIDE * (columns[-1] + 1), width))
            ]
            keys = []
            for i in rows:
                for j in columns:
                    inside = [
                        y[r, c]
                        for r in range(STRIDE * i, min(STRIDE * (i + 1), height))
                        for c in range(STRIDE * j, min(STRIDE * (j + 1), width))
                    ]
                    place = sines(STRIDE * i + up + 0.5, DIM // 2) + sines(
                        STRIDE * j + left + 0.5, DIM // 2
                    )
                    keys.append(np.split(linear(np.mean(inside, 0) + place, w, "attn.qkv"), 3)[1:])
            for r, c in queries:
                place = np.array(sines(r + up, DIM // 2) + sines(c + left, DIM // 2))
                q = np.split(linear(y[r, c] + place, w, "attn.qkv"), 3)[0]
                for head in range(HEADS):
                    part = slice(head * HEAD, (head + 1) * HEAD)
                    k, v = [key[part] for key, _ in keys], [value[part] for _, value in keys]
                    out[r, c, part] = attend(q[part], k, v, [0.0] * len(k))
    x = tokens + linear(out, w, "attn.proj")
    return x + mlp(layer_norm(x, w, "norm2", 1e-6), w, "mlp")


@every_index
@every_size
def test_mvit_against_a_loop(index: int, size: tuple[int, int]) -> None:
    block, x = made("mvit")[index], normal(1, *size, DIM)
    expected = torch.from_numpy(mvit_reference(x[0].numpy(), weights(block), index == 1))
    torch.testing.assert_close(block(x)[0], expected, rtol=1e-9, atol=1e-9)


@every_index
@every_size
def test_hpvit_against_a_loop(index: int, size: tuple[int, int]) -> None:
    block, x = made("hpvit")[index], normal(1, *size, DIM)
    expected = torch.from_numpy(hpvit_reference(x[0].numpy(), weights(block), index == 1))
    torch.testing.assert_close(block(x)[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_map_of_one_region_goes_through_timms_pooling_block(stride: int) -> None:
    ours = PoolingBlock(DIM, HEADS, stride, True, 2.0).double()
    kernel = (stride + 1,) * 2 if stride > 1 else (1, 1)
    side = KEYS * stride
    theirs = MultiScaleBlock(
        DIM, DIM, HEADS, (side, side), 2.0, kernel_kv=kernel, stride_kv=(stride, stride),
        has_cls_token=False,
    ).double()  # fmt: skip
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.copy_(0.4 * normal(*parameter.shape, seed=len(name)))
    theirs.load_state_dict(ours.state_dict())
    x = normal(2, side, side, DIM)
    expected, size = theirs(x.flatten(1, 2), [side, side])
    assert size == [side, side]
    torch.testing.assert_close(ours(x), expected.view_as(x), rtol=1e-9, atol=1e-9)


def test_at_the_smallest_map_it_is_the_block_of_a_plain_vit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = PlainBlock(DIM, HEADS, 1, True, 2.0).double()
    norm = partial(nn.LayerNorm, eps=1e-6)
    theirs = Block(DIM, HEADS, 2.0, qkv_bias=True, norm_layer=norm).double()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.copy_(0.4 * normal(*parameter.shape, seed=len(name)))
    theirs.load_state_dict(ours.state_dict())
    monkeypatch.setattr(hpvit, "positions", lambda grid, stride, like: 0 * like)
    x = normal(2, KEYS, KEYS, DIM)
    expected = theirs(x.flatten(1, 2)).view_as(x)
    torch.testing.assert_close(ours(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["mvit", "hpvit"])
def test_a_pixel_of_a_large_picture_costs_no_more(name: str) -> None:
    """Whole regions, not shifted: the operations are proportional to the tokens."""
    counts = []
    block = made(name, depth=1)
    for side in (16, 64):
        with FlopCounterMode(display=False) as counter:
            block(normal(1, side, side, DIM))
        counts.append(counter.get_total_flops() / side**2)
    assert counts[1] == pytest.approx(counts[0], rel=1e-12)
