"""Swin blocks, merging, un-merging and the ModNet against loops written from their equations."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import erf, expit, softmax
from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from witt.nn.layers import DecoderStage, EncoderStage, ModNet, Unmerge
from witt.nn.swin import swin_blocks

Array = npt.NDArray[np.float64]


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64, every parameter drawn anew: none is left at 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(
                0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            )
    return module


def normal(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def weights(module: nn.Module) -> dict[str, Array]:
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def layer_norm(x: Array, w: dict[str, Array], name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x: Array, w: dict[str, Array], name: str) -> Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def attend(
    tokens: Array, wrapped: list[tuple[bool, bool]], w: dict[str, Array], side: int, heads: int
) -> Array:
    """Attention among the tokens of one window, (side², C) in row order."""
    count, dim = tokens.shape
    head = dim // heads
    q, k, v = np.split(linear(tokens, w, "attn.qkv"), 3, axis=1)
    table = w["attn.relative_position_bias_table"]
    out = np.zeros_like(tokens)
    for n in range(heads):
        part = slice(n * head, (n + 1) * head)
        logits = np.zeros((count, count))
        for i in range(count):
            for j in range(count):
                rows, columns = i // side - j // side, i % side - j % side
                index = (rows + side - 1) * (2 * side - 1) + columns + side - 1
                logits[i, j] = q[i, part] @ k[j, part] / math.sqrt(head) + table[index, n]
                if wrapped[i] != wrapped[j]:  # they meet only through the cyclic shift
                    logits[i, j] -= 100
        out[:, part] = softmax(logits, axis=1) @ v[:, part]
    return linear(out, w, "attn.proj")


def swin_block(x: Array, w: dict[str, Array], side: int, shift: int, heads: int) -> Array:
    """One block on a map (H, W, C), by loops; bottom and right are padded with zeros."""
    height, width, dim = x.shape
    normed = layer_norm(x, w, "norm1")
    added = np.zeros_like(x)
    for top in range(0, height, side):
        for left in range(0, width, side):
            tokens, wrapped = [], []
            places: list[tuple[int, int] | None] = []
            for row in range(top, top + side):
                for column in range(left, left + side):
                    inside = row < height and column < width
                    place = ((row + shift) % height, (column + shift) % width)
                    places.append(place if inside else None)
                    tokens.append(normed[place] if inside else np.zeros(dim))
                    wrapped.append((row + shift >= height, column + shift >= width))
            if shift == 0:
                wrapped = [(False, False)] * side**2
            result = attend(np.array(tokens), wrapped, w, side, heads)
            for target, value in zip(places, result, strict=True):
                if target is not None:
                    added[target] = value
    x = x + added
    hidden = linear(layer_norm(x, w, "norm2"), w, "mlp.fc1")
    return x + linear(hidden * (1 + erf(hidden / math.sqrt(2))) / 2, w, "mlp.fc2")


@pytest.mark.parametrize(
    ("height", "width"),
    [(8, 12), (4, 4), (4, 8)],  # several windows, a map that is one window, both
)
@pytest.mark.parametrize("index", [0, 1], ids=["plain", "shifted"])
def test_swin_block(index: int, height: int, width: int) -> None:
    block = randomised(swin_blocks(dim=6, depth=2, heads=3, window=4)[index])
    x = normal(2, height, width, 6)
    out = block(x).detach().numpy()
    for image, expected in zip(out, x.numpy(), strict=True):
        reference = swin_block(expected, weights(block), 4, 2 * index, 3)
        np.testing.assert_allclose(image, reference, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (1, 1), (2, 9)])
def test_swin_block_pads_odd_maps(height: int, width: int) -> None:
    block = randomised(swin_blocks(dim=6, depth=1, heads=2, window=4)[0])
    x = normal(1, height, width, 6)
    reference = swin_block(x[0].numpy(), weights(block), 4, 0, 2)
    np.testing.assert_allclose(block(x)[0].detach().numpy(), reference, rtol=0, atol=1e-9)


@pytest.mark.parametrize("window", [1, 2, 5, 8])
def test_every_second_block_is_shifted(window: int) -> None:
    blocks = swin_blocks(dim=4, depth=4, heads=1, window=window)
    assert [b.shift_size for b in blocks] == [(0, 0), (window // 2,) * 2] * 2
    assert all(b.window_size == (window, window) for b in blocks)


def test_merge_order() -> None:
    """Neighbours in the order (row 0, col 0), (1, 0), (0, 1), (1, 1), as published."""
    merge = EncoderStage(3, 5, depth=1, heads=1, window=2).downsample
    assert isinstance(merge, PatchMerging)
    randomised(merge)
    x, w = normal(1, 4, 6, 3), weights(merge)
    out = merge(x)[0].detach().numpy()
    assert out.shape == (2, 3, 5)
    for row, column in np.ndindex(2, 3):
        parts = [x[0, 2 * row + r, 2 * column + c] for r, c in ((0, 0), (1, 0), (0, 1), (1, 1))]
        expected = layer_norm(torch.cat(parts).numpy(), w, "norm") @ w["reduction.weight"].T
        np.testing.assert_allclose(out[row, column], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("factor", [2, 4])
def test_unmerge_order(factor: int) -> None:
    """Output channel c at offset (r, s) comes from feature c·f² + r·f + s."""
    unmerge = randomised(Unmerge(4, 3, factor))
    x, w = normal(1, 2, 3, 4), weights(unmerge)
    out = unmerge(x)[0].detach().numpy()
    assert out.shape == (2 * factor, 3 * factor, 3)
    wide = layer_norm(x[0].numpy(), w, "norm") @ w["increment.weight"].T
    for row, column, c in np.ndindex(*out.shape):
        feature = c * factor**2 + row % factor * factor + column % factor
        expected = wide[row // factor, column // factor, feature]
        assert out[row, column, c] == pytest.approx(expected, abs=1e-10)


def test_stages_merge_first_and_unmerge_last() -> None:
    encoder = EncoderStage(4, 6, depth=2, heads=2, window=2)
    randomised(encoder)
    x = normal(1, 4, 4, 4)
    assert torch.equal(encoder(x), encoder.blocks(encoder.downsample(x)))
    decoder = DecoderStage(6, 3, 2, depth=2, heads=2, window=2)
    randomised(decoder)
    y = normal(1, 4, 4, 6)
    assert torch.equal(decoder(y), decoder.upsample(decoder.blocks(y)))
    first = EncoderStage(None, 4, depth=1, heads=2, window=2)
    randomised(first)
    assert torch.equal(first(x), first.blocks(x))


@pytest.mark.parametrize("layers", [1, 3, 7])
@pytest.mark.parametrize("conditions", [1, 2])
@pytest.mark.parametrize("width", [1, 2])  # 3 tokens, or 6: more than features, so one affine map
def test_modnet(layers: int, conditions: int, width: int) -> None:
    modnet = randomised(ModNet(5, layers, 1.5, conditions))
    x, condition, w = normal(2, 3, width, 5), normal(2, conditions, seed=2), weights(modnet)
    out = modnet(x, condition).detach().numpy()

    for b in range(2):
        t = x[b].numpy()
        for k in range(layers):
            factor = condition[b].numpy()
            for part in (0, 2, 4):
                factor = linear(factor, w, f"bm_list.{k}.{part}")
                factor = np.maximum(factor, 0) if part < 4 else expit(factor)
            assert factor.shape == (7,)  # int(1.5 · 5)
            t = linear(t, w, f"sm_list.{k}") * factor
        expected = x[b].numpy() * expit(linear(t, w, f"sm_list.{layers}"))
        np.testing.assert_allclose(out[b], expected, rtol=0, atol=1e-10)


def test_modnet_gradient_reaches_the_features_through_the_gate() -> None:
    """Unlike in the published code, which detaches them: the gate's slope is in dy/dx."""
    modnet = randomised(ModNet(1, 2, 4.0, 1))
    x, condition = normal(1, 1, 1, 1).requires_grad_(), normal(1, 1, seed=2)
    (slope,) = torch.autograd.grad(modnet(x, condition).sum(), x)
    step = 1e-6
    numeric = (modnet(x + step, condition) - modnet(x - step, condition)).sum() / (2 * step)
    gate = modnet(x, condition) / x
    assert slope.item() == pytest.approx(numeric.item(), rel=1e-6)
    assert abs(slope - gate).item() > 1e-3  # what detached features would give


