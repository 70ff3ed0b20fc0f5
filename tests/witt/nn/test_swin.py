"""The Swin block against timm's own, in strips and whole, with and without gradients."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor

import witt.nn.swin
from witt.nn.swin import SwinBlock, border_masks, compile_blocks, swin_blocks

WINDOW, DIM, HEADS = 4, 12, 3
# Whole windows, several strips; odd ones, padded both ways; one window; less than a window.
SIZES = [(16, 24), (13, 9), (4, 4), (5, 16), (1, 1), (3, 9)]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)
every_shift = pytest.mark.parametrize("shift", [0, 2])


def pair(shift: int) -> tuple[SwinBlock, SwinTransformerBlock]:
    """Ours and timm's in float64 with the same weights, none of them 0 or 1."""
    ours = SwinBlock(DIM, HEADS, WINDOW, shift).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    theirs = SwinTransformerBlock(
        DIM,
        input_resolution=WINDOW,
        num_heads=HEADS,
        window_size=WINDOW,
        shift_size=shift,
        always_partition=True,
        dynamic_mask=True,
    ).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def features(size: tuple[int, int], batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((batch, *size, DIM), generator=generator, dtype=torch.float64)


@every_size
@every_shift
@pytest.mark.parametrize("strip", [1, 700, 2**30])
def test_strips_are_the_block(
    size: tuple[int, int], shift: int, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row of windows at a time, some of them, or all: what timm computes in one piece."""
    monkeypatch.setattr(witt.nn.swin, "STRIP", strip)
    ours, theirs = pair(shift)
    x = features(size)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


@every_size
@every_shift
def test_gradients_are_those_of_timm(
    size: tuple[int, int], shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witt.nn.swin, "STRIP", 1)
    of_both = []
    for block in pair(shift):
        x = features(size).requires_grad_()
        out = block(x)
        of_both.append((out, *torch.autograd.grad(out.sin().sum(), (x, *block.parameters()))))
    for mine, timms in zip(*of_both, strict=True):
        torch.testing.assert_close(mine, timms, rtol=0, atol=1e-10)


@pytest.mark.parametrize("grad", [False, True])
def test_autocast_keeps_the_sums_in_full(grad: bool) -> None:
    """Branches in bfloat16, what they are added to in float32, as in timm's block."""
    ours, theirs = (block.float() for block in pair(2))
    x = features((13, 9)).float()
    with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16):
        mine, timms = ours(x), theirs(x)
    assert mine.dtype == timms.dtype == torch.float32
    torch.testing.assert_close(mine, timms, rtol=0, atol=0.1)
    # Rounded to bfloat16 the sum would have lost what is in x below its 8 bits.
    with torch.no_grad():
        for name in ("attn.proj", "mlp.fc2"):
            for parameter in ours.get_submodule(name).parameters():
                parameter.zero_()
    with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(x), x)


def test_the_strips_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above compare: 1 row of windows, 2, or all; a shift sets the last apart."""
    x = features((16, 24))
    for strip, plain, shifted in ((1, [4] * 4, [4] * 4), (6000, [8, 8], [8, 4, 4])):
        monkeypatch.setattr(witt.nn.swin, "STRIP", strip)
        assert pair(0)[0]._heights(x) == plain
        assert pair(2)[0]._heights(x) == shifted
    monkeypatch.setattr(witt.nn.swin, "STRIP", 2**30)
    assert pair(0)[0]._heights(x) == [16]
    assert pair(2)[0]._heights(x) == [12, 4]


@every_size
@every_shift
@pytest.mark.parametrize("side", [2, 3])
def test_small_windows_side_by_side(
    size: tuple[int, int], shift: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 4 tokens as many together as divide their number, of 9 none: what each gives by itself."""
    generator = torch.Generator().manual_seed(2)
    block = SwinBlock(DIM, HEADS, side, shift // 2).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    seen = set()
    fused = torch.nn.functional.scaled_dot_product_attention

    def look(q: Tensor, *args: Tensor, **options: Tensor) -> Tensor:
        seen.add(q.shape[-2] // side**2)
        return fused(q, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", look)
    x = features(size)
    with torch.inference_mode():
        together = block(x)
    alone = block(x)  # with gradients: no kernel, each window by itself
    torch.testing.assert_close(together, alone.detach(), rtol=0, atol=1e-12)
    assert max(seen) > 1 if side == 2 and size == (16, 24) else seen <= {1, 2, 4}


def test_blocks_work_in_one_map_without_gradients() -> None:
    """The same numbers; what was given stays as it was."""
    blocks = swin_blocks(DIM, 3, HEADS, WINDOW).double()
    x = features((13, 9))
    given = x.clone()
    with torch.inference_mode():
        expected = x
        for block in blocks:
            expected = block(expected)
        torch.testing.assert_close(blocks(x), expected, rtol=0, atol=0)
    assert torch.equal(x, given)


@pytest.mark.parametrize(("window", "shift"), [(4, 2), (8, 4), (2, 1), (5, 2)])
def test_masks_are_timms(window: int, shift: int) -> None:
    """Of a map of 3 × 4 windows, ours by place: inside, last column, last row, corner."""
    size = (3 * window, 4 * window)
    block = SwinTransformerBlock(4, size, window_size=window, shift_size=shift, num_heads=1)
    whole = block.attn_mask
    assert whole is not None
    masks = border_masks(window, shift)
    for row in range(3):
        for column in range(4):
            mine = masks[int(row == 2), int(column == 3)]
            assert torch.equal(whole[4 * row + column], mine)


def test_compiled_and_whole_are_the_same_graph_for_all_heights() -> None:
    """Under torch.compile the strips would be unrolled: there are two at most."""
    ours, _ = pair(2)
    x = features((16, 8))
    exported = torch.export.export(ours, (x,))
    calls = [str(node.target) for node in exported.graph.nodes if "linear" in str(node.target)]
    assert len(calls) == 2 * 4  # qkv, proj, fc1 and fc2 of two strips
    torch.testing.assert_close(exported.module()(x), ours(x), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # PyTorch's compiler looks at it
def test_compiled_strips_are_shared_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four blocks have three kinds of strips: plain ones, shifted ones and their last."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(witt.nn.swin, "STRIP", 1)
    through = torch.compile(SwinBlock._strip, backend=backend, dynamic=False)
    monkeypatch.setattr(witt.nn.swin, "_compiled_strip", lambda: through)
    torch.compiler.reset()
    blocks = swin_blocks(DIM, 4, HEADS, WINDOW).double()
    x = features((16, 8)).requires_grad_()
    expected = blocks(x)
    assert not graphs
    compile_blocks(blocks)
    torch.testing.assert_close(copy.deepcopy(blocks)(x), expected, rtol=0, atol=1e-12)
    assert len(graphs) == 3


FOUR_K = """
import resource
import numpy as np
import witt
from click.testing import CliRunner
from cli import cli
rows, columns = np.mgrid[:2160, :3840]
pixels = np.stack([rows % 251, columns % 241, (rows * columns) % 239], -1).astype(np.uint8)
witt.write_png("x.png", pixels)
done = CliRunner().invoke(cli, ["transmit", "x.png", "--weights", "witt_light", "-o", "out"])
assert done.exit_code == 0, done.output
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_4k_in_3_gigabytes(tmp_path: Path) -> None:
    """`witt transmit` of 3840×2160 pixels, files and figure included, in a process of its own."""
    root = str(Path(__file__).parents[3])
    script = f"import sys\nsys.path.insert(0, {root!r})\n{FOUR_K}"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 3e9
