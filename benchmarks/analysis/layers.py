"""The layers of a codec: what each of its modules makes of a batch of pictures, by forward hooks.

Blocks work in the memory of the one before, so an output is looked at while its hook runs, and
nothing of it is kept but its Gram matrix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.analysis.cka import gram
from benchmarks.analysis.examples import noise_pictures
from witt.contract import Codec
from witt.errors import InputError
from witt.nn.layers import ModNet
from witt.nn.swin import SwinBlock

# What goes in and out and over the channel, beside the modules.
PICTURE, SENT, RECEIVED, OUT = "(picture)", "(sent)", "(received)", "(received picture)"
ALWAYS = (PICTURE, SENT, RECEIVED)
BLOCK = re.compile(r"(.*\.)?blocks\.\d+")
CONSTANT = 1e-5  # of a layer's size, below which what differs between examples is rounding
SAME = 1e-5  # relative, up to which Gram matrices are those of the same numbers

Look = Callable[[str, Tensor], None]
Send = Callable[[Tensor, Look], None]  # pictures (n, 3, H, W) through a codec


class Layer(NamedTuple):
    """A module, or what goes over the channel; `shape` is that of one example."""

    name: str
    shape: tuple[int, ...]


@contextmanager
def watched(model: nn.Module, look: Callable[[str, Any], None]) -> Iterator[None]:
    """Have `look` see the name and the output of each module after each call.

    What is inside of a block or a ModNet is not seen: it works on strips of a map, or not by its
    modules at all. In the end no hook is left.
    """
    closed = tuple(f"{name}." for name, each in model.named_modules() if _is_closed(name, each))
    handles = [
        module.register_forward_hook(partial(_hook, look, name))
        for name, module in model.named_modules()
        if name and not name.startswith(closed)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_closed(name: str, module: nn.Module) -> bool:
    return isinstance(module, (SwinBlock, ModNet)) or BLOCK.fullmatch(name) is not None


def _hook(look: Callable[[str, Any], None], name: str, _: nn.Module, __: Any, output: Any) -> None:
    look(name, output)


def layers_of(model: Codec, send: Send, side: int) -> list[Layer]:
    """The layers of a codec in the order of their outputs.

    Those are the modules that are called once in a pass and give one tensor for the whole batch,
    which differs from picture to picture. One that only hands on or rearranges the numbers of one
    before (a container, a pixel shuffle) is left out.

    Args:
        model: both ends.
        send: a batch through it; what it shows beside the modules is a layer too.
        side: of the pictures in pixels.
    """
    first, second = (_probe(model, send, side, count) for count in (2, 3))
    found: list[Layer] = []
    grams: list[Tensor] = []
    for name, calls in second.items():
        layer = _once(name, calls, 3)
        if layer is None or layer != _once(name, first.get(name, []), 2):
            continue
        matrix, size = calls[0][1:]
        if name in ALWAYS or (
            matrix.trace() > CONSTANT**2 * size and not any(_same(matrix, other) for other in grams)
        ):
            found.append(layer)
            grams.append(matrix)
    return found


def _same(matrix: Tensor, other: Tensor) -> bool:
    return bool(((matrix - other).abs() < SAME * matrix.trace()).all())


_Call = tuple[tuple[int, ...], Tensor, float]  # shape, Gram matrix, sum of squares


def _probe(model: Codec, send: Send, side: int, count: int) -> dict[str, list[_Call]]:
    """Each call of each module, for pictures of noise."""
    calls: dict[str, list[_Call]] = {}

    def look(name: str, output: Any) -> None:
        entry: _Call = ((), torch.empty(0), 0.0)
        if isinstance(output, Tensor) and output.ndim > 1 and len(output) == count:
            real = _real(output)
            if real is not None:
                entry = (tuple(output.shape[1:]), gram(real), float(real.double().square().sum()))
        calls.setdefault(name, []).append(entry)

    with watched(model, look):
        send(noise_pictures(count, side, model.dtype), look)
    return calls


def _once(name: str, calls: Sequence[_Call], count: int) -> Layer | None:
    fits = len(calls) == 1 and calls[0][1].shape == (count, count)
    return Layer(name, calls[0][0]) if fits else None


def _real(output: Tensor) -> Tensor | None:
    """Real numbers of an output; None where it has others."""
    if output.is_complex():
        return torch.view_as_real(output)
    return output if output.is_floating_point() else None


def grams_of(model: Codec, send: Send, pictures: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
    """The Gram matrix (n, n) of each layer for a batch of pictures (n, 3, H, W).

    Raises:
        InputError: a layer was not called with these pictures.
    """
    wanted = {layer.name for layer in layers}
    found: dict[str, Tensor] = {}

    def look(name: str, output: Any) -> None:
        if name in wanted:
            real = _real(output)
            if real is not None:
                found[name] = gram(real)

    with watched(model, look):
        send(pictures, look)
    if missing := wanted - set(found):
        raise InputError(f"{model.name}: {min(missing)} is not called for every picture")
    return [found[layer.name] for layer in layers]
