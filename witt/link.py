"""One picture over one channel, measured: what `witt transmit` and `witt evaluate` share."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import click
import torch
from torch import Tensor

import channels
from channels.base import complex_normal
from witt.adaptation import Adaptation
from witt.errors import InputError
from witt.images import Pixels, to_pixels, to_tensor
from witt.metrics import BEST_MS_SSIM_DB, BEST_PSNR_DB, capped, ms_ssim, psnr
from witt.model import WITT
from witt.options import CHANNELS
from witt.signals import Transmission

FADING = ("fast", "block")
K_FACTOR_DB, MAX_K_FACTOR_DB = 6.0, 100.0
LARGEST_SEED = 2**63 - 1

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Link:
    """A channel and how it fades.

    Args:
        channel: "awgn", "rayleigh" or "rician".
        fading: "fast", one gain a symbol, or "block"; AWGN does not fade and leaves it out.
        coherence: symbols of a block; None is one gain for a whole image.
        k_factor_db: power of the line of sight over that of the scatter, for Rician, dB.

    Raises:
        InputError: unknown channel or fading, a K factor out of range, or fast fading with a
            coherence.
    """

    channel: str = "awgn"
    fading: str = "fast"
    coherence: int | None = None
    k_factor_db: float = K_FACTOR_DB

    def __post_init__(self) -> None:
        if self.channel not in CHANNELS:
            raise InputError(f"unknown channel {self.channel!r}: choose from {', '.join(CHANNELS)}")
        if self.fading not in FADING:
            raise InputError(f"unknown fading {self.fading!r}: choose from {', '.join(FADING)}")
        if not abs(self.k_factor_db) <= MAX_K_FACTOR_DB:  # NaN too
            raise InputError(
                f"{self.k_factor_db} is not a K factor: give a number of dB from "
                f"{-MAX_K_FACTOR_DB:g} to {MAX_K_FACTOR_DB:g}"
            )
        if self.fading == "fast" and self.coherence not in (None, 1):
            raise InputError(
                f"fast fading has one gain a symbol, not one for {self.coherence}: use block fading"
            )

    @property
    def fades(self) -> bool:
        """Whether the gain is random."""
        return self.channel != "awgn"

    def module(self) -> channels.Channel:
        """The channel model."""
        coherence = 1 if self.fading == "fast" else self.coherence
        if self.channel == "rayleigh":
            return channels.Rayleigh(coherence)
        if self.channel == "rician":
            return channels.Rician(self.k_factor_db, coherence)
        return channels.AWGN()

    def __str__(self) -> str:
        if not self.fades:
            return "AWGN"
        name = self.channel.capitalize()
        if self.channel == "rician":
            name += f" K = {self.k_factor_db:g} dB"
        if self.fading == "fast":
            return f"{name}, fast fading"
        block = "one gain an image" if self.coherence is None else f"{self.coherence} symbols"
        return f"{name}, block fading ({block})"

    def record(self) -> dict[str, Any]:
        """Plain values for JSON, None where the channel has no such thing."""
        return {
            "channel": self.channel,
            "fading": self.fading if self.fades else None,
            "coherence": self.coherence if self.fades and self.fading == "block" else None,
            "k_factor_db": self.k_factor_db if self.channel == "rician" else None,
        }


class Draw(NamedTuple):
    """One transmission of a picture, measured on its 8-bit pixels; MS-SSIM is NaN if left out.

    A picture that arrives without error counts as 100 dB of PSNR and 60 dB of MS-SSIM.
    """

    sent: Transmission
    pixels: Pixels
    psnr_db: float
    ms_ssim: float
    ms_ssim_db: float
    ms_ssim_variant: str | None
    seconds: float


@contextmanager
def memory_for(image: Tensor) -> Iterator[None]:
    """Say which picture was too large.

    Raises:
        InputError: there was too little memory in the block.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        raise InputError(
            f"a picture of {image.shape[3]}x{image.shape[2]} pixels needs more memory than there "
            f"is on {image.device}: make the picture smaller"
        ) from error


