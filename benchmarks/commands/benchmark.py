"""`witt benchmark`: schemes against each other, at the same channel uses."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.labels import cbr_label, condensed, count_label, scheme_label
from benchmarks.schemes.own import split_sources
from benchmarks.schemes.registry import ideal_schemes, make_schemes, name_weights
from benchmarks.sweep.dataset import open_dataset
from benchmarks.sweep.execute import begun, run
from benchmarks.sweep.foreign import plain_link
from benchmarks.sweep.known import pictures_of
from benchmarks.sweep.results import Cell, Results
from benchmarks.sweep.side import is_ideal
from benchmarks.sweep.sweep import Maker, Plan
from witt.commands.fading import fading_options, make_links
from witt.commands.options import (
    HELP,
    Registered,
    chosen_metrics,
    condition_options,
    metric_options,
    output_option,
    seed_option,
)
from witt.commands.side_option import side_information_option
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.given import split_label
from witt.link.side_link import CODED
from witt.link.summary import failures, lost_line
from witt.link.values import Cbr, SnrSpec
from witt.metrics.metric import check_labels
from witt.pictures.sheets import TILE
from witt.registry import DATASETS
from witt.report import console, number, plain, table

EPILOG = """\b
Examples:
  witt benchmark kodak --schemes witt_light,softcast,hevc+ldpc,hevc+capacity -o kodak.json
  witt benchmark kodak --schemes softcast,hevc+ldpc:16qam-1/2 --snr 0:20 --limit 4
"""


class WeightsType(click.ParamType):
    """NAME=FILE, the weights of a scheme, or FILE alone, whose name they then have."""

    name = "[NAME=]FILE"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self.name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The two parts."""
        if isinstance(value, tuple):
            return value
        name, file = split_label(str(value))
        if not name or file.startswith("=") or file.endswith("="):
            self.fail(f"{value!r} is not NAME=FILE, such as mine=runs/mine")
        return name, file


def weights_option(command: Any) -> Any:
    """``--weights [NAME=]FILE``, may be repeated: the parameter ``weights``."""
    return click.option(
        "--weights",
        type=WeightsType(),
        multiple=True,
        help="Weights for a scheme, such as mine=FILE, or the folder of a run, whose name the "
        "scheme then has; may be repeated.",
    )(command)


def worker_options(command: Any) -> Any:
    """``--jobs`` and ``--scheduler``."""
    jobs = click.option(
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Worker processes on this machine; the results are the same for any number.",
    )
    scheduler = click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Use the workers of a running Dask cluster, tcp://host:8786.",
    )
    return jobs(scheduler(command))


