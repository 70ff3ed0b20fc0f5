"""`python -m benchmarks.semantic.correlation`: how metrics agree on received pictures.

Pictures go through several schemes at several SNRs and CBRs, as in `witt benchmark`, into a result
file of the same kind; from it, how the values of each metric go with those of MS-SSIM.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import pearsonr, spearmanr

from benchmarks.commands.benchmark import cells_of, split_names
from benchmarks.schemes.own import split_sources
from benchmarks.schemes.registry import make_schemes
from benchmarks.sweep.dataset import Dataset, open_dataset
from benchmarks.sweep.execute import begun, run
from benchmarks.sweep.results import Results
from benchmarks.sweep.sweep import Plan
from witt.commands.options import CbrType, ChannelListType, MetricListType, SnrType
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.values import Cbr, SnrSpec
from witt.metrics.metric import MS_SSIM, Quantity, make_metrics
from witt.report import console, number, table

Values = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """How the values of two metrics go together; 1 where they agree, whatever their directions.

    spearman: of the ranks of all received pictures.
    pearson: of their values.
    within: Spearman's over the conditions of each picture, averaged over the pictures.
    across: over the pictures at each condition, averaged over the conditions.
    """

    spearman: float
    pearson: float
    within: float
    across: float


def agreement(one: Values, other: Values) -> Agreement:
    """How two metrics agree.

    Args:
        one, other: (conditions, pictures); higher is better in both. Where either is NaN, the
            picture is left out.
    """
    there = np.isfinite(one) & np.isfinite(other)
    a, b = one[there], other[there]
    rows = [_spearman(x[w], y[w]) for x, y, w in zip(one, other, there, strict=True)]
    columns = [_spearman(x[w], y[w]) for x, y, w in zip(one.T, other.T, there.T, strict=True)]
    return Agreement(_spearman(a, b), float(pearsonr(a, b).statistic), _mean(columns), _mean(rows))


def _spearman(a: Values, b: Values) -> float:
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def values_of(results: Results, quantity: Quantity) -> Values:
    """(conditions, pictures), so that higher is better."""
    sign = 1 if quantity.higher_is_better else -1
    return sign * np.stack([results.column(cell, quantity.key) for cell in results.cells])


def centre_crops(dataset: Dataset, side: int) -> Dataset:
    """The middle of each picture, side × side pixels.

    Raises:
        InputError: one is smaller.
    """
    crops = []
    for index, (height, width) in enumerate(dataset.sizes):
        if min(height, width) < side:
            raise InputError(
                f"--side {side}: picture {index} of {dataset.name} is {width}x{height}"
            )
        top, left = (height - side) // 2, (width - side) // 2
        crops.append(dataset.read(index)[top : top + side, left : left + side].copy())
    name = f"{dataset.name}, middle {side}x{side}"
    return Dataset(name, dataset.names, ((side, side),) * len(crops), tiles=crops)


def show(results: Results) -> None:
    """A table: a row for each metric, against MS-SSIM."""
    count = f"{results.pictures} pictures at {len(results.cells)} conditions"
    rows = table(
        f"Agreement with MS-SSIM: {results.dataset['name']}, {count}",
        "Metric", "Spearman", "Pearson", "Spearman within pictures", "across pictures",
    )  # fmt: skip
    reference = values_of(results, MS_SSIM)
    for quantity in results.quantities:
        if quantity != MS_SSIM:
            found = agreement(values_of(results, quantity), reference)
            rows.add_row(quantity.label, *(number(value, 3) for value in found))
    console().print(rows)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of pictures.")
@click.option(
    "--side", type=click.IntRange(min=161), default=256, show_default=True,
    help="Of the middle of each picture that is sent, in pixels; MS-SSIM needs 161.",
)  # fmt: skip
@click.option("--schemes", default="witt_light,deepjscc,softcast,webp+capacity", show_default=True)
@click.option("--snr", type=SnrType(), default="1,7,13", show_default=True)
@click.option("--cbr", type=CbrType(), multiple=True, default=["1/16", "1/32"], show_default=True)
@click.option("--channel", type=ChannelListType(), default="awgn", show_default=True)
@click.option(
    "--metric", type=MetricListType(), default="psnr,ssim,feature-distance", show_default=True,
    help="What to compare with MS-SSIM.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N pictures.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the channel.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True,
    help="JSON file of witt benchmark; one that is there is continued.",
)  # fmt: skip
def command(
    data: Path, side: int, schemes: str, snr: SnrSpec, cbr: Sequence[Cbr], channel: Sequence[str],
    metric: Sequence[str], limit: int | None, seed: int, out: Path,
) -> None:  # fmt: skip
    """Measure how metrics agree with MS-SSIM on received pictures."""
    try:
        names, sources = split_sources(split_names(schemes))
        metrics = tuple(dict.fromkeys(("ms-ssim", *metric)))
        make_metrics(metrics)
        dataset = centre_crops(open_dataset(data, limit), side)
        links = [Link(name) for name in channel]
        cells = cells_of(names, links, [ratio.value for ratio in cbr], snr.points())
        plan = Plan(dataset, names, sources, cells, make_schemes, seed, metrics)
        with begun(plan, out) as results:
            run(plan, results)
        show(results)
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
