"""`python -m benchmarks.mismatch`: what a wrong SNR costs each codec.

Both ends are told one SNR, by which they plan, and the channel has another. The receiver either
believes what it was told, or estimates the noise for itself, which changes its error variances and
never the plan. Beside them the same with both ends told the truth.

{"format": …, "run": {command, commit, machine, …}, "dataset": {…}, "channel": {…}, "seed": 0,
 "told_db": 10, "cbr": …, "true_db": […],
 "codecs": {weights: {"weights_sha256": …, "psnr_db": {way: [[…] a picture, …] a true SNR}}}}
"""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import channels
from benchmarks.figures.plot import INK, LOOKS, MORE, paper_style, save
from benchmarks.labels import cbr_label
from benchmarks.sweep.dataset import Dataset, open_dataset
from benchmarks.sweep.provenance import run_record
from witt.commands.options import CbrType, ChannelListType, SnrType, SnrValueType
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.link.conditions import Link
from witt.link.draws import draw_channel
from witt.link.evaluation import image_seed
from witt.link.values import Cbr, SnrSpec
from witt.metrics.quality import BEST_PSNR_DB, psnr
from witt.pictures.images import to_tensor
from witt.report import file_sha256, to_json
from witt.store.weights import load_weights, resolve
from witt.waiting import Advance, nobody_waits, waiting

FORMAT = "witt-mismatch-1"
WAYS = {
    "known": "both ends told the truth",
    "estimated": "told {told:g} dB, receiver estimates the noise",
    "believed": "told {told:g} dB, receiver believes it",
}
LINES = {"known": "-", "estimated": "--", "believed": ":"}


def measure(
    name: str,
    dataset: Dataset,
    link: Link,
    told_db: float,
    true_db: Sequence[float],
    cbr: float,
    seed: int,
    advance: Advance = nobody_waits,
) -> dict[str, Any]:
    """The entry of one codec in the file: PSNR (dB) of each picture, for each of `WAYS`.

    Args:
        name: of its weights.
        dataset: pictures.
        link: the channel.
        told_db: SNR in the header.
        true_db: SNRs of the channel, each with the same noise.
        cbr: requested.
        seed: of the channel.
        advance: called after each picture.
    """
    path = resolve(name)
    model, channel = load_weights(path)[0], link.module()
    found: dict[str, list[list[float]]] = {way: [[] for _ in true_db] for way in WAYS}
    for index in range(len(dataset)):
        pixels = dataset.read(index)
        image, size = to_tensor(pixels), (pixels.shape[0], pixels.shape[1])
        uses = model.channel_uses(size, cbr)
        h, noise = draw_channel(channel, uses, [image_seed(seed, pixels)])
        with torch.inference_mode():
            symbols, header = model.encode(image, told_db, cbr)
            for place, snr_db in enumerate(true_db):
                known = model(image, channel, snr_db, cbr, h=h, noise=noise)
                images = {"known": known.image}
                out = channel(symbols, snr_db, h=h, noise=noise)
                for way, believed_db in (("estimated", snr_db), ("believed", told_db)):
                    noise_var = out.noise_var.new_full((1, 1), 10 ** (-believed_db / 10))
                    x_hat, error = channels.mmse(out.y, out.h, noise_var)
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # of what is meant here
                        images[way] = model.decode(x_hat, header, error)
                for way, received in images.items():
                    found[way][place].append(min(float(psnr(received, image)), BEST_PSNR_DB))
        advance()
    return {"weights_sha256": file_sha256(path), "psnr_db": found}


def draw(documents: Sequence[dict[str, Any]], folder: Path, name: str) -> list[Path]:
    """A panel for each codec of the files: PSNR over the SNR of the channel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = [(d, codec, entry) for d in documents for codec, entry in d["codecs"].items()]
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    with paper_style():
        figure = Figure(figsize=(2.7 * columns, 2.3 * rows + 0.7), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True).flatten()
        for axes, (document, codec, entry) in zip(grid, panels, strict=False):
            look = LOOKS.get(codec, MORE[0])
            for way in WAYS:
                means = [np.mean(values) for values in entry["psnr_db"][way]]
                axes.plot(document["true_db"], means, LINES[way], color=look.colour, lw=1.4)
            axes.set_xticks(document["true_db"])
            axes.axvline(document["told_db"], color="#7a8090", lw=0.6)
            data = document["dataset"]
            axes.set_title(
                f"{codec}: {data['name']}, {data['pictures']}, CBR {cbr_label(document['cbr'])}",
                size=8, loc="left",
            )  # fmt: skip
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel("SNR of the channel (dB)", size=8)
        figure.supylabel("PSNR (dB)", size=8)
        told = documents[0]["told_db"]
        handles = [
            Line2D([], [], color=INK, ls=LINES[way], lw=1.4, label=label.format(told=told))
            for way, label in WAYS.items()
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=7)
        return save(figure, folder, name)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(path_type=Path), help="Folder of pictures, or of sheets.")
@click.option("--weights", help="Names or files, with commas between.")
@click.option("--told", "told_db", type=SnrValueType(), default="10", show_default=True)
@click.option("--snr", type=SnrType(), default="4:16:2", show_default=True, help="Of the channel.")
@click.option("--cbr", type=CbrType(), default="1/16", show_default=True)
@click.option("--channel", type=ChannelListType(), default="awgn", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N pictures.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="JSON file of this run."
)
@click.option(
    "--figure", multiple=True, type=click.Path(path_type=Path), help="Draw these files into one."
)
def command(
    data: Path | None, weights: str | None, told_db: float, snr: SnrSpec, cbr: Cbr,
    channel: Sequence[str], limit: int | None, seed: int, out: Path, figure: Sequence[Path],
) -> None:  # fmt: skip
    """Measure what a wrong SNR costs, or draw what was measured (--figure A --figure B)."""
    try:
        ensure_writable_folder(out.parent)
        if figure:
            documents = [json.loads(path.read_text()) for path in figure]
            for path in draw(documents, out.parent, out.stem):
                click.echo(f"Figure: {path}")
            return
        if data is None or weights is None:
            raise InputError("name what to measure: --data DIR --weights NAME[,NAME…]")
        dataset, link, points = open_dataset(data, limit), Link(channel[0]), snr.points()
        names = weights.split(",")
        document: dict[str, Any] = {
            "format": FORMAT,
            "run": run_record(
                command=shlex.join(["python", "-m", "benchmarks.mismatch", *sys.argv[1:]])
            ),
            "dataset": dataset.record(),
            "channel": link.record(),
            "seed": seed,
            "told_db": told_db,
            "cbr": cbr.value,
            "true_db": list(points),
            "codecs": {},
        }
        with waiting("Sending", len(names) * len(dataset)) as advance:
            for name in names:
                document["codecs"][name] = measure(
                    name, dataset, link, told_db, points, cbr.value, seed, advance
                )
        write_text(out, to_json(document) + "\n")
        for name, entry in document["codecs"].items():
            for way, values in entry["psnr_db"].items():
                means = " ".join(f"{np.mean(value):6.2f}" for value in values)
                click.echo(f"{name:20} {way:10} {means}")
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
