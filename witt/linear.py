"""A linear transmitter beside the network, from which training starts.

Each 16×16 block (one token) goes to C coefficients by a KLT with gains λ^(−1/4), which is the
optimal linear code for a Gaussian source under a power limit (Lee & Petersen 1976; SoftCast,
Jakubczak & Katabi 2011), and comes back by the LMMSE estimate. The first coefficients, which are
smooth over the picture, have a gain and an estimate for each spatial frequency. The network adds
what a linear code cannot do. All of it is trained further.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.spectrum import Spectrum, dct, inverse_dct


class ConditionalGain(nn.Module):
    """Per-channel factor exp(MLP(condition)); 1 at the start."""

    def __init__(self, conditions: int, channels: int, hidden: int = 64) -> None:
        super().__init__()
        self.hidden = nn.Linear(conditions, hidden)
        self.out = nn.Linear(hidden, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, condition: Tensor) -> Tensor:
        """`condition` (B, n) to factors (B, 1, 1, channels)."""
        log_gain = self.out(F.gelu(self.hidden(condition)))
        return torch.exp(log_gain)[:, None, None]


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Out of autocast: at a high SNR the 8 bits of bfloat16 would be what limits a linear code."""
    # Autocast does not know the meta device, on which operations are only counted.
    if device.type == "meta" or not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


class LinearEncoder(nn.Module):
    """Blocks of pixels to coefficients, with gains that follow SNR and rate.

    Args:
        block: side of a block in pixels.
        channels: coefficients of a block.
        conditions: numbers in the condition.
        smooth: how many of the first coefficients have a gain for each spatial frequency.
    """

    def __init__(self, block: int, channels: int, conditions: int, smooth: int = 0) -> None:
        super().__init__()
        self.block, self.smooth = block, smooth
        self.analysis = nn.Linear(3 * block**2, channels)
        self.gain = ConditionalGain(conditions, channels)
        self.whitening = Spectrum(smooth) if smooth else None

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """`image` (B, 3, H, W), centred on 0, to (B, H/block, W/block, channels)."""
        blocks = F.pixel_unshuffle(image, self.block).permute(0, 2, 3, 1)
        features = self.analysis(blocks) * self.gain(condition)
        if self.whitening is None:
            return features
        smooth, rest = features[..., : self.smooth], features[..., self.smooth :]
        gains = self.whitening(*features.shape[1:3])
        return torch.cat((inverse_dct(dct(smooth) * gains), rest), dim=-1)


class LinearDecoder(nn.Module):
    """LMMSE estimate of the coefficients, then back to pixels.

    A symbol after the MMSE equaliser is (1−e)·f + noise of variance (1−e)·e, where e is its
    error variance for unit power. For a feature of power p the LMMSE estimate is
    f̂·p / (p(1−e) + e); for a smooth one p is that of a spatial frequency, and e the mean over
    the picture.

    Args:
        block, channels, conditions, smooth: as the encoder's.
    """

    def __init__(self, block: int, channels: int, conditions: int, smooth: int = 0) -> None:
        super().__init__()
        self.block, self.smooth = block, smooth
        self.log_power = nn.Parameter(torch.zeros(channels))
        self.trust = ConditionalGain(conditions, channels)
        self.synthesis = nn.Linear(channels, 3 * block**2)
        self.spectrum = Spectrum(smooth) if smooth else None  # power of a frequency / log_power
        self.colouring = Spectrum(smooth) if smooth else None  # undoes the encoder's whitening

    def forward(
        self, features: Tensor, error: Tensor, amplitude: Tensor, condition: Tensor
    ) -> Tensor:
        """Centred image from received features.

        Args:
            features: (B, H, W, C) after the MMSE equaliser, unsent ones 0.
            error: (B, H, W, C) error variance, unsent ones 1.
            amplitude: (B, 1, 1, 1) root-mean-square of the symbols before normalisation.
            condition: (B, n).
        """
        # Twice, since two features share the unit power of a symbol.
        power = 2 * torch.exp(self.log_power) * self.trust(condition) / amplitude**2
        estimate = _lmmse(features, power, error)
        if self.spectrum is not None and self.colouring is not None:
            m, grid = self.smooth, features.shape[1:3]
            e = error[..., :m].mean(dim=(1, 2), keepdim=True)
            waves = _lmmse(dct(features[..., :m]), power[..., :m] * self.spectrum(*grid), e)
            smooth = inverse_dct(waves * self.colouring(*grid))
            estimate = torch.cat((smooth, estimate[..., m:]), dim=-1)
        blocks = self.synthesis(estimate * amplitude)
        return F.pixel_shuffle(blocks.permute(0, 3, 1, 2), self.block)

    def mean_power(self, height: int, width: int, sent: int) -> Tensor:
        """Mean power of the first `sent` features of a map of an average picture, a scalar."""
        power = torch.exp(self.log_power)
        if self.spectrum is not None:
            smooth = power[: self.smooth] * self.spectrum(height, width).mean(dim=(0, 1))
            power = torch.cat((smooth, power[self.smooth :]))
        return power[:sent].mean()


def _lmmse(features: Tensor, power: Tensor, error: Tensor) -> Tensor:
    return features * power / (power * (1 - error) + error)


@torch.no_grad()
def start_from_klt(
    encoder: LinearEncoder, decoder: LinearDecoder, covariance: Tensor, mean: Tensor
) -> None:
    """Set both ends to the optimal linear code for blocks of these statistics.

    Args:
        encoder: set to the KLT with gains λ^(−1/4).
        decoder: set to its inverse; the LMMSE weights follow from the powers √λ.
        covariance: (D, D) of centred blocks in `F.pixel_unshuffle` order, D = 3·block².
        mean: (D,) of the same blocks.
    """
    channels = encoder.analysis.out_features
    values, vectors = torch.linalg.eigh(covariance.double())
    values = values.flip(0)[:channels].clamp_min(1e-10)
    basis = vectors.flip(1)[:, :channels].T
    # One constant for all keeps the features near unit power at half the channels.
    gains = values.pow(-0.25) / values.sqrt()[: channels // 2].mean().sqrt()
    analysis = basis * gains[:, None]
    encoder.analysis.weight.copy_(analysis)
    encoder.analysis.bias.copy_(-(analysis @ mean.double()))
    decoder.log_power.copy_(torch.log(gains**2 * values))
    decoder.synthesis.weight.copy_((basis / gains[:, None]).T)
    decoder.synthesis.bias.copy_(mean)


@torch.no_grad()
def start_spectrum(encoder: LinearEncoder, decoder: LinearDecoder, log_ratio: Tensor) -> None:
    """Set the gains of spatial frequencies, after `start_from_klt`.

    Args:
        encoder: gets gains ρ^(−1/4).
        decoder: gets the powers √ρ that follow, and the gains ρ^(1/4) back.
        log_ratio: (knots, smooth) ln ρ, the power of a coefficient at a frequency over its mean
            power, at the knots of `witt.spectrum`.
    """
    if encoder.whitening is None or decoder.spectrum is None or decoder.colouring is None:
        raise ValueError("these ends have no smooth coefficients")
    encoder.whitening.log.copy_(-log_ratio / 4)
    decoder.spectrum.log.copy_(log_ratio / 2)
    decoder.colouring.log.copy_(log_ratio / 4)
