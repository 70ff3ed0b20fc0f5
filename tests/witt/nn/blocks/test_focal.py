"""Focal attention against a loop over tokens, from section 3.2 of its paper."""

import numpy as np
import pytest
import torch

from tests.witt.nn.blocks.oracle import Array, attend, layer_norm, linear, mlp, weights
from tests.witt.nn.blocks.test_every_block import DIM, HEADS, WINDOW, made, normal
from witt.nn.blocks.focal import FocalBlock

CELL, AROUND = WINDOW // 2, 2
HEAD = DIM // HEADS


def reference(tokens: Array, w: dict[str, Array]) -> Array:
    height, width, _ = tokens.shape
    y = layer_norm(tokens, w, "norm1")
    q, k, v = np.split(linear(y, w, "attn.qkv"), 3, axis=-1)
    cells = {}
    for top in range(0, height, CELL):
        for left in range(0, width, CELL):
            mean = np.zeros(DIM)
            for n, (i, j) in enumerate(np.ndindex(CELL, CELL)):
                if top + i < height and left + j < width:
                    mean += w["attn.cell_weights"][n] * y[top + i, left + j]
            cells[top // CELL, left // CELL] = np.split(linear(mean, w, "attn.qkv"), 3)[1:]
    out = np.zeros_like(tokens)
    for row, column in np.ndindex(height, width):
        top, left = row // WINDOW * WINDOW, column // WINDOW * WINDOW
        for head in range(HEADS):
            part = slice(head * HEAD, (head + 1) * HEAD)
            keys, values, logits = [], [], []
            for i, j in np.ndindex(WINDOW, WINDOW):
                if top + i < height and left + j < width:
                    apart = (row - top - i + WINDOW - 1) * (2 * WINDOW - 1) + (
                        column - left - j + WINDOW - 1
                    )
                    keys.append(k[top + i, left + j, part])
                    values.append(v[top + i, left + j, part])
                    logits.append(w["attn.fine_bias_table"][apart, head])
            for i, j in np.ndindex(3 * AROUND, 3 * AROUND):
                place = (top // CELL - AROUND + i, left // CELL - AROUND + j)
                if place in cells:
                    keys.append(cells[place][0][part])
                    values.append(cells[place][1][part])
                    logits.append(w["attn.coarse_bias_table"][i * 3 * AROUND + j, head])
            out[row, column, part] = attend(q[row, column, part], keys, values, logits)
    x = tokens + linear(out, w, "attn.proj")
    return x + mlp(layer_norm(x, w, "norm2"), w, "mlp")


@pytest.mark.parametrize("size", [(8, 12), (9, 6), (1, 3)], ids=str)
def test_against_a_loop(size: tuple[int, int]) -> None:
    block, x = made("focal", depth=1)[0], normal(2, *size, DIM)
    for image, result in zip(x, block(x), strict=True):
        expected = torch.from_numpy(reference(image.numpy(), weights(block)))
        torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


def test_pooling_starts_as_the_mean() -> None:
    block = FocalBlock(DIM, HEADS, 8, 4.0)
    assert torch.equal(block.attn.cell_weights, torch.full((16,), 1 / 16))


@pytest.mark.parametrize("window", [1, 3, 5])
def test_an_odd_window_has_cells_as_large_as_itself(window: int) -> None:
    attention = FocalBlock(DIM, HEADS, window, 4.0).attn
    assert (attention.cell, attention.around) == (window, 1)
    assert attention(torch.randn(1, 7, 4, DIM)).shape == (1, 7, 4, DIM)
