"""Training as the published code does it: `witt train --profile published`.

One integer SNR and one CBR for a batch, one power and shared symbols, the receiver without CSI, the
picture clamped before the loss, the loss a plain mean, and gates that send no gradient back to what
they look at; see `link/profiles.py`. In several processes or parts of a batch, what shares power
and symbols is the part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from witt.contract import Codec
from witt.errors import InputError
from witt.link.profiles import Profile
from witt.metrics.loss import OUR_LOSSES
from witt.metrics.published import ms_ssim_published, published_window
from witt.nn.layers import ModNet
from witt.training.config import TrainConfig


def check_published(config: TrainConfig, name: str, adapts: bool) -> None:
    """Refuse what the published training has no way to do.

    Raises:
        InputError: several rates or channels, no integer SNR, or crops too small for its loss.
    """
    if adapts:
        raise InputError(
            f"--profile published trains one CBR, and {name} is rate-adaptive: take "
            "witt_base or witt_cifar, or --set rate_adaptive=false"
        )
    if len(set(config.channel)) > 1:
        raise InputError(
            f"--profile published trains one channel, not {','.join(config.channel)}: its "
            "pictures share their symbols"
        )
    integer_snrs(config.snr, config.snr_is_range)
    if config.loss not in OUR_LOSSES:
        known = " or ".join(OUR_LOSSES)
        raise InputError(f"--profile published minimises {known}, not {config.loss}")
    if config.loss == "ms-ssim" and published_window(config.crop) is None:
        raise InputError(f"--loss ms-ssim --profile published: --crop {config.crop} is below 24")


def integer_snrs(snr_db: Sequence[float], is_range: bool) -> list[int]:
    """The SNRs that a batch may get, in dB.

    Raises:
        InputError: there is none, or one of the list is no integer.
    """
    if is_range:
        found = list(range(math.ceil(snr_db[0]), math.floor(snr_db[-1]) + 1))
    else:
        found = [int(value) for value in snr_db if value == int(value)]
    if not found or (not is_range and len(found) < len(snr_db)):
        named = (":" if is_range else ",").join(f"{value:g}" for value in snr_db)
        raise InputError(f"--profile published trains for integer SNRs, not --snr {named}")
    return found


def draw_snr(snr_db: Sequence[float], is_range: bool, generator: torch.Generator) -> float:
    """One of `integer_snrs`, for a whole batch."""
    choices = integer_snrs(snr_db, is_range)
    return float(choices[int(torch.randint(len(choices), (), generator=generator))])


def detach_modnets(model: Codec, profile: Profile) -> None:
    """Let the gates learn as the profile has it."""
    for module in model.modules():
        if isinstance(module, ModNet):
            module.detached = profile.detached_modnet


def published_terms(name: str, received: Tensor, image: Tensor) -> Tensor:
    """What each image adds to the loss, (B,), whose mean the loss is, before its scale.

    Args:
        name: "mse", the squared error, or "ms-ssim", 1 − the MS-SSIM.
        received: (B, 3, H, W), not clamped; what lies outside [0, 1] gets no gradient.
        image: (B, 3, H, W) in [0, 1].
    """
    received = received.clamp(0, 1)
    if name == "ms-ssim":
        window = published_window(min(image.shape[2:]))
        if window is None:
            raise InputError(f"crops of {tuple(image.shape[2:])} are too small for MS-SSIM")
        return 1 - ms_ssim_published(received, image, window)
    return (received - image).square().mean(dim=(1, 2, 3))