@click.command(
    "benchmark",
    short_help="Compare schemes over a channel, at the same channel uses.",
    epilog=EPILOG,
    context_settings=HELP,
)
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    cls=Registered,
    registry=DATASETS,
    metavar="DIR|NAME",
    type=click.Path(path_type=Path),
    help="The folder DIR, too, or a data set by name.",
)
@click.option(
    "--schemes",
    metavar="NAME[,NAME…]",
    help="What to compare: witt_light, witt_light+adapt:5, softcast, hevc+ldpc, "
    "hevc+ldpc:16qam-1/2, hevc+capacity, …; an unknown name lists them all. Your own: "
    "mine=runs/mine (weights), or mine=./file.py:Name, a codec with encode and decode, or a scheme "
    "with send.  [default: those of --weights, or witt]",
)
@condition_options
@fading_options
@worker_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N pictures.")
@weights_option
@metric_options
@side_information_option
@seed_option("the channel")
@output_option("JSON file for the results; one that is there is continued.", "results.json")
@click.option("--json", "as_json", is_flag=True, help="Print that JSON and nothing else.")
@click.pass_obj
def command(
    obj: object,
    folder: Path | None,
    dataset: Path | None,
    schemes: str | None,
    snr: SnrSpec,
    cbr: Sequence[Cbr],
    channel: Sequence[str],
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    jobs: int,
    scheduler: str | None,
    limit: int | None,
    weights: Sequence[tuple[str, str]],
    metric: Sequence[str],
    with_ms_ssim: bool,
    side_information: str,
    seed: int,
    output: Path,
    as_json: bool,
) -> None:
    """Send pictures by several schemes and compare what arrives.

    DIR is a folder of pictures, or of CIFAR-10 sheets (its test set).

    All schemes get the same channel uses. The results go to a JSON file as they come: Ctrl-C
    loses nothing that is finished, and the same command goes on from there. witt plot draws them.
    """
    links = make_links(channel, fading, coherence, k_factor_db)
    chosen = chosen_metrics(metric, with_ms_ssim)
    metrics = tuple(each.quantity.name for each in chosen)
    names, sources = split_sources(
        split_names(schemes or ",".join(name for name, _ in weights) or "witt")
    )
    check_weights([name for name, _ in weights], names)
    given = {**dict(weights), **sources}
    pictures = open_dataset(the_folder(folder, dataset), limit)
    check_labels(chosen, None if pictures.labels is not None else pictures.name)
    for line in pictures.notes:
        click.echo(f"Note: {line}", err=True)
    names, renamed = name_weights(names, given, tiles=set(pictures.sizes) == {(TILE, TILE)})
    if renamed is not None:
        click.echo(f"Note: {renamed}", err=True)
    cells = cells_of(names, links, [ratio.value for ratio in cbr], snr.points())
    plan = Plan(pictures, names, given, cells, maker(obj, side_information), seed, metrics)
    with begun(plan, output) as results:
        run(plan, results, jobs, scheduler)
    show(results, cells, err=as_json)
    notes = (missing_lines, lost_lines, metric_lines, warning_lines)
    for line in (line for told in notes for line in told(results, cells)):
        click.echo(f"Note: {line}", err=True)
    click.echo(f"Results: {output}", err=True)
    if as_json:
        click.echo(output.read_text(encoding="utf-8"), nl=False)
    if failures := failed_lines(results, cells):
        raise InputError("; ".join(failures))


def the_folder(folder: Path | None, dataset: Path | None) -> Path:
    """The one that was named, as an argument or by --dataset.

    Raises:
        InputError: none or both.
    """
    if folder is not None and dataset is not None:
        raise InputError(f"{folder} and --dataset {dataset}: a benchmark is of one folder")
    found = folder or dataset
    if found is None:
        raise InputError("name a folder of pictures: witt benchmark DIR")
    return found


def check_weights(given: Sequence[str], schemes: Sequence[str]) -> None:
    """Refuse weights that no scheme has.

    Raises:
        InputError: their name is none of the schemes'.
    """
    models = dict.fromkeys(name.partition("+adapt:")[0] for name in schemes)
    for name in given:
        if name not in models:
            raise InputError(
                f"--weights {name}=…: no scheme is called so here, only {', '.join(models)}"
            )


def maker(obj: object, side_information: str) -> Maker:
    """What makes the schemes: the registry, unless a caller of the command brings its own."""
    if callable(obj):
        return obj
    return make_schemes if side_information == CODED else ideal_schemes


