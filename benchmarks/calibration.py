"""`python -m benchmarks.calibration`: is the error that a receiver expects the one that there is?

Pixels go into bins by the error that is expected of them (`Codec.regions`); of each bin the mean
squared error expected is compared with the one measured, in the 8-bit picture. Where a network goes
on from what the expectation is of (`Regions.estimate`), the error before it is measured too. Side
information is taken as received.

{"format": …, "run": {command, commit, machine, …}, "dataset": {…}, "seed": 0, "cbr": …,
 "codecs": {weights: {"weights_sha256": …, "conditions": [{channel, …, "snr_db": 1, "bins": […],
  "images": […], "expected_rmse": …, "measured_rmse": …, "estimate_rmse": …}, …]}}}
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.figures.plot import GREY, INK, paper_style, save
from benchmarks.labels import cbr_label
from benchmarks.sweep.dataset import Dataset, open_dataset
from benchmarks.sweep.provenance import run_record
from witt.commands.options import CbrType, ChannelListType, SnrType
from witt.contract import Codec
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.link.conditions import Link
from witt.link.draws import draw_channel
from witt.link.evaluation import image_seed
from witt.link.values import Cbr, SnrSpec
from witt.pictures.images import Pixels, to_pixels, to_tensor
from witt.report import file_sha256, to_json
from witt.store.weights import load_weights, resolve

FORMAT = "witt-calibration-1"
EDGES = 2.0 ** (np.arange(-8, 18) / 2)  # of the bins: half octaves of the expected RMSE, of 255
RESAMPLED = 1000  # pictures drawn anew, for the interval of each bin
LEAST_SHARE = 0.005  # of the pixels of a condition, for a point in the figure
COLOURS = ("#0b2f78", "#2f86c9", "#1b7f5c", "#b8860b", "#d1520f", "#a3194b")
SHOWN = ("expected_rmse", "measured_rmse", "estimate_rmse", "measured_p5", "measured_p95")
PIXELS, EXPECTED, MEASURED, ESTIMATE = range(4)  # what is summed up in each bin


def measure(
    model: Codec, dataset: Dataset, link: Link, snr_db: float, cbr: float, seed: int
) -> dict[str, Any]:
    """The entry of one condition in the file; errors are RMSEs in steps of 8 bits.

    Args:
        model: a codec that expects an error.
        dataset: pictures.
        link: the channel.
        snr_db: of it, told to both ends.
        cbr: requested.
        seed: of the channel.

    Raises:
        InputError: the codec expects no error.
    """
    pictures = [dataset.read(index) for index in range(len(dataset))]
    sums = np.stack([_sums(model, each, link, snr_db, cbr, seed) for each in pictures])
    total, pixels = sums.sum((0, 1)), sums.sum(1)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(sums), size=(RESAMPLED, len(sums)))
    counts = np.stack([np.bincount(row, minlength=len(sums)) for row in drawn])
    bins = []
    for number in range(sums.shape[1]):
        mine = sums[:, number]
        if not mine[:, PIXELS].any():
            continue
        again = counts @ mine
        there = again[again[:, PIXELS] > 0]
        low, high = np.percentile(there[:, MEASURED] / there[:, EXPECTED], (5, 95))
        entry = _entry(mine.sum(0))
        entry["measured_p5"] = entry["expected_rmse"] * math.sqrt(low)
        entry["measured_p95"] = entry["expected_rmse"] * math.sqrt(high)
        bins.append({"pixels": int(mine[:, PIXELS].sum()), **entry})
    return {
        **link.record(),
        "channel_label": str(link),
        "snr_db": snr_db,
        **_entry(total),
        "bins": bins,
        "images": [_entry(each) for each in pixels],
    }


def _sums(
    model: Codec, pixels: Pixels, link: Link, snr_db: float, cbr: float, seed: int
) -> np.ndarray[Any, Any]:
    """(bins, 4) of one picture: pixels, and squared errors as in `EXPECTED` … `ESTIMATE`."""
    image, channel = to_tensor(pixels), link.module()
    with torch.inference_mode():
        encoded = model.encode(image, channel.planned_db(snr_db), cbr)
        h, noise = draw_channel(channel, encoded.symbols.shape[1], [image_seed(seed, pixels)])
        sent = model.carry(encoded, channel, snr_db, h=h, noise=noise, regions=True)
    regions = sent.regions
    if regions is None or bool(regions.mse.isnan().any()):
        raise InputError(f"{model.name} expects no error, so there is nothing to compare with")
    expected = 255**2 * regions.mse[0].double().numpy()
    estimate = sent.image if regions.estimate is None else regions.estimate
    errors = [expected, *(_squared(pixels, to_pixels(each)) for each in (sent.image, estimate))]
    bins = np.digitize(np.sqrt(expected), EDGES).ravel()
    weights = [np.ones_like(expected), *errors]
    columns = [np.bincount(bins, each.ravel(), len(EDGES) + 1) for each in weights]
    return np.stack(columns, axis=1)


def _squared(pixels: Pixels, received: Pixels) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = np.square(received.astype(float) - pixels).mean(axis=2)
    return found


def _entry(sums: np.ndarray[Any, Any]) -> dict[str, float]:
    roots = np.sqrt(sums[1:] / sums[PIXELS])
    names = ("expected_rmse", "measured_rmse", "estimate_rmse")
    return dict(zip(names, map(float, roots), strict=True))


def draw(documents: Sequence[dict[str, Any]], folder: Path, name: str) -> list[Path]:
    """A panel for each codec and channel of the files: measured over expected error."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for document in documents:
        data = f"{document['dataset']['name']}, {document['dataset']['pictures']} pictures"
        for codec, entry in document["codecs"].items():
            for condition in entry["conditions"]:
                title = f"{codec}: {data}, CBR {cbr_label(document['cbr'])}"
                panels.setdefault((title, condition["channel_label"]), []).append(condition)
    snrs = sorted({each["snr_db"] for conditions in panels.values() for each in conditions})
    colours = {snr: COLOURS[index % len(COLOURS)] for index, snr in enumerate(snrs)}
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with paper_style():
        figure = Figure(figsize=(3.7 * columns, 3.6 * rows + 0.75), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False).flatten()
        limits = _limits([each for conditions in panels.values() for each in conditions])
        for axes, (names, conditions) in zip(grid, panels.items(), strict=False):
            for condition in conditions:
                _line(axes, condition, colours[condition["snr_db"]])
            _frame(axes, *limits)
            axes.set_title("\n".join(names), size=8, loc="left")
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel("expected error of a region, RMSE of 255", size=8)
        figure.supylabel("measured error, RMSE of 255", size=8)
        dots: Any = {"marker": "o", "ms": 4}
        handles = [
            *(Line2D([], [], color=colours[snr], label=f"{snr:g} dB", **dots) for snr in snrs),
            Line2D([], [], color=INK, ls="--", mfc="white", label="before the network", **dots),
            Line2D([], [], color=GREY, lw=0.8, label="as expected"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3 * columns, fontsize=7)
        return save(figure, folder, name)


def _shown(condition: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Rows of a condition, for the points of its line: the values of `SHOWN`."""
    pixels = sum(each["pixels"] for each in condition["bins"])
    bins = [each for each in condition["bins"] if each["pixels"] >= LEAST_SHARE * pixels]
    return np.array([[each[key] for each in bins] for key in SHOWN])


def _limits(conditions: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Of both axes of all panels."""
    values = np.concatenate([_shown(each).ravel() for each in conditions])
    return float(values.min()) / 1.15, float(values.max()) * 1.15


def _line(axes: Any, condition: dict[str, Any], colour: str) -> None:
    x, measured, before, low, high = _shown(condition)
    style = {"color": colour, "lw": 1.3, "ms": 4, "marker": "o"}
    if not np.allclose(measured, before):
        axes.plot(x, before, ls="--", **{**style, "lw": 0.8, "mfc": "white"})
    # What was drawn anew may by chance lie on one side of what it was drawn from.
    reach = np.maximum([measured - low, high - measured], 0)
    axes.errorbar(x, measured, yerr=reach, elinewidth=0.8, **style)


def _frame(axes: Any, low: float, high: float) -> None:
    """The same scale on both axes, and the line where both errors are the same."""
    ticks = [2.0**n for n in range(-8, 10) if low <= 2.0**n <= high]
    axes.plot([low, high], [low, high], color=GREY, lw=0.8, zorder=1)
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale("log", base=2)
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(path_type=Path), help="Folder of pictures, or of sheets.")
@click.option("--weights", default="witt_light", show_default=True, help="With commas between.")
@click.option("--snr", type=SnrType(), default="1,7,13", show_default=True)
@click.option("--cbr", type=CbrType(), default="1/16", show_default=True)
@click.option("--channel", type=ChannelListType(), default="awgn,rayleigh", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N pictures.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True,
    help="JSON file of this run; the figure gets its name.",
)  # fmt: skip
@click.option(
    "--figure", multiple=True, type=click.Path(path_type=Path), help="Only draw these files."
)
def command(
    data: Path | None, weights: str, snr: SnrSpec, cbr: Cbr, channel: Sequence[str],
    limit: int | None, seed: int, out: Path, figure: Sequence[Path],
) -> None:  # fmt: skip
    """Compare the error that a receiver expects with the error that there is."""
    try:
        ensure_writable_folder(out.parent)
        documents = [json.loads(path.read_text()) for path in figure]
        if not documents:
            if data is None:
                raise InputError("name the pictures: --data DIR")
            documents = [_measured(data, weights.split(","), snr, cbr, channel, limit, seed)]
            write_text(out, to_json(documents[0]) + "\n")
        for path in draw(documents, out.parent, out.stem):
            click.echo(f"Figure: {path}")
    except InputError as error:
        raise click.ClickException(str(error)) from error


def _measured(
    data: Path, names: Sequence[str], snr: SnrSpec, cbr: Cbr, channel: Sequence[str],
    limit: int | None, seed: int,
) -> dict[str, Any]:  # fmt: skip
    dataset, codecs = open_dataset(data, limit), {}
    for name in names:
        path = resolve(name)
        model, conditions = load_weights(path)[0], []
        for link in map(Link.of, channel):
            for snr_db in snr.points():
                found = measure(model, dataset, link, snr_db, cbr.value, seed)
                conditions.append(found)
                click.echo(
                    f"{name:16} {link!s:24} {snr_db:5g} dB  RMSE "
                    f"{found['expected_rmse']:6.2f} expected, {found['measured_rmse']:6.2f} "
                    f"measured, {found['estimate_rmse']:6.2f} before the network"
                )
        codecs[name] = {"weights_sha256": file_sha256(path), "conditions": conditions}
    return {
        "format": FORMAT,
        "run": run_record(
            command=shlex.join(["python", "-m", "benchmarks.calibration", *sys.argv[1:]])
        ),
        "dataset": dataset.record(),
        "seed": seed,
        "cbr": cbr.value,
        "codecs": codecs,
    }


if __name__ == "__main__":
    command()
