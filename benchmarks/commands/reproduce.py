"""`witt reproduce`: the figures of the paper, every curve computed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.commands.benchmark import (
    cells_of,
    check_weights,
    failed_lines,
    lost_lines,
    maker,
    missing_lines,
    split_names,
    warning_lines,
    weights_option,
    worker_options,
)
from benchmarks.figures.paper import FIGURES, TRAINED, Figure, Sweep, Visual, names_in, pick, quick
from benchmarks.schemes.registry import name_weights
from benchmarks.schemes.scheme import Scheme
from benchmarks.sweep.known import CIFAR
from benchmarks.sweep.sweep import Maker, Plan
from witt.commands.options import HELP, output_option, seed_option
from witt.commands.side_option import side_information_option
from witt.errors import InputError
from witt.lock import sole_writer
from witt.report import console, plain, table
from witt.training.progress import duration

DATA = ("data", "../shared/data")
LIST = "\n".join(f"  {figure.name:<21} {figure.about}" for figure in FIGURES)
EXAMPLE = "witt reproduce kodak-awgn-snr --data ../shared/data --quick -o out"
EPILOG = f"\b\nFigures:\n{LIST}\n\n\b\nExample:\n  {EXAMPLE}"


class Settings:
    """What the options say for every figure of a call."""

    def __init__(
        self,
        make: Maker,
        data: Path,
        out: Path,
        schemes: tuple[str, ...] | None,
        weights: dict[str, str],
        seed: int,
    ) -> None:
        self.make, self.data, self.out = make, data, out
        self.schemes, self.weights, self.seed = schemes, weights, seed

    def chosen(self, part: Sweep | Visual) -> tuple[str, ...]:
        """Those of the figure that were asked for; all that there are where none was."""
        if self.schemes is not None:
            tiles = part.dataset == CIFAR
            return names_in(part, name_weights(self.schemes, self.weights, tiles).names)
        absent = self.absent(part)
        return tuple(name for name in part.schemes if name not in absent)

    def absent(self, part: Sweep | Visual) -> set[str]:
        """Trained schemes whose weights neither come with witt nor were given."""
        from witt.store.weights import shipped

        there = {*self.weights, *shipped()}
        return {name for name in part.schemes if name in TRAINED and name not in there}

    def renamed(self, figures: Sequence[Figure]) -> list[str]:
        """Which weights "witt" stands for, where it was asked for."""
        asked = self.schemes or ()
        tiles = {part.dataset == CIFAR for figure in figures for part in parts_of(figure)}
        notes = (name_weights(asked, self.weights, each).note for each in sorted(tiles))
        return [note for note in notes if note is not None]

    def own_weights(self, part: Sweep | Visual) -> dict[str, str]:
        """Weights that were given for the chosen schemes."""
        return {name: self.weights[name] for name in self.chosen(part) if name in self.weights}

    def folder(self, dataset: str) -> Path:
        """Where a data set is.

        Raises:
            InputError: it is not there.
        """
        path = self.data / dataset
        if not path.is_dir():
            raise InputError(f"{path}: no such folder; --data is the folder that holds {dataset}/")
        return path


@click.command(
    "reproduce",
    short_help="Compute and draw the figures of the paper.",
    epilog=EPILOG,
    context_settings=HELP,
)
@click.argument("names", nargs=-1, metavar="[FIGURE]...")
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder that holds kodak/ and cifar10/.  [default: data, or ../shared/data]",
)
@click.option(
    "--quick",
    "few",
    is_flag=True,
    help="4 photographs (256 CIFAR-10 pictures): minutes, not hours.",
)
@click.option("--schemes", metavar="NAME[,NAME…]", help="Only these of a figure's schemes.")
@worker_options
@weights_option
@side_information_option
@seed_option("the channel")
@output_option("Folder for figures and results; what is there is continued.", "reproduced")
@click.pass_obj
def command(
    obj: object,
    names: tuple[str, ...],
    data: Path | None,
    few: bool,
    schemes: str | None,
    jobs: int,
    scheduler: str | None,
    weights: Sequence[tuple[str, str]],
    side_information: str,
    seed: int,
    output: Path,
) -> None:
    """Compute and draw figures of the paper, all of them where none is named.

    It first says how long it will take, from two conditions of each scheme. Ctrl-C loses nothing
    that is finished: the same command goes on. The published curves are drawn dashed.
    """
    from benchmarks.sweep.execute import begun, estimate, run

    figures = [quick(figure) if few else figure for figure in pick(names)]
    settings = Settings(
        maker(obj, side_information),
        find_data(data),
        output,
        None if schemes is None else split_names(schemes),
        dict(weights),
        seed,
    )
    check_weights(
        list(settings.weights),
        [name for figure in FIGURES for part in parts_of(figure) for name in part.schemes],
    )
    for line in settings.renamed(figures):
        click.echo(f"Note: {line}", err=True)
    for figure in figures:  # what is missing is said before hours of work, not after
        parts = parts_of(figure)
        absent = {name for part in parts for name in settings.absent(part)}
        if schemes is None and absent:
            click.echo(
                f"Note: left out of {figure.name}, for want of weights: "
                f"{', '.join(sorted(absent))}; "
                "--weights NAME=FILE",
                err=True,
            )
        if figure.visual is not None:
            visual_schemes(figure.visual, settings)
    sweeps = dict.fromkeys(sweep for figure in figures for sweep in figure.sweeps)
    plans = {sweep: plan for sweep in sweeps if (plan := plan_of(sweep, settings)) is not None}
    if not plans and not any(figure.visual for figure in figures):
        raise InputError(f"--schemes {schemes}: none of them is in these figures")
    failures: dict[str, None] = {}  # each once, though figures share sweeps
    with ExitStack() as stack:
        started = {
            sweep: stack.enter_context(begun(plan, output / f"{sweep.name}.json"))
            for sweep, plan in plans.items()
        }
        if plans:
            click.echo("Timing two conditions of each scheme …", err=True)
        workers = jobs if scheduler is None else 1
        times = {sweep: estimate(plan, started[sweep], workers) for sweep, plan in plans.items()}
        if plans:
            announce(figures, times, scheduler)
        for figure in figures:
            files = [sweep for sweep in figure.sweeps if sweep in plans]
            for sweep in files:
                results, cells = started[sweep], plans[sweep].cells
                run(plans[sweep], results, jobs, scheduler)
                notes = (missing_lines, lost_lines, warning_lines)
                for line in (line for told in notes for line in told(results, cells)):
                    click.echo(f"Note: {line}", err=True)
                told = (f"{sweep.name}: {line}" for line in failed_lines(results, cells))
                failures.update(dict.fromkeys(told))
            if figure.visual is not None:
                failures.update(dict.fromkeys(draw_comparison(figure, figure.visual, settings)))
            elif files:
                try:
                    draw_figure(figure, files, output)
                except InputError as error:  # nothing to draw: the other figures are wanted still
                    failures[f"{figure.name}: {error}"] = None
    if failures:
        raise InputError("; ".join(failures))


def parts_of(figure: Figure) -> list[Sweep | Visual]:
    """What is computed for a figure."""
    return [*figure.sweeps, *([] if figure.visual is None else [figure.visual])]


def find_data(data: Path | None) -> Path:
    """The folder of the data sets.

    Raises:
        InputError: there is none.
    """
    if data is not None:
        if not data.is_dir():
            raise InputError(f"{data}: no such folder; --data is the one that holds kodak/")
        return data
    for place in map(Path, DATA):
        if (place / "kodak").is_dir() or (place / "cifar10").is_dir():
            return place
    raise InputError(f"no data: neither {' nor '.join(DATA)} holds kodak/ or cifar10/; give --data")


def plan_of(sweep: Sweep, settings: Settings) -> Plan | None:
    """What is computed for a sweep; None where none of its schemes is wanted."""
    from benchmarks.sweep.dataset import open_dataset

    names = settings.chosen(sweep)
    if not names:
        return None
    dataset = open_dataset(settings.folder(sweep.dataset), sweep.limit)
    cells = cells_of(names, [sweep.link], sweep.cbrs, sweep.snrs_db)
    own = settings.own_weights(sweep)
    return Plan(dataset, names, own, cells, settings.make, settings.seed, sweep.metrics)


def announce(figures: Sequence[Figure], times: dict[Sweep, float], scheduler: str | None) -> None:
    """A table of the time that each figure will take, each sweep counted once."""
    rows = table("Time that is left to compute, estimated", "Figure", "h:mm:ss")
    counted: set[Sweep] = set()
    total = 0.0
    for figure in figures:
        fresh = [sweep for sweep in figure.sweeps if sweep in times and sweep not in counted]
        seconds = sum(times[sweep] for sweep in fresh)
        counted.update(fresh)
        total += seconds
        rows.add_row(plain(figure.name), "–" if figure.visual else duration(seconds))
    if len(figures) > 1:
        rows.add_row("all", duration(total))
    console(err=True).print(rows)
    if scheduler is not None:
        click.echo("This is for one worker as fast as this machine.", err=True)


def draw_figure(figure: Figure, sweeps: Sequence[Sweep], output: Path) -> None:
    """Draw the chart of a figure from its result files."""
    from benchmarks.figures.curves import charts
    from benchmarks.figures.plot import draw, paper_style, save
    from benchmarks.sweep.results import read_results

    files = [read_results(output / f"{sweep.name}.json") for sweep in sweeps]
    wanted = [
        chart
        for chart in charts(files)
        if (chart.axis, chart.metric) == (figure.axis, figure.metric)
    ]
    for number, chart in enumerate(wanted, 1):  # several, where their pictures do not go together
        name = figure.name if number == 1 else f"{figure.name}-{number}"
        with paper_style():
            for path in save(draw(chart), output, name):
                click.echo(path)


def visual_schemes(visual: Visual, settings: Settings) -> Sequence[Scheme]:
    """The schemes of a comparison.

    Raises:
        InputError: none of them is wanted, or something is missing.
    """
    settings.folder(visual.dataset)
    names = settings.chosen(visual)
    if not names:
        raise InputError("--schemes: none of them is in the visual comparison")
    return settings.make(names, settings.own_weights(visual))


def draw_comparison(figure: Figure, visual: Visual, settings: Settings) -> list[str]:
    """Send the one photograph and draw its crops.

    Returns:
        A line for each scheme that broke off with an error.
    """
    from benchmarks.figures.plot import paper_style, save
    from benchmarks.figures.visual import compare, draw_visual, record_text
    from witt.files import ensure_writable_folder, write_text
    from witt.pictures.images import read_image
    from witt.waiting import waiting

    pixels = read_image(settings.folder(visual.dataset) / visual.picture).pixels
    schemes = visual_schemes(visual, settings)
    names = [scheme.name for scheme in schemes]
    cells = cells_of(names, [visual.link], [visual.cbr], visual.snrs_db)
    path = settings.out / f"{figure.name}.json"
    ensure_writable_folder(settings.out)
    with sole_writer(path):
        with waiting(figure.name, len(cells)) as advance:
            record = compare(
                visual.picture, pixels, visual.crop, schemes, cells, settings.seed, advance
            )
        write_text(path, record_text(record))
        with paper_style():
            for written in save(draw_visual(record), settings.out, figure.name):
                click.echo(written)
    failed = {e["scheme"]: e["failed"] for e in record["entries"] if e["failed"] is not None}
    return [f"{figure.name}: {scheme} failed: {why}" for scheme, why in failed.items()]
