"""`witt channel`: samples over a simulated channel, as a receiver would record them."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

import click
import torch

from channels import Tdl
from witt.commands.fading import fading_options, make_links
from witt.commands.options import (
    HELP,
    ChannelType,
    Registered,
    SnrValueType,
    output_option,
    seed_option,
)
from witt.errors import InputError, one_line
from witt.radio.impairments import clip, oscillator
from witt.radio.multipath import through_paths
from witt.radio.samples import (
    SAMPLE_RATE_HZ,
    Recording,
    check_output,
    read_samples,
    write_samples,
)
from witt.registry import CHANNELS, parse

MOST_DELAY = 2**28
UNIT_DB = 3.0  # power within which samples count as of unit power; OFDM leaves its edges free


class ModelType(ChannelType):
    """A channel of samples: one of symbols, one sample each, or several paths."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As of `ChannelType`, or "tdl-a:delay_spread_ns=300:speed_kmh=3" to "tdl-e"."""
        text = str(value).strip()
        if paths_of(text) is not None:
            return text
        return super().convert(value, param, ctx)


def paths_of(text: str) -> Tdl | None:
    """The tapped delay line that a user wrote, None where it is something else.

    Raises:
        InputError: it does not take these settings.
    """
    target, settings = parse(text)
    kind = re.fullmatch("tdl-([a-e])", target.lower())
    if kind is None:
        return None
    try:
        return Tdl(kind[1].upper(), **settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"{text}: {one_line(error)}") from error


@click.command(
    "channel",
    context_settings=HELP,
    short_help="Pass samples over a channel.",
    epilog="Example: witt channel tx.sigmf -o rx.sigmf --model awgn --snr 10 --seed 1",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@output_option("The samples received (.sigmf, .sigmf-meta, or - for a pipe).", "rx.sigmf")
@click.option(
    "--model",
    cls=Registered,
    registry=CHANNELS,
    type=ModelType(),
    default="awgn",
    show_default=True,
    help="The channel: a gain for each sample, or several paths that move, tdl-a to tdl-e of 3GPP "
    "TR 38.901 with :delay_spread_ns=300:speed_kmh=3:carrier_ghz=3.5.",
)
@click.option(
    "--snr",
    "snr_db",
    type=SnrValueType(),
    default=10,
    show_default=True,
    help="Signal-to-noise ratio (Es/N0) in dB, of samples of unit mean power, which those of "
    "witt send are.",
)
@fading_options
@click.option(
    "--delay",
    type=click.IntRange(0, MOST_DELAY),
    default=0,
    show_default=True,
    metavar="N",
    help="Samples of noise before the first that was sent.",
)
@click.option(
    "--frequency-offset",
    "offset_hz",
    type=click.FLOAT,
    default=0,
    show_default=True,
    metavar="Hz",
    help="How much too low the receiver is tuned.",
)
@click.option(
    "--phase-noise",
    "linewidth_hz",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    metavar="Hz",
    help="Linewidth of the oscillators, whose phase is a random walk.",
)
@click.option(
    "--clip",
    "clip_db",
    type=click.FloatRange(-20, 60),
    metavar="dB",
    help="Power at which the transmitter's amplifier clips, over the mean power.  [default: never]",
)
@click.option(
    "--csi",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the true gain of each sample to this file too, for witt receive --csi; it is 0 "
    "where nothing was sent.",
)
@seed_option("the channel")
def command(
    file: Path,
    output: Path,
    model: str,
    snr_db: float,
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    delay: int,
    offset_hz: float,
    linewidth_hz: float,
    clip_db: float | None,
    csi: Path | None,
    seed: int,
) -> None:
    """Pass complex baseband samples over a channel: y = h x + n, one gain h a sample, or paths.

    \b
      FILE ─► clip ─► delay ─► gain or paths ─► oscillator ─► noise ─► OUT
    """
    paths = paths_of(model)
    named = "awgn" if paths is not None else model  # paths move the samples, and noise is added
    (link,) = make_links([named], fading, coherence, k_factor_db)
    channel = link.module()
    if getattr(channel, "draws_state", False):
        raise InputError(f"{model} is a channel of symbols: of samples there are tdl-a to tdl-e")
    if paths is not None and csi is not None:
        raise InputError(f"{model} has no gain of each sample: leave --csi out")
    check_output(output, (file,))
    if csi is not None:
        check_output(csi, (file, output))
    sent = read_samples(file)
    rate = sent.sample_rate_hz or SAMPLE_RATE_HZ
    for name, value in (("--frequency-offset", offset_hz), ("--phase-noise", linewidth_hz)):
        if not abs(value) <= rate / 2:  # NaN too
            raise InputError(f"{name} must be at most half of the sample rate, {rate / 2:g} Hz")
    x = torch.from_numpy(sent.samples)
    _check_power(file, float(x.abs().square().mean()))
    if clip_db is not None:
        x = clip(x, clip_db)
    generator = torch.Generator().manual_seed(seed)
    if paths is not None:
        x = through_paths(x, paths, rate, generator)
    x = torch.nn.functional.pad(x, (delay, 0))
    gain, noise = channel.draw(1, len(x), generator=generator)
    h = torch.ones_like(x) if gain is None else gain[0].expand(len(x)).clone()
    if offset_hz or linewidth_hz:
        h = (h * oscillator(len(x), offset_hz / rate, linewidth_hz / rate, generator)).to(x.dtype)
    h[:delay] = 0
    out = channel(x[None], snr_db, h=h[None], noise=noise)
    facts = {"model": model, "snr_db": snr_db, "seed": seed, "delay": delay}
    facts |= {"frequency_offset_hz": offset_hz, "linewidth_hz": linewidth_hz, "clip_db": clip_db}
    write_samples(output, Recording(out.y[0].numpy(), sent.sample_rate_hz, facts))
    if csi is not None:
        facts = {"kind": "gain of each sample", "noise_variance": float(out.noise_var)}
        write_samples(csi, Recording(h.numpy(), sent.sample_rate_hz, facts))
    click.echo(
        f"{click.format_filename(output)}: {len(x):,} samples over "
        f"{link if paths is None else model} at {snr_db:g} dB",
        err=str(output) == "-",
    )


def _check_power(file: Path, power: float) -> None:
    if power == 0:
        raise InputError(f"{file}: all samples are 0: nothing was sent")
    level_db = 10 * math.log10(power)
    if abs(level_db) > UNIT_DB:
        warnings.warn(
            f"{file}: the samples have a mean power of {level_db:.1f} dB, and --snr is that of "
            "samples of unit power",
            stacklevel=2,
        )
