"""`python -m benchmarks.impairments`: what radios that are not ideal cost each codec.

Each sweep changes one thing over a channel that is ideal otherwise; PSNR over it is one panel of
the figure, with a line for each way to be wrong.

{"format": …, "run": {command, commit, machine, …}, "dataset": {…}, "seed": 0, "snr_db": 10,
 "cbr": …, "sweeps": {what: {"label": …, "values": […]}},
 "codecs": {weights: {"weights_sha256": …,
                      "psnr_db": {what: {line: [[…] a picture, …] a value}}}}}
"""

from __future__ import annotations

import json
import math
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from torch import Tensor

import channels
from benchmarks.figures.plot import LOOKS, MORE, paper_style, save
from benchmarks.sweep.dataset import Dataset, open_dataset
from benchmarks.sweep.provenance import run_record
from channels.named import ofdm_awgn, ofdm_tdl
from witt.commands.options import CbrType, SnrValueType
from witt.contract import Codec
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.link.draws import draw_channel
from witt.link.evaluation import image_seed
from witt.link.given import codec_label
from witt.link.values import Cbr
from witt.metrics.quality import BEST_PSNR_DB, psnr
from witt.pictures.images import to_tensor
from witt.report import file_sha256, to_json
from witt.store.weights import load_weights, resolve
from witt.waiting import Advance, nobody_waits, waiting

FORMAT = "witt-impairments-1"
STYLES = ("-", "--", ":", "-.")
OTHER_STREAM = 0x5EED_F00D


class Case(NamedTuple):
    """What one picture goes through.

    channel: that it crosses, at the SNR of the run.
    transmitter_db, receiver_db: by how much each believes the SNR to be higher than it is; what
        the transmitter believes is in the header, and the receiver's error variances follow from
        what it believes.
    knows: whether the transmitter is told `Channel.planned_db`, what is left of the SNR after
        estimation and impairments, or else the SNR of the noise alone.
    old: correlation of the gain that the transmitter was told with the one that there is; None
        where it is told the mean SNR. For one gain an image.
    """

    channel: channels.Channel
    transmitter_db: float = 0.0
    receiver_db: float = 0.0
    knows: bool = True
    old: float | None = None


class Sweep(NamedTuple):
    """What is changed: the axis, its values, and the lines over it."""

    label: str
    values: tuple[float, ...]
    lines: dict[str, Callable[[float], Case]]


def _ofdm(name: str, knows: bool = True, **more: Any) -> Callable[[float], Case]:
    """Over OFDM on one ideal path, with a setting that is swept."""

    def case(value: float) -> Case:
        channel = ofdm_awgn(**{"estimation": "perfect", name: value, **more})
        return Case(channel, knows=knows)

    return case


def _tdl(name: str, **more: Any) -> Callable[[float], Case]:
    """Over OFDM on TDL-A."""
    return lambda value: Case(ofdm_tdl("A", **{name: value, **more}))


def _estimations(name: str, **more: Any) -> dict[str, Callable[[float], Case]]:
    named = {"channel known": "perfect", "LMMSE": "lmmse", "least squares": "ls"}
    return {label: _tdl(name, estimation=way, **more) for label, way in named.items()}


def _told(at_transmitter: bool, at_receiver: bool) -> Callable[[float], Case]:
    return lambda db: Case(channels.AWGN(), db * at_transmitter, db * at_receiver)


def _fed_back(turns: float) -> Case:
    """The transmitter is told the gain of f_d tau turns ago, correlated by J0."""
    phase = torch.tensor(2 * math.pi * turns, dtype=torch.float64)
    return Case(channels.Rayleigh(None), old=float(torch.special.bessel_j0(phase)))


