"""Attention distance against loops over tokens, with masks and position bias."""

import math
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

import channels
import witt
from benchmarks.analysis.attention import (
    Block,
    Distances,
    attention,
    blocks_of,
    distances,
    watched,
)
from benchmarks.analysis.examples import pictures_of
from benchmarks.analysis.sending import Named
from tests.witt.tiny import FULL, picture, tiny
from witt.link.conditions import Link
from witt.nn.swin import SwinBlock, attend

WINDOW, HEADS, DIM = 4, 3, 12
SIZES = [(8, 12), (4, 4), (12, 4)]


def block(shift: int) -> SwinBlock:
    made = SwinBlock(DIM, HEADS, WINDOW, shift).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return made


def looked_at(made: SwinBlock, size: tuple[int, int]) -> Distances:
    """With its queries, keys and biases as they are."""
    found = Distances(Block("b", made, HEADS, WINDOW, made.shift, 1))
    x = torch.randn((2, *size, DIM), generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode(), watched([(made, found.add)]):
        made(x)
    return found


def alike_to_all(size: tuple[int, int], shift: int) -> float:
    """Mean distance of a token to those of its window on the picture, in loops."""
    height, width = size

    def window(y: int, x: int) -> tuple[int, int, bool, bool]:
        """Which window, and whether the shift brought the token there from the other border."""
        rows, columns = (y - shift) % height, (x - shift) % width
        return rows // WINDOW, columns // WINDOW, y < shift, x < shift

    tokens = list(product(range(height), range(width)))
    means = []
    for here in tokens:
        near = [math.dist(here, there) for there in tokens if window(*here) == window(*there)]
        means.append(sum(near) / len(near))
    return sum(means) / len(means)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shift", [0, 2])
def test_no_preference(size: tuple[int, int], shift: int) -> None:
    made = block(shift)
    with torch.no_grad():
        made.attn.qkv.weight.zero_()
        made.attn.relative_position_bias_table.zero_()
    found, expected = looked_at(made, size), alike_to_all(size, shift)
    assert found.heads.tolist() == pytest.approx([expected] * HEADS, abs=1e-10)
    assert found.uniform == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("shift", [0, 2])
def test_each_token_to_itself(shift: int) -> None:
    made = block(shift)
    centre = (2 * WINDOW - 1) ** 2 // 2
    with torch.no_grad():
        made.attn.qkv.weight.zero_()
        made.attn.relative_position_bias_table.zero_()
        made.attn.relative_position_bias_table[centre] = 60.0
    assert looked_at(made, (8, 12)).heads.tolist() == pytest.approx([0] * HEADS, abs=1e-10)


def test_a_head_that_looks_one_token_to_the_side() -> None:
    """Of a row of four, three tokens have a neighbour on the right; the last looks at all alike."""
    made = block(0)
    right = (WINDOW - 1) * (2 * WINDOW - 1) + WINDOW - 2  # same row, the key one to the right
    with torch.no_grad():
        made.attn.qkv.weight.zero_()
        made.attn.relative_position_bias_table.zero_()
        made.attn.relative_position_bias_table[right, 1] = 60.0
    ends = [
        math.dist((y, WINDOW - 1), there)
        for y in range(WINDOW)
        for there in product(range(WINDOW), repeat=2)
    ]
    expected = (3 + sum(ends) / len(ends)) / 4
    found = looked_at(made, (8, 12)).heads.tolist()
    assert found[1] == pytest.approx(expected, abs=1e-10)
    assert found[0] == found[2] != pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_attention_of_the_block(masked: bool) -> None:
    """Times the values it is what the block goes on with."""
    generator = torch.Generator().manual_seed(2)
    qkv = torch.randn((5, 16, 3 * DIM), generator=generator).double()
    bias = torch.randn((HEADS, 16, 16), generator=generator).double()
    bias = bias + block(2).masks[1, 1].double() if masked else bias
    v = qkv[..., 2 * DIM :].unflatten(-1, (HEADS, -1)).transpose(1, 2)
    attended = (attention(qkv, bias) @ v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attended, attend(qkv, bias), rtol=0, atol=1e-12)


def named(model: witt.Codec) -> Named:
    return Named(model.float(), {"name": "tiny", "weights_sha256": "0"})


def test_of_a_codec(tmp_path: Path) -> None:
    """Strides, windows and shifts of both ends, and each picture cut to whole windows."""
    model = tiny(patch=4)
    found, sending = blocks_of(model.float())
    assert [(b.stride, b.window, b.shift, b.heads) for b in found] == [
        (4, 2, 0, 2), (4, 2, 1, 2), (8, 2, 0, 3), (8, 2, 1, 3),
        (8, 2, 0, 3), (8, 2, 1, 3), (4, 2, 0, 2), (4, 2, 1, 2),
    ]  # fmt: skip
    assert sending == 4
    witt.write_png(
        tmp_path / "a.png", (picture(1, 40, 50)[0] * 255).byte().permute(1, 2, 0).numpy()
    )
    entries = distances(named(model), pictures_of(tmp_path), Link(), [1.0, 13.0], None, 0)
    assert entries["multiple"] == 16
    assert entries["channel_at"] == 4
    # Windows of 2 tokens: 0, 1, 1 and √2 tokens apart; here the picture has 32 × 48 pixels.
    assert entries["blocks"][0]["uniform_px"] == pytest.approx((2 + 2**0.5), abs=1e-3)
    near, far = entries["distance_px"]
    assert near[:4] == far[:4]  # no noise, and the ModNet comes later
    assert near[4:] != far[4:]
    for block_, heads in zip(entries["blocks"], near, strict=True):
        assert all(0 < x < block_["stride_px"] * 2**0.5 for x in heads)
    big = tiny(3, window=8, patch=2)
    with pytest.raises(witt.InputError, match=r"a\.png has 50x40 pixels: .* at least 64x64"):
        distances(named(big), pictures_of(tmp_path), Link(), [1.0], None, 0)


@pytest.mark.parametrize("entries", [{}, FULL], ids=["plain", "full"])
def test_nothing_stays(entries: dict[str, object]) -> None:
    model = tiny(**entries)
    pictures = picture(2, 16, 16)

    def received() -> Tensor:
        with torch.inference_mode():
            generator = torch.Generator().manual_seed(1)
            return model(pictures, channels.AWGN(), 7.0, generator=generator).image

    before = received()
    blocks, _ = blocks_of(model)
    sums = [Distances(each) for each in blocks]
    with watched([(b.module, s.add) for b, s in zip(blocks, sums, strict=True)]):
        assert torch.equal(received(), before)
    assert torch.equal(received(), before)
    assert all(s.heads.isfinite().all() for s in sums)
    for module in model.modules():
        assert not module._forward_pre_hooks
        assert "attend" not in vars(module)


def test_none_to_look_at() -> None:
    with pytest.raises(
        witt.InputError, match="deepjscc has no Swin blocks, whose attention this looks at"
    ):
        blocks_of(witt.create_model("deepjscc"))
