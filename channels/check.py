"""Whether a channel of somebody's own keeps to what `Channel` asks."""

from typing import Any

import torch
from torch import Tensor

from channels.base import Channel

BATCH, N = 2, 5


def check_channel(channel: Any) -> None:
    """Try a channel on a few symbols.

    Args:
        channel: what is said to be one.

    Raises:
        ValueError: it is no `Channel`, does not say whether it fades, or `draw` returns something
            else than it should, or something else the second time for the same seed.
    """
    if not isinstance(channel, Channel):
        raise ValueError(
            f"a channel inherits from channels.Channel; {type(channel).__name__} does not"
        )
    if not isinstance(channel.fading, bool):
        raise ValueError(f"fading must be True or False, not {channel.fading!r}")
    (h, noise), (again_h, again) = (_drawn(channel) for _ in range(2))
    if channel.fading != (h is not None):
        raise ValueError(
            f"draw returns {'a' if h is not None else 'no'} gain, but fading is {channel.fading}"
        )
    if channel.draws_state and isinstance(h, Tensor) and h.dim() == 2:
        _check("gain", h, [(BATCH, h.shape[1])])
    else:
        _check("gain", h, [(BATCH, N), (BATCH, 1)])
    _check("noise", noise, [(BATCH, N)])
    if not torch.equal(noise, again) or (h is not None and not torch.equal(h, again_h)):
        raise ValueError("draw must take all random numbers from the generator that it is given")


def _drawn(channel: Channel) -> tuple[Any, Any]:
    drawn: Any = channel.draw(
        BATCH, N, dtype=torch.complex64, device="cpu", generator=torch.Generator().manual_seed(0)
    )
    if not isinstance(drawn, tuple) or len(drawn) != 2:
        raise ValueError(f"draw must return (gain or None, noise), not {type(drawn).__name__}")
    return drawn


def _check(what: str, value: Any, shapes: list[tuple[int, int]]) -> None:
    if what == "gain" and value is None:
        return
    fits = isinstance(value, Tensor) and tuple(value.shape) in shapes
    if not fits or value.dtype != torch.complex64 or not bool(value.isfinite().all()):
        told = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else repr(value)
        sizes = " or ".join(map(str, shapes))
        raise ValueError(
            f"the {what} that draw({BATCH}, {N}) returns must be finite, complex and {sizes}, "
            f"not {told}"
        )