def split_names(text: str) -> tuple[str, ...]:
    """Names of schemes from a list with commas, each once.

    Raises:
        InputError: there is none.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise InputError("--schemes is empty: name one or more, such as witt_light,hevc+ldpc")
    return names


def cells_of(
    names: Sequence[str], links: Sequence[Link], cbrs: Sequence[float], snrs_db: Sequence[float]
) -> tuple[Cell, ...]:
    """Every scheme at every condition, each once, in the order of the result file."""
    plain = [plain_link(link) for link in links]
    product = itertools.product(names, plain, cbrs, snrs_db)
    return tuple(dict.fromkeys(Cell(n, link, snr, cbr) for n, link, cbr, snr in product))


def show(results: Results, cells: Sequence[Cell], *, err: bool = False) -> None:
    """Tables of the means: a row for each scheme, a column for each SNR (or CBR, if more)."""
    by_snr = len({cell.snr_db for cell in cells}) >= len({cell.cbr for cell in cells})
    groups: dict[tuple[Link, float], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.link, cell.cbr if by_snr else cell.snr_db), []).append(cell)
    pictures = pictures_of(results.dataset)
    told = f"{pictures.title} ({count_label(pictures.number)})"
    for (link, fixed), group in groups.items():
        at = f"CBR {cbr_label(fixed)}" if by_snr else f"SNR {fixed:g} dB"
        columns = list(dict.fromkeys(c.snr_db if by_snr else c.cbr for c in group))
        heads = [f"{x:g} dB" if by_snr else cbr_label(x) for x in columns]
        for each in results.quantities:
            title = f"{each.label}, {told}, {link}, {at}"
            rows = table(None, "Scheme", *heads)
            for scheme in dict.fromkeys(cell.scheme for cell in group):
                means = [results.mean(c, each.key) for c in group if c.scheme == scheme]
                label = scheme_label(scheme)
                label += (
                    ", ideal side information"
                    if is_ideal(results.head["schemes"].get(scheme, {}))
                    else ""
                )
                rows.add_row(label, *(number(m, each.digits) for m in means))
            # Not as the title of the table, which wraps where the table is narrow.
            console(err=err).print(plain(title), style="bold")
            console(err=err).print(rows)


def missing_lines(results: Results, cells: Sequence[Cell]) -> list[str]:
    """A line for each scheme with pictures that it could not send, and why."""
    lines = []
    for scheme, mine in _by_scheme(cells):
        reasons: Counter[str] = Counter()
        lacking = 0
        for cell in mine:
            if results.failed(cell) is not None:
                continue
            figures = [results.column(cell, each.key) for each in results.quantities]
            missing = [np.isnan(values).all() for values in zip(*figures, strict=True)]
            lacking += any(missing)
            told = zip(missing, results.info(cell, "reason"), strict=True)
            reasons.update(str(reason) for lacks, reason in told if lacks and reason)
        if lacking:
            why = f": {reasons.most_common(1)[0][0]}" if reasons else ""
            lines.append(
                f"{scheme} cannot send every picture at {lacking} of {len(mine)} conditions, "
                f"which have no mean{why}"
            )
    return lines


def lost_lines(results: Results, cells: Sequence[Cell]) -> list[str]:
    """A line for each scheme that lost side information."""
    lines = []
    for scheme, mine in _by_scheme(cells):
        told = [each for cell in mine for each in results.info(cell, "side_information_lost")]
        if lost := sum(each is True for each in told):
            lines.append(f"{scheme}: {lost_line(lost, len(told))}")
    return lines


def metric_lines(results: Results, cells: Sequence[Cell]) -> list[str]:
    """A line for each metric that failed, and each reason."""
    count = results.pictures
    names = results.dataset["names"] or [f"picture {index}" for index in range(count)]
    return failures(
        [
            {"image": name, "reasons": reasons}
            for cell in cells
            for name, reasons in zip(names, results.info(cell, "reasons"), strict=True)
            if reasons is not None
        ]
    )


def failed_lines(results: Results, cells: Sequence[Cell]) -> list[str]:
    """A line for each scheme that broke off with an error."""
    lines = []
    for scheme, mine in _by_scheme(cells):
        failed = [why for cell in mine if (why := results.failed(cell)) is not None]
        if failed:
            lines.append(
                f"{scheme} failed at {len(failed)} of {len(mine)} conditions, which are tried "
                f"again next time: {Counter(failed).most_common(1)[0][0]}"
            )
    return lines


def warning_lines(results: Results, cells: Sequence[Cell]) -> list[str]:
    """A line for each thing that there is to say against what was asked of a scheme."""
    return [
        f"{scheme}: {line}"
        for scheme, mine in _by_scheme(cells)
        for line in condensed(said for cell in mine for said in results.warnings(cell))
    ]


def _by_scheme(cells: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    names = dict.fromkeys(cell.scheme for cell in cells)
    return [(name, [cell for cell in cells if cell.scheme == name]) for name in names]