SWEEPS = {
    "clipping": Sweep(
        "saturation over mean power (dB)",
        (0, 1.5, 3, 4.5, 6, 9),
        {
            "hard": _ofdm("clip_db", amplifier="hard"),
            "soft": _ofdm("clip_db", amplifier="soft"),
            "hard, not told": _ofdm("clip_db", False, amplifier="hard"),
        },
    ),
    "offset": Sweep(
        "carrier offset (subcarriers)",
        (0, 0.02, 0.05, 0.1, 0.15, 0.2),
        {
            "phase tracked": _ofdm("offset"),
            "TDL-A, LMMSE": _tdl("offset"),
            "phase tracked, not told": _ofdm("offset", False),
        },
    ),
    "clock": Sweep(
        "sampling offset (ppm)",
        (0, 1, 2, 5, 10, 20),
        {
            "least squares": _tdl("sampling_ppm", estimation="ls"),
            "LMMSE": _tdl("sampling_ppm"),
        },
    ),
    "phase-noise": Sweep(
        "linewidth (Hz)",
        (0, 10, 30, 100, 300, 1000),
        {"phase tracked": _ofdm("linewidth_hz"), "TDL-A, LMMSE": _tdl("linewidth_hz")},
    ),
    "delay-spread": Sweep(
        "delay spread of TDL-A (ns)", (10, 30, 100, 300), _estimations("delay_spread_ns")
    ),
    "speed": Sweep(
        "speed (km/h)", (3, 30, 60, 120, 250, 500), _estimations("speed_kmh", delay_spread_ns=300)
    ),
    "estimation": Sweep(
        "variance of the estimation error",
        (0, 0.003, 0.01, 0.03, 0.1, 0.3),
        {"fast Rayleigh": lambda v: Case(channels.Estimated(v))},
    ),
    "feedback": Sweep(
        "feedback delay (turns of Doppler)",
        (0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
        {
            "told the old gain": _fed_back,
            "told the mean SNR": lambda _: Case(channels.Rayleigh(None)),
        },
    ),
    "belief": Sweep(
        "SNR believed over the channel's (dB)",
        (-6, -3, 0, 3, 6),
        {
            "both": _told(True, True),
            "transmitter alone": _told(True, False),
            "receiver alone": _told(False, True),
        },
    ),
}


def sent_psnr(
    model: Codec, image: Tensor, case: Case, snr_db: float, cbr: float, seed: int
) -> float:
    """PSNR (dB) of one picture in a case; the same seed draws the same for every case.

    Args:
        model: both ends.
        image: (1, 3, H, W).
        case: what it goes through.
        snr_db: of the channel.
        cbr: requested.
        seed: of the channel.
    """
    uses = model.channel_uses((image.shape[2], image.shape[3]), cbr)
    h, noise = draw_channel(case.channel, uses, [seed])
    left_db = float(case.channel.planned_db(snr_db)) if case.knows else snr_db
    told_db = left_db + case.transmitter_db
    if case.old is not None and h is not None:
        # From another stream of numbers: the noise is the same whatever was fed back. Of a seed
        # PyTorch's generator takes 32 bits.
        generator = torch.Generator().manual_seed(seed ^ OTHER_STREAM)
        other = channels.complex_normal((1,), generator=generator)
        old = case.old * h[0, :1] + math.sqrt(1 - case.old**2) * other
        told_db += 20 * math.log10(max(old.abs().item(), 1e-3))
    low, high = model.snr_range_db or (told_db, told_db)
    encoded = model.encode(image, min(max(told_db, low), high), cbr)
    out = case.channel(encoded.symbols, snr_db, h=h, noise=noise)
    believed = out.noise_var * 10 ** (-case.receiver_db / 10)
    received, error = channels.mmse(out.y, out.h, believed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is meant here
        decoded = model.decode(received, encoded.header, error)
    return min(float(psnr(decoded, image)), BEST_PSNR_DB)


@torch.inference_mode()
def measure(
    name: str,
    dataset: Dataset,
    what: Sequence[str],
    snr_db: float,
    cbr: float,
    seed: int,
    advance: Advance = nobody_waits,
) -> dict[str, Any]:
    """The entry of one codec in the file.

    Args:
        name: of its weights.
        dataset: pictures.
        what: sweeps by name.
        snr_db, cbr, seed: of the run.
        advance: called after each line of a sweep.
    """
    path = resolve(name)
    model = load_weights(path)[0]
    pictures = [dataset.read(index) for index in range(len(dataset))]
    own = [(to_tensor(pixels), image_seed(seed, pixels)) for pixels in pictures]
    found: dict[str, dict[str, list[list[float]]]] = {}
    for sweep in what:
        found[sweep] = {}
        for line, case_of in SWEEPS[sweep].lines.items():
            found[sweep][line] = [
                [sent_psnr(model, image, case, snr_db, cbr, each) for image, each in own]
                for case in map(case_of, SWEEPS[sweep].values)
            ]
            means = " ".join(f"{np.mean(value):6.2f}" for value in found[sweep][line])
            click.echo(f"{name:20} {sweep:12} {line:18} {means}")
            advance()
    return {"weights_sha256": file_sha256(path), "psnr_db": found}


def draw(document: dict[str, Any], folder: Path, name: str) -> list[Path]:
    """A panel for each sweep of a file: PSNR over what changes, a colour for each codec."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sweeps = document["sweeps"]
    columns = min(3, len(sweeps))
    rows = -(-len(sweeps) // columns)
    with paper_style():
        figure = Figure(figsize=(3.0 * columns, 2.4 * rows + 0.3), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, (what, sweep) in zip(grid, sweeps.items(), strict=False):
            for codec, entry in document["codecs"].items():
                look = LOOKS.get(codec, MORE[0])
                for style, (line, values) in zip(
                    STYLES, entry["psnr_db"][what].items(), strict=False
                ):
                    axes.plot(
                        sweep["values"], np.mean(values, axis=1), style, color=look.colour, lw=1.4,
                        label=f"{codec_label(codec)}, {line}",
                    )  # fmt: skip
            axes.set_xlabel(sweep["label"], size=7)
            axes.legend(fontsize=5)
        for axes in grid[len(sweeps) :]:
            axes.set_axis_off()
        figure.supylabel(f"PSNR (dB) at {document['snr_db']:g} dB", size=8)
        return save(figure, folder, name)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(path_type=Path), help="Folder of pictures, or of sheets.")
@click.option(
    "--weights",
    default="witt_light",
    show_default=True,
    help="Names or files, with commas between.",
)
@click.option(
    "--what", default=",".join(SWEEPS), show_default=True, help="Sweeps, with commas between."
)
@click.option("--snr", "snr_db", type=SnrValueType(), default="10", show_default=True)
@click.option("--cbr", type=CbrType(), default="1/16", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N pictures.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="JSON file; the figure is beside it.",
)
@click.option("--figure", type=click.Path(path_type=Path), help="Draw this file again.")
def command(
    data: Path | None, weights: str, what: str, snr_db: float, cbr: Cbr, limit: int | None,
    seed: int, out: Path, figure: Path | None,
) -> None:  # fmt: skip
    """Measure what radios that are not ideal cost, and draw it."""
    try:
        ensure_writable_folder(out.parent)
        if figure is not None:
            document = json.loads(figure.read_text())
        else:
            document = _measured(data, weights, what, snr_db, cbr, limit, seed)
            write_text(out, to_json(document) + "\n")
        for path in draw(document, out.parent, out.stem):
            click.echo(f"Figure: {path}")
    except InputError as error:
        raise click.ClickException(str(error)) from error


def _measured(
    data: Path | None,
    weights: str,
    what: str,
    snr_db: float,
    cbr: Cbr,
    limit: int | None,
    seed: int,
) -> dict[str, Any]:
    named = [each.strip() for each in what.split(",")]
    for each in named:
        if each not in SWEEPS:
            raise InputError(f"unknown sweep {each!r}: choose from {', '.join(SWEEPS)}")
    if data is None:
        raise InputError("name what to measure: --data DIR")
    dataset, codecs = open_dataset(data, limit), weights.split(",")
    document: dict[str, Any] = {
        "format": FORMAT,
        "run": run_record(
            command=shlex.join(["python", "-m", "benchmarks.impairments", *sys.argv[1:]])
        ),
        "dataset": dataset.record(),
        "seed": seed,
        "snr_db": snr_db,
        "cbr": cbr.value,
        "sweeps": {
            each: {"label": SWEEPS[each].label, "values": list(SWEEPS[each].values)}
            for each in named
        },
        "codecs": {},
    }
    lines = sum(len(SWEEPS[each].lines) for each in named)
    with waiting("Sending", lines * len(codecs)) as advance:
        for name in codecs:
            document["codecs"][name] = measure(
                name, dataset, named, snr_db, cbr.value, seed, advance
            )
    return document


if __name__ == "__main__":
    command()
