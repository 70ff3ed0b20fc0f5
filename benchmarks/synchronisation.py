"""`python -m benchmarks.synchronisation`: how often a frame is missed, and what estimates cost.

Starts: the frame of a small picture after a random delay, with a random phase and a frequency
offset of up to ±0.01 cycles a sample, in noise. A start fails where the frame is not found, where
it is found at another sample, or where its header is lost. Recordings of noise alone, as long, are
looked at for false alarms.

Pictures: each is sent as a frame over the same draws of the channel, and received by the samples
alone and with the truth about start, gains and noise.

{"format": …, "run": {…}, "starts": {"count": …, "snr_db": […], "missed": […], "misplaced": […],
 "header_lost": […], "frequency_rms": […]}, "false_alarms": {…},
 "pictures": [{"channel": …, "snr_db": …, "own_psnr_db": […], "ideal_psnr_db": […]}]}
"""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

import channels
from benchmarks.sweep.dataset import open_dataset
from benchmarks.sweep.provenance import run_record
from witt.commands.options import SnrType, output_option, seed_option
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.link.conditions import Link
from witt.link.framing import Lost, Weights, frame_symbols, receive_frame
from witt.link.values import SnrSpec
from witt.metrics.quality import psnr
from witt.pictures.images import to_tensor
from witt.radio.frame import assemble
from witt.radio.impairments import oscillator
from witt.radio.reception import OwnEstimates, Reception, TrueGains
from witt.radio.synchronisation import FREQUENCY_LIMIT, find_frame
from witt.report import file_sha256, to_json
from witt.side_information import Coding
from witt.store.weights import resolve
from witt.waiting import Advance, nobody_waits, waiting

FORMAT = "witt-synchronisation-1"
MOST_DELAY = 4000
CHANNELS = (  # and the linewidth of the oscillators, cycles a sample
    ("awgn", 0.0),
    ("awgn", 1e-5),
    ("rician:k_factor_db=10:coherence=8192", 0.0),
    ("rayleigh:coherence=8192", 0.0),
)
Samples = NDArray[np.complex64]


def _noise(count: int, n0: float, rng: np.random.Generator) -> NDArray[np.complex128]:
    both = rng.standard_normal((2, count)) * np.sqrt(n0 / 2)
    return np.asarray(both[0] + 1j * both[1])


def _frame(weights: Weights, image: torch.Tensor, snr_db: float, cbr: float) -> Samples:
    model = weights.model
    coding = Coding.of(channels.AWGN(), file_sha256(weights.path))
    with torch.inference_mode():
        encoded = model.encode_with_side(image, snr_db, cbr, coding)
        return assemble(frame_symbols(model, encoded, coding))


def starts(
    weights: Weights,
    snrs: Sequence[float],
    count: int,
    seed: int,
    advance: Advance = nobody_waits,
) -> dict[str, Any]:
    """Failures of `count` starts at each SNR; see the module.

    Args:
        weights: of the codec.
        snrs: dB; the header is coded for each.
        count: starts.
        seed: of delays, phases, offsets and noise.
        advance: called at each start.
    """
    grey = torch.full((1, 3, 64, 64), 0.5)
    found: dict[str, Any] = {
        name: [] for name in ("missed", "misplaced", "header_lost", "frequency_rms")
    }
    for snr_db in snrs:
        frame = _frame(weights, grey, snr_db, 1 / 16)
        rng, n0 = np.random.default_rng([seed, round(100 * snr_db)]), 10 ** (-snr_db / 10)
        missed = misplaced = lost = 0
        errors = []
        for _ in range(count):
            advance()
            delay = int(rng.integers(MOST_DELAY))
            frequency = rng.uniform(-FREQUENCY_LIMIT, FREQUENCY_LIMIT)
            turns = rng.uniform() + frequency * np.arange(len(frame))
            clean = np.zeros(MOST_DELAY + len(frame), np.complex128)
            clean[delay : delay + len(frame)] = frame * np.exp(2j * np.pi * turns)
            samples = (clean + _noise(len(clean), n0, rng)).astype(np.complex64)
            start = find_frame(samples)
            if start is None:
                missed += 1
                continue
            if start.place != delay:
                misplaced += 1
                continue
            errors.append(start.frequency - frequency)
            try:
                receive_frame(OwnEstimates(samples, start), [weights])
            except Lost:
                lost += 1
        for name, value in (("missed", missed), ("misplaced", misplaced), ("header_lost", lost)):
            found[name].append(value)
        found["frequency_rms"].append(float(np.sqrt(np.mean(np.square(errors)))))
    return {
        "count": count,
        "snr_db": list(snrs),
        "frequency_limit": FREQUENCY_LIMIT,
        "samples": MOST_DELAY + len(frame),
        **found,
    }


