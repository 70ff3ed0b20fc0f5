"""`witt scaling`: what more hours or more compute of training give, as predicted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from rich.table import Table

from witt.commands.options import HELP, output_option
from witt.errors import InputError
from witt.report import console, plain, table, to_json
from witt.training.compute import (
    ComputeFit,
    Frontier,
    fit_frontier,
    read_frontiers,
    results_file,
)
from witt.training.curve import Array, Curve, read_log
from witt.training.law import Fit, fit


@click.command(
    "scaling",
    short_help="Predict what more training gives.",
    epilog="Examples: witt scaling runs/mine --hours 12,40 -o scaling.png; "
    "witt scaling runs/ablation --times 10",
    context_settings=HELP,
)
@click.argument("logs", nargs=-1, required=True, metavar="LOG...", type=click.Path(path_type=Path))
@click.option(
    "--hours",
    default="12,40",
    show_default=True,
    metavar="H[,H…]",
    help="Total hours of training to predict for.",
)
@click.option(
    "--times",
    type=click.FloatRange(min=1),
    default=10.0,
    show_default=True,
    help="Of results of witt ablate: how many times the largest compute to predict for.",
)
@output_option("Picture of the curves, PNG or SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(
    logs: Sequence[Path], hours: str, times: float, output: Path | None, as_json: bool
) -> None:
    """Fit what training reached and predict what more of it gives.

    LOG is a run's folder or its log.jsonl: its validation curve over the hours. Or it is the
    folder or the results.json of witt ablate: the best PSNR of its presets at each amount of
    compute.

    The fit is a power law that approaches a limit, with a smooth break where the points ask for
    one. A run ends with a low learning rate, so the last points of a log lie above the curve of a
    longer run, and the limits are rough. The table shows by how much a fit of the first two thirds
    of the points misses the last one.
    """
    wanted = _numbers(hours)
    if output is not None and output.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"{output}: the picture's name must end in .png or .svg")
    results = [file for path in logs if (file := results_file(path)) is not None]
    if results and len(results) < len(logs):
        raise InputError("give logs of hours or results of witt ablate, not both")
    if results:
        frontiers = [frontier for path in results for frontier in read_frontiers(path)]
        found = _of_compute(frontiers, times)
    else:
        found = _of_hours([read_log(path) for path in logs], wanted)
    if output is not None:
        _draw(found, output)
    if as_json:
        click.echo(to_json(found.records))
        return
    console().print(found.rows)
    for note in found.notes:
        click.echo(note)
    if output is not None:
        click.echo(output)


class _Line(NamedTuple):
    """A curve of the picture: points that are fitted, others, and the law."""

    name: str
    x: Array
    score_db: Array
    others: tuple[Array, Array] | None
    law: Callable[[Array], Array]


class _Found(NamedTuple):
    """What there is to say, in all forms."""

    records: list[dict[str, Any]]
    rows: Table
    notes: tuple[str, ...]
    lines: tuple[_Line, ...]
    label: str
    marks: tuple[float, ...]


def _numbers(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 < value < math.inf for value in values):
        raise InputError(f"--hours {text}: write hours above 0, as 12,40")
    return values


def _of_hours(curves: Sequence[Curve], wanted: Sequence[float]) -> _Found:
    fits = [fit(curve) for curve in curves]
    rows = table(
        "Mean of the validation, dB",
        "Log",
        "Points",
        "Hours",
        "Now",
        *(f"at {h:g} h" for h in wanted),
        "Limit",
        "Residual",
        "Missed by",
    )
    pairs = list(zip(curves, fits, strict=True))
    for curve, found in pairs:
        rows.add_row(
            plain(curve.name),
            str(len(curve.hours)),
            f"{curve.hours[-1]:.2f}",
            f"{curve.score_db[-1]:.2f}",
            *(f"{float(found.law.at(h)):.2f}" for h in wanted),
            f"{found.law.limit:.2f}",
            f"{found.residual_db:.3f}",
            f"{found.missed_db:+.2f}",
        )
    return _Found(
        [_record(curve, found, wanted) for curve, found in pairs],
        rows,
        ("Missed by: a fit of the first two thirds of the points, at the last one.",),
        tuple(_Line(c.name, c.hours, c.score_db, None, f.law.at) for c, f in pairs),
        "Hours of training",
        tuple(wanted),
    )


def _record(curve: Curve, found: Fit, wanted: Sequence[float]) -> dict[str, Any]:
    return {
        "log": curve.name,
        "hours": curve.hours.tolist(),
        "score_db": curve.score_db.tolist(),
        "law": found.law._asdict(),
        "residual_db": found.residual_db,
        "missed_db": found.missed_db,
        "predicted_db": {f"{h:g}": float(found.law.at(h)) for h in wanted},
    }


def _of_compute(frontiers: Sequence[Frontier], times: float) -> _Found:
    fits = [fit_frontier(frontier) for frontier in frontiers]
    rows = table(
        "Mean of the validation, dB",
        "Results",
        "Points",
        "PFLOP",
        "Now",
        f"at {times:g} times",
        "Limit",
        "Residual",
        "Missed by",
    )
    pairs = list(zip(frontiers, fits, strict=True))
    for frontier, found in pairs:
        rows.add_row(
            plain(frontier.name),
            str(len(frontier.best)),
            f"{found.unit_petaflop:.3g}",
            f"{frontier.best[-1].score_db:.2f}",
            f"{float(found.law.at(times)):.2f}",
            f"{found.law.limit:.2f}",
            f"{found.residual_db:.3f}",
            f"{found.missed_db[-1]:+.2f}",
        )
    return _Found(
        [_compute_record(frontier, found, times) for frontier, found in pairs],
        rows,
        (
            *(_best_line(frontier, found) for frontier, found in pairs),
            "Missed by: a fit of the first two thirds of the points, at the last one.",
        ),
        tuple(_compute_line(frontier, found) for frontier, found in pairs),
        "Training compute (10^15 operations of forward and backward passes)",
        tuple(times * found.unit_petaflop for found in fits),
    )


def _best_line(frontier: Frontier, found: ComputeFit) -> str:
    """Which preset is best at which compute, and what is held out."""
    best = ", ".join(f"{point.preset} at {point.petaflop:.3g}" for point in frontier.best)
    told = ", ".join(
        f"{x:.3g} PFLOP {missed:+.2f} dB"
        for x, missed in zip(found.held_out, found.missed_db, strict=True)
    )
    return f"{frontier.name}: best {best} PFLOP. Held out: {told}."


def _compute_record(frontier: Frontier, found: ComputeFit, times: float) -> dict[str, Any]:
    return {
        "results": frontier.name,
        "points": [point._asdict() for point in frontier.points],
        "best": [point._asdict() for point in frontier.best],
        "law": found.law._asdict(),
        "unit_petaflop": found.unit_petaflop,
        "residual_db": found.residual_db,
        "held_out_petaflop": list(found.held_out),
        "missed_db": list(found.missed_db),
        "predicted_db": {f"{times * found.unit_petaflop:.6g}": float(found.law.at(times))},
    }


def _compute_line(frontier: Frontier, found: ComputeFit) -> _Line:
    fitted, rest = (
        (np.array([p.petaflop for p in points]), np.array([p.score_db for p in points]))
        for points in (frontier.best, [p for p in frontier.points if p not in frontier.best])
    )
    return _Line(frontier.name, *fitted, rest, found.at)


def _draw(found: _Found, output: Path) -> None:
    from io import BytesIO

    from matplotlib.figure import Figure

    from witt.files import ensure_writable_folder, write_bytes
    from witt.pictures.writing import mark_png

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for line in found.lines:
        points = axes.plot(line.x, line.score_db, "o", ms=3.5, label=line.name)
        colour = points[0].get_color()
        if line.others is not None:
            axes.plot(*line.others, "o", ms=3, mfc="none", mew=0.6, color=colour)
        t = np.geomspace(line.x[0], max(*found.marks, line.x[-1]), 200)
        axes.plot(t, line.law(t), lw=1, color=colour)
    for mark in found.marks:
        axes.axvline(mark, lw=0.6, color="0.8", zorder=0)
    axes.set(xscale="log", xlabel=found.label, ylabel="Validation (dB)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(color="0.92", zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    buffer = BytesIO()
    kind = output.suffix[1:].lower()
    figure.savefig(buffer, format=kind, dpi=180)
    data = mark_png(buffer.getvalue(), "plot") if kind == "png" else buffer.getvalue()
    ensure_writable_folder(output.parent)
    write_bytes(output, data)
