"""Bandwidth expansion: the features that go through a Shannon–Kotel'nikov mapping, and back.

To the networks they are features like the others, sent linearly with more power than there is: the
receiver replaces each by the linear observation that has the same posterior mean and variance.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from witt.codecs.classified import shannon_kotelnikov
from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.symbol_mapping import ReceivedFeatures, to_symbols
from witt.codecs.classified.transform_code import noise_variance


class EncoderOutput(NamedTuple):
    """Features and what the encoder network makes of them, before they become symbols.

    features: (B, h, w, C) of the code.
    factors, summands: (B, h, w, C) of the encoder.
    allocation: of these pictures.
    snr_db: (B,) nominal SNR.
    length: at least the largest of `allocation.uses`.
    """

    features: Tensor
    factors: Tensor
    summands: Tensor
    allocation: PictureAllocation
    snr_db: Tensor
    length: int

    def clone(self) -> EncoderOutput:
        """Apart from any gradient, and fit to take part in one."""
        features, factors, summands = (each.detach().clone() for each in self[:3])
        allocation = PictureAllocation(*(each.clone() for each in self.allocation))
        return EncoderOutput(
            features, factors, summands, allocation, self.snr_db.clone(), self.length
        )

    def symbols(self, change: Tensor | None = None) -> Tensor:
        """(B, length, 2) I and Q.

        Args:
            change: (B, h, w, C) to what is sent of each feature; one with bandwidth
                expansion moves along its curve, as far as a linear one of the same error would.
        """
        allocation, features = self.allocation, self.features
        linear = features * allocation.gain * self.factors
        if change is not None:
            linear = linear + change
            features = features + change / allocation.gain.clamp_min(1e-6)
        numbers, extra = expand(features, linear, allocation, self.snr_db)
        return to_symbols(
            (numbers + self.summands) * allocation.sent, extra, allocation, self.length
        )


def expand(
    features: Tensor, linear: Tensor, allocation: PictureAllocation, snr_db: Tensor
) -> tuple[Tensor, Tensor]:
    """What is sent of all features, and the extra dimensions (B, M, 4) of the expanded ones.

    A mapping with one (cos, sin) pair has two of the four.

    Args:
        features: (B, h, w, C) of the code.
        linear: (B, h, w, C) what would be sent of them linearly.
        allocation: of these pictures.
        snr_db: (B,) nominal SNR.
    """
    unit = _pick(features, allocation) / _pick(allocation.variance, allocation, 1.0).sqrt()
    unit = unit.clamp(-shannon_kotelnikov.CLIP, shannon_kotelnikov.CLIP)
    sigma = noise_variance(snr_db).sqrt()[:, None, None]
    numbers = sigma * shannon_kotelnikov.modulate(
        unit, allocation.expanded_power, allocation.expanded_pairs
    )
    there = (allocation.expanded_pairs > 0)[..., None]
    return _put(linear, numbers[..., 0], allocation), numbers[..., 1:] * there


def linear_equivalent(
    received: ReceivedFeatures, allocation: PictureAllocation, snr_db: Tensor, amplitude: Tensor
) -> tuple[Tensor, Tensor]:
    """Features (B, h, w, C) and error variances as of an allocation that is linear throughout.

    A symbol after the MMSE equaliser is (1−e)·x + noise of variance (1−e)·e, for unit power.

    Args:
        received: from `from_symbols`.
        allocation: of these pictures.
        snr_db: (B,) nominal SNR.
        amplitude: (B, 1, 1, 1) by which the power normalisation divided.
    """
    features, error = received.features, received.error
    values = torch.cat((_pick(features, allocation)[..., None], received.extra), dim=-1)
    e = torch.cat((_pick(error, allocation)[..., None], received.extra_error), dim=-1)
    scale = amplitude[:, 0] / noise_variance(snr_db).sqrt()[:, None, None]
    certain = (1 - e).clamp_min(1e-6)
    flat = (
        (scale * values / certain).flatten(0, 1),
        (scale.square() * e / certain / 2).flatten(0, 1),
        allocation.expanded_power.flatten(),
        allocation.expanded_pairs.flatten(),
    )
    mean, variance = (
        x.reshape(allocation.expanded.shape) for x in shannon_kotelnikov.mmse_estimate(*flat)
    )
    # The e and the symbol that give a linear receiver this mean and this variance.
    unit = _pick(allocation.variance, allocation, 1.0)
    gain = _pick(allocation.gain, allocation, 1.0) / amplitude[:, 0, 0]
    power, left = 2 * gain.square() * unit, variance.detach().clamp_max(0.999)
    e = left * power / (1 - left + left * power)
    equivalent = mean * unit.rsqrt() * (power * (1 - e) + e) / (2 * gain)
    return _put(features, equivalent, allocation), _put(error, e, allocation)


def _pick(x: Tensor, allocation: PictureAllocation, other: float = 0.0) -> Tensor:
    """(B, M) of the expanded features from (B, h, w, C); `other` past the last."""
    return F.pad(x.flatten(1), (0, 1), value=other).gather(1, allocation.expanded)


def _put(x: Tensor, values: Tensor, allocation: PictureAllocation) -> Tensor:
    """`x` with these values of the expanded features."""
    return (
        F.pad(x.flatten(1), (0, 1)).scatter(1, allocation.expanded, values)[:, :-1].reshape(x.shape)
    )