def draw_channel(
    channel: channels.Channel, uses: int, seeds: Sequence[int]
) -> tuple[Tensor | None, Tensor]:
    """Gains (B, uses), where the channel fades, and noise (B, uses), as the channel draws them.

    Each picture has its own seed, and gets the same whatever else is in the batch.
    """
    gains, noises = [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        if channel.fading:
            gain = channel.sample_gain(1, uses, dtype=torch.complex64, generator=generator)
            gains.append(gain.expand(1, uses))
        noises.append(complex_normal((1, uses), generator=generator))
    return torch.cat(gains) if gains else None, torch.cat(noises)


def transmit(
    pixels: Pixels,
    model: WITT,
    link: Link | None = None,
    snr_db: float = 10.0,
    cbr: float | None = 1 / 16,
    *,
    seed: int = 0,
    repeats: int = 1,
    with_ms_ssim: bool = True,
    adaptation: Adaptation | None = None,
) -> list[Draw]:
    """Send a picture, with `repeats` independent draws of the channel.

        draws = transmit(witt.read_image("photo.png").pixels, witt.load("witt_light"))
        witt.write_png("received.png", draws[0].pixels)

    Args:
        pixels: (H, W, 3) uint8.
        model: trained, in evaluation mode.
        link: the channel; None is AWGN.
        snr_db: Es/N0 in dB.
        cbr: requested CBR; None sends all feature channels.
        seed: of the channel; the draws follow each other from it, so that the first one is the
            same however many there are.
        repeats: number of draws.
        with_ms_ssim: whether to take it (0.9 s for 768x512 pixels on a CPU).
        adaptation: how the transmitter improves what it sends, if at all.

    Returns:
        A `Draw` for each; its `seconds` are from pixels to pixels, without the metrics, though the
        picture is encoded once for all of them.

    Raises:
        InputError: a CBR or SNR that the model does not serve, or too little memory.
    """
    started = time.perf_counter()
    image = to_tensor(pixels, next(model.parameters()).device)
    channel = (link or Link()).module()
    generator = torch.Generator().manual_seed(seed)
    with memory_for(image), torch.inference_mode():
        encoded = model.encode(image, snr_db, cbr, adaptation)
    encoding = time.perf_counter() - started
    draws = []
    for _ in range(repeats):
        started = time.perf_counter()
        with memory_for(image), torch.inference_mode():
            sent = model.carry(encoded, channel, snr_db, generator=generator)
        received = to_pixels(sent.image)
        seconds = encoding + time.perf_counter() - started
        value, db, variant = math.nan, math.nan, None
        if with_ms_ssim:
            similarity = ms_ssim(sent.image, image)
            value, variant = float(similarity.value), similarity.variant
            db = capped(float(similarity.db), BEST_MS_SSIM_DB)
        quality = capped(float(psnr(sent.image, image)), BEST_PSNR_DB)
        draws.append(Draw(sent, received, quality, value, db, variant, seconds))
    return draws


def fading_options(command: F) -> F:
    """``--fading``, ``--coherence`` and ``--k-factor``, for `make_links`."""
    options = (
        click.option(
            "--fading",
            type=click.Choice(FADING),
            help="Rayleigh and Rician: fast has one gain a symbol, block one gain an image, or for "
            "every --coherence symbols.  [default: fast, or block with --coherence]",
        ),
        click.option(
            "--coherence",
            type=click.IntRange(min=1),
            metavar="N",
            help="Symbols that share one gain in block fading.  [default: the whole image]",
        ),
        click.option(
            "--k-factor",
            "k_factor_db",
            type=click.FLOAT,
            metavar="dB",
            help="Rician: power of the line of sight over that of the scatter, in dB.  "
            f"[default: {K_FACTOR_DB:g}]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class SeedType(click.ParamType):
    """A seed that PyTorch takes; the help is spared the 19 digits of the largest."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A whole number from 0 to LARGEST_SEED."""
        try:
            seed = int(value)
        except ValueError:
            seed = -1
        if not 0 <= seed <= LARGEST_SEED:
            self.fail(
                f"{value!r} is not a seed: give a whole number from 0 to {LARGEST_SEED}", param, ctx
            )
        return seed


def seed_option(what: str) -> Callable[[F], F]:
    """``--seed``; `what` it is the seed of."""
    return click.option(
        "--seed",
        type=SeedType(),
        default=0,
        show_default=True,
        help=f"Seed of {what}: the same seed gives the same bytes.",
    )


def make_links(
    names: Sequence[str], fading: str | None, coherence: int | None, k_factor_db: float | None
) -> list[Link]:
    """One link for each channel; a warning for an option that none of them uses.

    Raises:
        InputError: options that contradict each other.
    """
    if fading is None:
        fading = "fast" if coherence is None else "block"
    k_factor = K_FACTOR_DB if k_factor_db is None else k_factor_db + 0.0  # no -0
    links = [Link(name, fading, coherence, k_factor) for name in dict.fromkeys(names)]
    if not any(link.fades for link in links) and (fading == "block" or coherence is not None):
        warnings.warn("AWGN does not fade: --fading and --coherence are not used", stacklevel=2)
    if k_factor_db is not None and "rician" not in names:
        warnings.warn("--k-factor is for the rician channel only: it is not used", stacklevel=2)
    return links
