"""Pre-training by denoising and masking: noise on the pixels, and tokens that are not sent.

    picture + noise ─► encoder ─► tokens ─► some set to 0 ─► power norm ─► channel ─► decoder
    loss: against the picture without noise

The decoder has to fill in what is missing, as it has to where a channel erases.

Source: Wu et al., "Denoising Masked AutoEncoders Help Robust Classification" (DMAE), 2022,
arXiv 2210.06983. There the encoder does not see masked patches; here it sees all, and their
features are not sent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from witt.codecs.features import FeatureCodec
from witt.contract import Codec
from witt.errors import InputError
from witt.training.config import TrainConfig

STREAM = 0x6D61736B  # sets these draws apart from the crops', which are seeded alike


class Masking(NamedTuple):
    """What happens to the images of a batch at the transmitter.

    keep: (B, T), 1 for a token that is sent and 0 for one that is not.
    noise: (B, 3, H, W), added to the pixels.
    """

    keep: Tensor
    noise: Tensor

    def part(self, images: slice, device: torch.device) -> Masking:
        """That of some of the images."""
        return Masking(self.keep[images].to(device), self.noise[images].to(device))

    def masked(self, symbols: Tensor) -> Tensor:
        """Symbols (B, N, 2) of T tokens one after the other, 0 where a token is not sent."""
        of_tokens = symbols.unflatten(1, (self.keep.shape[1], -1))
        return (of_tokens * self.keep.to(symbols)[:, :, None, None]).flatten(1, 2)


def draw_masking(
    numbers: range, tokens: int, crop: int, share: float, noise_std: float, seed: int
) -> Masking:
    """Masks and noise of images of a run: fixed by the seed and the number of each.

    Args:
        numbers: of the images among all of the run.
        tokens: T of an image, at least one of which is sent.
        crop: H = W in pixels.
        share: of the tokens that is not sent, rounded to whole ones.
        noise_std: standard deviation of the noise; pixels go from 0 to 1.
        seed: of the run.
    """
    lost = min(round(share * tokens), tokens - 1)
    keep = torch.ones(len(numbers), tokens)
    noise = torch.empty(len(numbers), 3, crop, crop)
    for i, n in enumerate(numbers):
        rng = np.random.default_rng([seed, n, 0, STREAM])
        keep[i, torch.from_numpy(rng.permutation(tokens)[:lost])] = 0
        noise[i] = torch.from_numpy(rng.standard_normal((3, crop, crop), np.float32)) * noise_std
    return Masking(keep, noise)


def check_masking(codec: Codec, config: TrainConfig) -> None:
    """Refuse to mask where the symbols of a codec are not those of its tokens in turn.

    Raises:
        InputError: so it is.
    """
    if not config.masks:
        return
    if not isinstance(codec, FeatureCodec) or type(codec).transmit is not FeatureCodec.transmit:
        raise InputError(
            f"--mask and --mask-noise: {codec.name} orders its symbols in its own way; choose a "
            "preset that sends the features of each token in turn, such as witt_cifar"
        )
    if config.profile != "ours":
        raise InputError(f"--mask and --mask-noise: not with --profile {config.profile}")
