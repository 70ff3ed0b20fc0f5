"""Orders of tokens in rows: that of a map, and those of its windows, shifted or not.

Between two blocks the rows are put from the order of one into that of the next by one gather.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from witt.nn.swin import border_masks

Shape = tuple[int, int, int]  # (B, h, w) of a map
FAR_APART = -1e4  # added to the logit of two tokens of different windows


class Windows(NamedTuple):
    """Windows of a map.

    masks: (m, N, N), one for each kind of window.
    kinds: (n,) kind of each window, int32.
    """

    masks: Tensor
    kinds: Tensor


class Move(NamedTuple):
    """From one order of rows into another: ``x[there]``, and ``y[back]`` is x again."""

    there: Tensor
    back: Tensor


class Orders:
    """Orders and masks of maps of whole windows, made once.

    Args:
        side: of a window, in tokens.
        device: where they are kept.
    """

    def __init__(self, side: int, device: torch.device) -> None:
        self.side, self.device = side, device
        self._moves: dict[tuple[Shape, int | None, int | None], Move] = {}
        self._windows: dict[tuple[Shape, int, int], Windows] = {}

    def move(self, shape: Shape, old: int | None, new: int | None) -> Move:
        """From the windows with one shift to those with another; None is the map's own order."""
        key = shape, old, new
        if key not in self._moves:
            there = torch.argsort(self._order(shape, old))[self._order(shape, new)]
            self._moves[key] = Move(there.to(self.device), torch.argsort(there).to(self.device))
        return self._moves[key]

    def _order(self, shape: Shape, shift: int | None) -> Tensor:
        """Number in the map of each row."""
        batch, height, width = shape
        tokens = torch.arange(batch * height * width)
        if shift is None:
            return tokens
        side = self.side
        rolled = tokens.view(shape).roll((-shift, -shift), (1, 2))
        split = rolled.view(batch, height // side, side, width // side, side)
        return split.permute(0, 1, 3, 2, 4).flatten()

    def windows(self, shape: Shape, shift: int, together: int = 1) -> Windows:
        """Masks and kinds of windows, `together` of them taken as one larger window.

        The tokens of such a group attend to those of their own window only.
        """
        key = shape, shift, together
        if key not in self._windows:
            batch, height, width = shape
            kind = torch.zeros(height // self.side, width // self.side, dtype=torch.int32)
            if shift:
                kind[-1] += 2
                kind[:, -1] += 1
            masks, kinds = border_masks(self.side, shift).flatten(0, 1), kind.flatten()
            masks, kinds = _grouped(masks, kinds.repeat(batch), together)
            self._windows[key] = Windows(masks.to(self.device), kinds.int().to(self.device))
        return self._windows[key]


def _grouped(masks: Tensor, kinds: Tensor, together: int) -> tuple[Tensor, Tensor]:
    """Masks and kinds of groups of windows."""
    if together == 1:
        return masks, kinds
    tokens = masks.shape[1]
    groups, kinds = kinds.view(-1, together).unique(dim=0, return_inverse=True)
    wide = torch.full((len(groups), together, tokens, together, tokens), FAR_APART)
    for number, group in enumerate(groups):
        for place, kind in enumerate(group):
            wide[number, place, :, place] = masks[kind]
    return wide.view(len(groups), together * tokens, together * tokens), kinds


def take_rows(x: Tensor, order: Tensor) -> Tensor:
    """Rows of x in another order."""
    return x[order]


class _Moved(torch.autograd.Function):
    """A gather whose gradient is the gather back; autograd's own would add up row by row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, move: Move, take: Callable[..., Tensor]) -> Tensor:
        ctx.move, ctx.take = move, take
        return take(x, move.there)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.take(grad.contiguous(), ctx.move.back), None, None


def moved(x: Tensor, move: Move, take: Callable[[Tensor, Tensor], Tensor] = take_rows) -> Tensor:
    """Rows in another order, with their gradient."""
    result: Tensor = _Moved.apply(x, move, take)
    return result
