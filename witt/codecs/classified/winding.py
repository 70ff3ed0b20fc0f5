"""The features of a picture that a plan puts on a helix each, and what is received of them.

To the networks they are features like the others, sent linearly with more power than there is: the
receiver hands on what a linear receiver would have had to hear to know as much.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from witt.codecs.classified import helix
from witt.codecs.classified.code import Plan, noise_variance
from witt.codecs.classified.framing import Received, to_symbols


class Shaped(NamedTuple):
    """Features as an encoder has shaped them, on their way to symbols.

    features: (B, h, w, C) of the code.
    factors, summands: (B, h, w, C) of the encoder.
    plan: of these pictures.
    snr_db: (B,) nominal SNR.
    length: at least the largest of `plan.uses`.
    """

    features: Tensor
    factors: Tensor
    summands: Tensor
    plan: Plan
    snr_db: Tensor
    length: int

    def clone(self) -> Shaped:
        """Apart from any gradient, and fit to take part in one."""
        features, factors, summands = (each.detach().clone() for each in self[:3])
        plan = Plan(*(each.clone() for each in self.plan))
        return Shaped(features, factors, summands, plan, self.snr_db.clone(), self.length)

    def symbols(self, change: Tensor | None = None) -> Tensor:
        """(B, length, 2) I and Q.

        Args:
            change: (B, h, w, C) to what is sent of each feature; one on a helix moves along it, as
                far as a linear one of the same error would.
        """
        plan, features = self.plan, self.features
        linear = features * plan.gain * self.factors
        if change is not None:
            linear = linear + change
            features = features + change / plan.gain.clamp_min(1e-6)
        numbers, more = wind(features, linear, plan, self.snr_db)
        return to_symbols((numbers + self.summands) * plan.sent, more, plan, self.length)


def wind(features: Tensor, linear: Tensor, plan: Plan, snr_db: Tensor) -> tuple[Tensor, Tensor]:
    """What is sent of all features, and the more numbers (B, M, 4) of those on a helix.

    A helix of one circle has two of the four.

    Args:
        features: (B, h, w, C) of the code.
        linear: (B, h, w, C) what would be sent of them linearly.
        plan: of these pictures.
        snr_db: (B,) nominal SNR.
    """
    unit = _pick(features, plan) / _pick(plan.variance, plan, 1.0).sqrt()
    unit = unit.clamp(-helix.REACH, helix.REACH)
    sigma = noise_variance(snr_db).sqrt()[:, None, None]
    numbers = sigma * helix.wind(unit, plan.wound_power, plan.wound_circles)
    there = (plan.wound_circles > 0)[..., None]
    return _put(linear, numbers[..., 0], plan), numbers[..., 1:] * there


def unwind(
    received: Received, plan: Plan, snr_db: Tensor, amplitude: Tensor
) -> tuple[Tensor, Tensor]:
    """Features (B, h, w, C) and error variances as of a plan that is linear throughout.

    A symbol after the MMSE equaliser is (1−e)·x + noise of variance (1−e)·e, for unit power.

    Args:
        received: from `from_symbols`.
        plan: of these pictures.
        snr_db: (B,) nominal SNR.
        amplitude: (B, 1, 1, 1) by which the power normalisation divided.
    """
    features, error = received.features, received.error
    heard = torch.cat((_pick(features, plan)[..., None], received.more), dim=-1)
    e = torch.cat((_pick(error, plan)[..., None], received.more_error), dim=-1)
    scale = amplitude[:, 0] / noise_variance(snr_db).sqrt()[:, None, None]
    certain = (1 - e).clamp_min(1e-6)
    flat = (
        (scale * heard / certain).flatten(0, 1),
        (scale.square() * e / certain / 2).flatten(0, 1),
        plan.wound_power.flatten(),
        plan.wound_circles.flatten(),
    )
    mean, variance = (x.reshape(plan.wound.shape) for x in helix.unwind(*flat))
    # The e and the symbol that give a linear receiver this mean and this variance.
    unit = _pick(plan.variance, plan, 1.0)
    gain = _pick(plan.gain, plan, 1.0) / amplitude[:, 0, 0]
    power, left = 2 * gain.square() * unit, variance.detach().clamp_max(0.999)
    e = left * power / (1 - left + left * power)
    alike = mean * unit.rsqrt() * (power * (1 - e) + e) / (2 * gain)
    return _put(features, alike, plan), _put(error, e, plan)


def _pick(x: Tensor, plan: Plan, other: float = 0.0) -> Tensor:
    """(B, M) of those on a helix from (B, h, w, C); `other` past the last."""
    return F.pad(x.flatten(1), (0, 1), value=other).gather(1, plan.wound)


def _put(x: Tensor, values: Tensor, plan: Plan) -> Tensor:
    """`x` with the values of those on a helix."""
    return F.pad(x.flatten(1), (0, 1)).scatter(1, plan.wound, values)[:, :-1].reshape(x.shape)