def test_modnet_of_many_tokens_is_one_product() -> None:
    """Past as many tokens as features, another token costs dim² multiply-adds, not the chain."""
    modnet = ModNet(8, 3, 2.0, 1)
    flops = []
    for width in (5, 6):  # 15 and 18 tokens
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            modnet(torch.ones(1, 3, width, 8), torch.ones(1, 1))
        flops.append(counter.get_total_flops())
    assert flops[1] - flops[0] == 2 * 3 * 8**2


def check_gradients(module: nn.Module, *inputs: Tensor) -> None:
    """gradcheck in the inputs and in every parameter."""
    names = [name for name, _ in module.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    count = len(inputs)

    def call(*arguments: Tensor) -> Tensor:
        named = dict(zip(names, arguments[count:], strict=True))
        return torch.func.functional_call(module, named, arguments[:count])

    leaves = [x.clone().requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(call, (*leaves, *values), fast_mode=True)


@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (Unmerge(4, 3, 2), [(2, 2, 3, 4)]),
        (ModNet(4, 3, 1.5, 2), [(2, 2, 2, 4), (2, 2)]),
        (ModNet(4, 3, 1.5, 2), [(2, 2, 3, 4), (2, 2)]),
        (EncoderStage(2, 4, 2, 2, 2), [(1, 4, 6, 2)]),
    ],
    ids=["unmerge", "modnet", "modnet-affine", "stage"],
)
def test_gradients(module: nn.Module, shapes: list[tuple[int, ...]]) -> None:
    check_gradients(randomised(module), *(normal(*s, seed=i) for i, s in enumerate(shapes)))
