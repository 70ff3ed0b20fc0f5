"""How far attention looks: what `witt analyse attention` computes.

    distance of a head = mean over tokens q of Σ_k A[q, k]·|q − k|

in pixels, with A as the block has it, its position bias and the masks of shifted windows in it.

Source: Raghu et al., Do Vision Transformers See Like Convolutional Neural Networks?, arXiv
2108.08810, figure 3; Dosovitskiy et al., arXiv 2010.11929, figure 7.

{"format": …, "run": {command, commit, machine, …}, "dataset": {…}, "multiple": …, "channel": {…},
 "cbr": …, "seed": 0, "snr_db": […], "model": {"name", "weights_sha256"},
 "channel_at": blocks before the channel,
 "blocks": [{"name", "heads", "window", "shift", "stride_px", "uniform_px"}, …],
 "distance_px": [for each SNR [for each block [for each head]]]}

"uniform_px" is what a block would have that looks at all that it may see alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.analysis.examples import batches_of_pictures, noise_pictures, seeds_of, tensor_of
from benchmarks.analysis.layers import SENT
from benchmarks.analysis.sending import Named, send
from benchmarks.sweep.dataset import Dataset
from witt.contract import Codec
from witt.errors import InputError
from witt.link.conditions import Link
from witt.nn.swin import APART, SwinBlock

FORMAT = "witt-attention-1"
PROBE = 256  # side of the picture that shows the strides, which divide it

Look = Callable[[Tensor, Tensor], None]  # at qkv and bias of `witt.nn.swin.attend`


class Block(NamedTuple):
    """A Swin block.

    window, shift: in tokens.
    stride: pixels between tokens.
    """

    name: str
    module: SwinBlock
    heads: int
    window: int
    shift: int
    stride: int

    def record(self, uniform: float) -> dict[str, Any]:
        """Plain values; `uniform` of `Distances`."""
        return {
            "name": self.name,
            "heads": self.heads,
            "window": self.window,
            "shift": self.shift,
            "stride_px": self.stride,
            "uniform_px": round(uniform * self.stride, 4),
        }


def token_distances(window: int) -> Tensor:
    """(N, N) distance between the tokens of a window of N, in tokens."""
    rows, columns = (
        x.flatten() for x in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij")
    )
    place = torch.stack((rows, columns), 1).double()
    return torch.cdist(place, place)


def attention(qkv: Tensor, bias: Tensor) -> Tensor:
    """softmax(q·kᵀ/√d + bias), (n, heads, N, N) of what `witt.nn.swin.attend` is given."""
    q, k, _ = qkv.unflatten(-1, (3, len(bias), -1)).permute(2, 0, 3, 1, 4).unbind()
    return ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias).softmax(-1)


class Distances:
    """Mean over tokens of how far a block looks, in tokens.

    heads: (heads,) each.
    uniform: if a token looked at all that it may alike.
    """

    def __init__(self, block: Block) -> None:
        self._sums = torch.zeros(block.heads + 1, dtype=torch.float64)
        self._tokens = 0
        self._apart = token_distances(block.window)

    def add(self, qkv: Tensor, bias: Tensor) -> None:
        """Take in what `attend` was given."""
        weights = attention(qkv, bias)
        count, _, tokens, _ = weights.shape
        self._sums[:-1] += (weights * self._apart.to(weights)).sum(-1).double().sum((0, 2))
        seen = (bias[0] > APART / 2).double()  # the rest is masked
        self._sums[-1] += count * ((seen * self._apart).sum(-1) / seen.sum(-1)).sum()
        self._tokens += count * tokens

    @property
    def heads(self) -> Tensor:
        return self._sums[:-1] / self._tokens

    @property
    def uniform(self) -> float:
        return float(self._sums[-1]) / self._tokens


@contextmanager
def watched(looks: Sequence[tuple[SwinBlock, Look]]) -> Iterator[None]:
    """Show what `attend` is given in each block; in the end the blocks are as they were."""

    def attend(look: Look, qkv: Tensor, bias: Tensor) -> Tensor:
        look(qkv, bias)
        return SwinBlock.attend(qkv, bias)

    for block, look in looks:
        block.attend = partial(attend, look)
    try:
        yield
    finally:
        for block, _ in looks:
            del block.attend


def blocks_of(model: Codec) -> tuple[list[Block], int]:
    """The Swin blocks in the order of their work, and how many of them are before the channel.

    Raises:
        InputError: there are none, or their strides are none of pixels.
    """
    found: list[Block] = []
    before = 0

    def enter(name: str, module: SwinBlock, arguments: tuple[Tensor, ...]) -> None:
        width = arguments[0].shape[2]
        if PROBE % width:
            raise InputError(f"{model.name}: {name} has {width} tokens across {PROBE} pixels")
        heads, stride = module.attn.num_heads, PROBE // width
        found.append(Block(name, module, heads, module.side, module.shift, stride))

    def look(name: str, _: Tensor) -> None:
        nonlocal before
        before = len(found) if name == SENT else before

    handles = [
        module.register_forward_pre_hook(
            lambda module, arguments, name=name: enter(name, module, arguments)
        )
        for name, module in model.named_modules()
        if isinstance(module, SwinBlock)
    ]
    try:
        send(model, noise_pictures(1, PROBE, model.dtype), Link().module(), 10.0, None, [0], look)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise InputError(f"{model.name} has no Swin blocks, whose attention this looks at")
    return found, before


def distances(
    codec: Named,
    dataset: Dataset,
    link: Link,
    snrs_db: Sequence[float],
    cbr: float | None,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Mean attention distance of each head, as entries of the document.

    Pictures are cut to whole windows of each block: what fills up a window would be looked at too.

    Args:
        codec: both ends.
        dataset: pictures.
        link: the channel.
        snrs_db: its SNRs.
        cbr: requested.
        seed: of the noise.
        say: is told of the progress.

    Raises:
        InputError: the codec has no attention, or a picture is smaller than a window.
    """
    blocks, before = blocks_of(codec.model)
    multiple = math.lcm(*(block.window * block.stride for block in blocks))
    found: list[list[Distances]] = []
    for snr_db in snrs_db:
        each = [Distances(block) for block in blocks]
        with watched([(b.module, d.add) for b, d in zip(blocks, each, strict=True)]):
            for pixels in batches_of_pictures(dataset, multiple):
                seeds = seeds_of(pixels, seed)
                send(codec.model, tensor_of(pixels), link.module(), snr_db, cbr, seeds)
        found.append(each)
        say(f"{snr_db:g} dB: done")
    return {
        "multiple": multiple,
        "model": codec.record,
        "channel_at": before,
        "blocks": [b.record(d.uniform) for b, d in zip(blocks, found[0], strict=True)],
        "snr_db": list(snrs_db),
        "distance_px": [
            [
                [round(x * block.stride, 4) for x in mine.heads.tolist()]
                for block, mine in zip(blocks, each, strict=True)
            ]
            for each in found
        ],
    }
