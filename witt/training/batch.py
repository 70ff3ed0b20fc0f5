"""A training batch through model and channel to its loss, as the run's profile has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

import channels
from witt.model import WITT
from witt.profile_link import transmit_as
from witt.profiles import OURS, PROFILES
from witt.training.config import TrainConfig
from witt.training.loss import loss_of
from witt.training.objective import Conditions, draw_conditions, send
from witt.training.published import draw_snr, published_loss


class Batch(NamedTuple):
    """What became of a batch.

    received: (B, 3, H, W), not clamped.
    snr_db: (B,).
    loss: before its scale.
    """

    received: Tensor
    snr_db: Tensor
    loss: Tensor


def run_batch(
    config: TrainConfig,
    model: WITT,
    image: Tensor,
    rates: Sequence[int],
    over: Sequence[channels.Channel],
    step: int,
) -> Batch:
    """Draw the conditions of a step, send its images and compare; fixed by (seed, step).

    Args:
        config: of the run.
        model: both ends.
        image: (B, 3, H, W) in [0, 1].
        rates: choices of the number of feature channels.
        over: channels.
        step: number of steps before this one.
    """
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    profile = PROFILES[config.profile]
    if profile == OURS:
        drawn = draw_conditions(len(image), config.snr, config.snr_is_range, rates, generator)
        at = Conditions(*(value.to(image.device) for value in drawn))
        received = send(model, image, at, over, generator, first=step * config.batch)
        return Batch(received, at.snr_db, loss_of(config.loss, received, image))
    snr = draw_snr(config.snr, config.snr_is_range, generator)
    received = transmit_as(profile, model, image, over[0], snr, generator=generator).image
    snrs = torch.full((len(image),), snr)
    return Batch(received, snrs, published_loss(config.loss, received, image))