def false_alarms(count: int, length: int, seed: int) -> dict[str, int]:
    """In how many of `count` recordings of `length` samples of noise a frame is found."""
    rng = np.random.default_rng([seed, 1])
    alarms = sum(
        find_frame(_noise(length, 1.0, rng).astype(np.complex64)) is not None for _ in range(count)
    )
    return {"count": count, "samples": length, "alarms": alarms}


def pictures(
    weights: Weights,
    images: Sequence[torch.Tensor],
    channel: str,
    snr_db: float,
    linewidth: float,
    seed: int,
) -> dict[str, Any]:
    """PSNR (dB) of pictures by own estimates and by the truth, NaN where there is none.

    Args:
        weights: of the codec.
        images: (1, 3, H, W) each.
        channel: as `--channel` has it.
        snr_db: of the channel, which the sender knows.
        linewidth: of the oscillators, cycles a sample.
        seed: of the channel.
    """
    entry: dict[str, Any] = {"channel": channel, "snr_db": snr_db, "linewidth": linewidth}
    entry |= {"own_psnr_db": [], "ideal_psnr_db": []}
    module = Link.of(channel).module()
    for index, image in enumerate(images):
        x = torch.from_numpy(_frame(weights, image, snr_db, 1 / 16))[None]
        generator = torch.Generator().manual_seed(1000 * seed + index)
        gain, noise = module.draw(1, x.shape[1], generator=generator)
        h = torch.ones_like(x) if gain is None else gain.expand(x.shape)
        turn = oscillator(x.shape[1], 0.003, linewidth, generator)
        h = (h * turn).to(torch.complex64)
        out = module(x, snr_db, h=h, noise=noise)
        samples = out.y[0].numpy()
        truth = TrueGains(samples, h[0].numpy(), float(out.noise_var))
        for name, reception in (("own", OwnEstimates.find(samples)), ("ideal", truth)):
            entry[f"{name}_psnr_db"].append(_quality(weights, reception, image))
    return entry


def _quality(weights: Weights, reception: Reception | None, image: torch.Tensor) -> float:
    if reception is None:
        return float("nan")
    try:
        found = receive_frame(reception, [weights]).image.clamp(0, 1)
    except Lost:
        return float("nan")
    return float(psnr((found * 255).round() / 255, image))


@click.command()
@click.option("--starts", "count", type=click.IntRange(0), default=1000, show_default=True)
@click.option("--snr", type=SnrType(), default="0,5,10", show_default=True)
@click.option("--data", type=click.Path(), help="Pictures, for the cost of estimation.")
@click.option("--limit", type=click.IntRange(1), default=4, show_default=True)
@click.option("--weights", default="witt_light", show_default=True)
@seed_option("everything that is random")
@output_option("The results (JSON).", Path("synchronisation.json"))
def command(
    count: int,
    snr: SnrSpec,
    data: str | None,
    limit: int,
    weights: str,
    seed: int,
    output: Path,
) -> None:
    """Count failures of synchronisation, and compare own estimates with the truth."""
    try:
        ensure_writable_folder(output.parent)
        mine = Weights(resolve(weights), weights)
        run = run_record(
            command=shlex.join(["python", "-m", "benchmarks.synchronisation", *sys.argv[1:]])
        )
        result: dict[str, Any] = {"format": FORMAT, "run": run, "seed": seed, "weights": weights}
        if count:
            with waiting("Starts", count * len(snr.points())) as advance:
                result["starts"] = starts(mine, snr.points(), count, seed, advance)
            result["false_alarms"] = false_alarms(count, MOST_DELAY + 5000, seed)
            click.echo(to_json([result["starts"], result["false_alarms"]]))
        if data is not None:
            result["pictures"] = []
            held = open_dataset(data, limit)
            images = [to_tensor(held.read(index)) for index in range(len(held))]
            cells = list(itertools.product(CHANNELS, snr.points()))
            with waiting("Pictures", len(cells)) as advance:
                for (channel, linewidth), snr_db in cells:
                    entry = pictures(mine, images, channel, snr_db, linewidth, seed)
                    result["pictures"].append(entry)
                    click.echo(to_json(entry, indent=None))
                    advance()
        write_text(output, to_json(result) + "\n")
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
