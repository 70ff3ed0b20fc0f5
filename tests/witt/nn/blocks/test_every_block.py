"""What every kind of block must do: any map size, gradients, strips, shifts, a steady start."""

import pytest
import torch
from torch import Tensor, nn

from witt.errors import InputError
from witt.nn import swin
from witt.nn.blocks.stage import StageSize, blocks_of
from witt.nn.layers import init_steady
from witt.registry import BLOCKS

DIM, HEADS, WINDOW = 8, 2, 4
# Whole windows and regions; odd ones; one row; a single token; more than one region (of 16).
SIZES = [(16, 16), (13, 9), (1, 7), (1, 1), (33, 20)]
every_block = pytest.mark.parametrize("name", BLOCKS.names())
# Tokens after which a kind of block repeats itself, and how far from the border its two blocks in
# `made` see it. The keys of mvit look a token into the next region: one whole and two halves.
PERIOD = {"swin": 4, "mixer": 4, "focal": 4, "mvit": 16, "hpvit": 16, "convnext": 1, "resnet": 1}
REACH = {"swin": 8, "mixer": 8, "focal": 16, "mvit": 40, "hpvit": 24, "convnext": 6, "resnet": 4}


def made(name: str, depth: int = 2, seed: int = 0) -> nn.Module:
    """Blocks in float64 whose parameters are all drawn anew: none is left at 0 or 1."""
    blocks = blocks_of(name, StageSize(DIM, depth, HEADS, WINDOW, 2.0, halvings=1)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in blocks.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return blocks


def normal(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@every_block
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_shape_and_gradients(name: str, size: tuple[int, int]) -> None:
    blocks, x = made(name), normal(2, *size, DIM).requires_grad_()
    y = blocks(x)
    assert y.shape == x.shape
    assert y.isfinite().all()
    y.square().sum().backward()
    for parameter_name, parameter in blocks.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    assert x.grad is not None
    assert x.grad.isfinite().all()


@every_block
def test_every_parameter_counts(name: str) -> None:
    """On a map of several windows and regions none has a gradient of 0 everywhere."""
    blocks = made(name)
    blocks(normal(1, 20, 24, DIM)).square().sum().backward()
    for parameter_name, parameter in blocks.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0, parameter_name


@every_block
@pytest.mark.parametrize("size", [(13, 9), (33, 20)], ids=str)
def test_pictures_of_a_batch_do_not_mix(name: str, size: tuple[int, int]) -> None:
    blocks, x = made(name), normal(3, *size, DIM)
    apart = torch.cat([blocks(one[None]) for one in x])
    torch.testing.assert_close(blocks(x), apart, rtol=1e-10, atol=1e-10)


@every_block
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_strips_change_nothing(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without gradients a map goes through in strips, here the shortest there are."""
    blocks, x = made(name), normal(2, *size, DIM)
    whole = blocks(x)
    before = x.clone()
    monkeypatch.setattr(swin, "STRIP", 1)
    with torch.no_grad():
        torch.testing.assert_close(blocks(x), whole, rtol=1e-9, atol=1e-9)
    assert torch.equal(x, before)  # in_place is the caller's to ask for


@every_block
def test_a_shifted_map_gives_the_shifted_result(name: str) -> None:
    """Away from the borders, by as many tokens as the blocks repeat themselves after."""
    step, reach = PERIOD[name], REACH[name]
    side = 2 * reach + 2 * PERIOD[name] + 8
    whole, blocks = normal(1, side + step, side + 2 * step, DIM), made(name)
    one = blocks(whole[:, :side, :side])
    other = blocks(whole[:, step:, 2 * step :])
    there = one[:, reach + step : -reach, reach + 2 * step : -reach]
    here = other[:, reach : -reach - step, reach : -reach - 2 * step]
    assert here.shape == there.shape
    assert here.numel() > 0
    torch.testing.assert_close(here, there, rtol=1e-9, atol=1e-9)


@every_block
def test_tokens_look_at_their_neighbours(name: str) -> None:
    x, blocks = normal(1, 8, 8, DIM), made(name, depth=1)
    changed = x.clone()
    changed[:, 5, 5] = normal(DIM, seed=2)  # a LayerNorm would not see a constant
    apart = (blocks(x) - blocks(changed)).abs().amax(-1)[0]
    assert apart[4, 5] > 1e-3
    assert apart[5, 6] > 1e-3


@every_block
def test_a_steady_start(name: str) -> None:
    """All layers keep the power of what they get, but the last of each branch, which is small."""
    network = blocks_of(name, StageSize(64, 3, 4, 8, 4.0, halvings=1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        init_steady(network, 0.3)
    ends = [f"{i}.{end}" for i, block in enumerate(network) for end in block.branch_ends]
    checked = 0
    for layer_name, layer in network.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            expected = (0.3 if layer_name in ends else 1.0) * layer.weight[0].numel() ** -0.5
            n = layer.weight.numel()
            assert layer.weight.std().item() == pytest.approx(expected, rel=4 / (2 * n) ** 0.5)
            checked += layer_name in ends
    assert checked == len(ends) > 0
    x = torch.randn(1, 32, 32, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        added = network(x) - x
    assert 0.05 < added.std() < 1.0


@every_block
def test_in_bfloat16_the_sums_stay_in_full(name: str) -> None:
    blocks = made(name).float()
    x = normal(1, 17, 19, DIM).float()
    with torch.autocast("cpu", torch.bfloat16):
        y = blocks(x)
        with torch.no_grad():
            again = blocks(x)
    assert y.dtype == again.dtype == torch.float32
    size = blocks(x).std()
    assert (y - blocks(x)).std() < 0.05 * size
    assert (again - y).std() < 0.05 * size


def test_unknown_blocks() -> None:
    size = StageSize(DIM, 1, HEADS, WINDOW)
    with pytest.raises(InputError, match=r"unknown block 'nonsense': choose from swin, mixer"):
        blocks_of("nonsense", size)


def test_blocks_that_are_none() -> None:
    BLOCKS.register("text")(lambda size: "text")
    try:
        with pytest.raises(InputError, match="block text: makes str, not a torch module"):
            blocks_of("text", StageSize(DIM, 1, HEADS, WINDOW))
    finally:
        del BLOCKS._given["text"]
