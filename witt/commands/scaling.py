"""`witt scaling`: what more hours of training give, as predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from witt.commands.options import HELP, output_option
from witt.errors import InputError
from witt.report import console, plain, table, to_json
from witt.training.curve import Curve, read_log
from witt.training.law import Fit, fit


@click.command(
    "scaling",
    short_help="Predict what more hours of training give.",
    epilog="Example: witt scaling runs/mine --hours 12,40 -o scaling.png",
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
@output_option("Picture of the curves, PNG or SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(logs: Sequence[Path], hours: str, output: Path | None, as_json: bool) -> None:
    """Fit the validation curve of training logs and predict it.

    LOG is a run's folder or its log.jsonl. The fit is a power law that approaches a limit, with a
    smooth break where the points ask for one. A run ends with a low learning rate, so its last
    points lie above the curve of a longer run, and the limits are rough. The table shows by how
    much a fit of the first two thirds of the points misses the last one.
    """
    wanted = _hours(hours)
    if output is not None and output.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"{output}: the picture's name must end in .png or .svg")
    curves = [read_log(path) for path in logs]
    fits = [fit(curve) for curve in curves]
    if output is not None:
        _draw(curves, fits, wanted, output)
    if as_json:
        pairs = zip(curves, fits, strict=True)
        click.echo(to_json([_record(curve, found, wanted) for curve, found in pairs]))
        return
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
    for curve, found in zip(curves, fits, strict=True):
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
    console().print(rows)
    click.echo("Missed by: a fit of the first two thirds of the points, at the last one.")
    if output is not None:
        click.echo(output)


def _hours(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 < value < math.inf for value in values):
        raise InputError(f"--hours {text}: write hours above 0, as 12,40")
    return values


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


def _draw(
    curves: Sequence[Curve], fits: Sequence[Fit], wanted: Sequence[float], output: Path
) -> None:
    from io import BytesIO

    from matplotlib.figure import Figure

    from witt.files import ensure_writable_folder, write_bytes
    from witt.pictures.writing import mark_png

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for curve, found in zip(curves, fits, strict=True):
        points = axes.plot(curve.hours, curve.score_db, "o", ms=3.5, label=curve.name)
        t = np.geomspace(curve.hours[0], max(*wanted, curve.hours[-1]), 200)
        axes.plot(t, found.law.at(t), lw=1, color=points[0].get_color())
    for h in wanted:
        axes.axvline(h, lw=0.6, color="0.8", zorder=0)
    axes.set(xscale="log", xlabel="Hours of training", ylabel="Validation (dB)")
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
