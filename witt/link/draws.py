"""What a channel draws for pictures: each has its own seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import channels


def draw_channel(
    channel: channels.Channel, uses: int, seeds: Sequence[int], more: int = 0
) -> tuple[Tensor | None, Tensor]:
    """Gains (B, uses), where the channel fades, and noise (B, uses), as the channel draws them.

    Each picture has its own seed, and gets the same whatever else is in the batch, and whatever
    number of symbols follow it. A channel that `draws_state` has its state in the place of gains,
    and other noise where more symbols follow.

    Args:
        channel: which one.
        uses: symbols of a picture.
        seeds: of each picture.
        more: symbols that follow, of its side information.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    drawn = [draw_in_turn(channel, 1, uses, more, generator) for generator in generators]
    gains = [gain for gain, _ in drawn if gain is not None]
    return torch.cat(gains) if gains else None, torch.cat([noise for _, noise in drawn])


def draw_in_turn(
    channel: channels.Channel, batch: int, uses: int, more: int, generator: torch.Generator | None
) -> tuple[Tensor | None, Tensor]:
    """What `Channel.draw` has for `uses` symbols, and after that for `more`, which follow them.

    One gain for all symbols of a picture stays what it is.
    """

    def draw(count: int) -> tuple[Tensor | None, Tensor]:
        return channel.draw(batch, count, dtype=torch.complex64, device=None, generator=generator)

    if channel.draws_state:
        return draw(uses + more)
    gain, noise = draw(uses)
    if not more:
        return None if gain is None else gain.expand(batch, uses), noise
    later_gain, later_noise = draw(more)
    if gain is not None and later_gain is not None:
        later = gain if gain.shape[1] == 1 else later_gain
        gain = torch.cat((gain.expand(batch, uses), later.expand(batch, more)), dim=1)
    return gain, torch.cat((noise, later_noise), dim=1)
