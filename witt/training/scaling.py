"""`witt scaling`: what more hours of training should give, from the validation curve of a log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from scipy.optimize import least_squares

from witt.errors import InputError
from witt.options import HELP, output_option
from witt.report import console, plain, table, to_json
from witt.training.curve import FEWEST, Array, Curve, read_log

FEWEST_FOR_BREAK = 9
BEST_DB = 60.0


class Law(NamedTuple):
    """score(t) = limit − a·t^(−b)·(1 + (t/d)^(1/f))^(−c·f), t in hours; c = 0 has no break.

    The smoothly broken power law of Caballero et al., Broken Neural Scaling Laws, arXiv
    2210.14891, equation 1, with one break.
    """

    limit: float
    a: float
    b: float
    c: float = 0.0
    d: float = 1.0
    f: float = 1.0

    def at(self, hours: Array | float) -> Array:
        """Score in dB."""
        t = np.asarray(hours, dtype=np.float64)
        bend = (1 + (t / self.d) ** (1 / self.f)) ** (-self.c * self.f) if self.c else 1.0
        return np.asarray(self.limit - self.a * t**-self.b * bend)


class Fit(NamedTuple):
    """A law and how well it does.

    residual_db: root mean square over the points.
    missed_db: what the law of the first two thirds of the points missed the last one by.
    """

    law: Law
    residual_db: float
    missed_db: float


def fit_law(hours: Array, score_db: Array) -> Law:
    """Least squares; a break only where the corrected Akaike criterion asks for it."""
    plain_law, plain_error = _best(hours, score_db, broken=False)
    if len(hours) < FEWEST_FOR_BREAK:
        return plain_law
    broken_law, broken_error = _best(hours, score_db, broken=True)
    better = _akaike(broken_error, len(hours), 6) < _akaike(plain_error, len(hours), 3)
    return broken_law if better else plain_law


def _akaike(error: float, points: int, parameters: int) -> float:
    spare = points - parameters - 1
    if spare < 1:
        return math.inf
    return points * math.log(max(error, 1e-12) / points) + 2 * parameters * points / spare


def _best(hours: Array, score_db: Array, broken: bool) -> tuple[Law, float]:
    """The best of several starts, and its sum of squares."""

    def law_of(values: Array) -> Law:
        above, log_a, log_b, *bend = values
        limit = float(score_db.max() + np.exp(above))
        extra = (bend[0], float(np.exp(bend[1])), float(np.exp(bend[2]))) if bend else ()
        return Law(limit, float(np.exp(log_a)), float(np.exp(log_b)), *map(float, extra))

    def misses(values: Array) -> Array:
        return law_of(values).at(hours) - score_db

    middle = float(np.log(np.median(hours)))
    low, high = [-7.0, -9.0, -5.0], [math.log(BEST_DB), 5.0, 1.5]
    if broken:
        ends = np.log(hours[[0, -1]])
        low, high = [*low, 0.01, ends[0], -2.5], [*high, 4.0, ends[1], 1.0]
    found: list[tuple[float, Law]] = []
    for above in (-3.0, -1.0, 1.0):
        for log_b in (-2.0, -0.7, 0.3):
            start = [above, 0.0, log_b, *([0.5, middle, -0.7] if broken else [])]
            start = list(np.clip(start, np.add(low, 1e-6), np.subtract(high, 1e-6)))
            done = least_squares(misses, start, bounds=(low, high), max_nfev=2000)
            found.append((float(2 * done.cost), law_of(done.x)))
    error, law = min(found, key=lambda pair: pair[0])
    return law, error


def fit(curve: Curve) -> Fit:
    """Fit a curve, and check the kind of fit on its last point."""
    law = fit_law(curve.hours, curve.score_db)
    residual = float(np.sqrt(np.mean((law.at(curve.hours) - curve.score_db) ** 2)))
    first = max(FEWEST - 1, 2 * len(curve.hours) // 3)
    early = fit_law(curve.hours[:first], curve.score_db[:first])
    missed = float(early.at(curve.hours[-1]) - curve.score_db[-1])
    return Fit(law, residual, missed)


@click.command(
    "scaling",
    short_help="What more hours of training should give.",
    epilog="Example: witt scaling runs/mine --hours 12,40 -o scaling.png",
    context_settings=HELP,
)
@click.argument("logs", nargs=-1, required=True, metavar="LOG...", type=click.Path(path_type=Path))
@click.option(
    "--hours",
    default="12,40",
    show_default=True,
    metavar="H[,H…]",
    help="Hours of training in all to predict for.",
)
@output_option("Picture of the curves, PNG or SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(logs: Sequence[Path], hours: str, output: Path | None, as_json: bool) -> None:
    """Fit the validation curve of training logs and predict it.

    LOG is a run's folder or its log.jsonl. Fitted is a power law that falls short of a limit, with
    a smooth break where the points ask for one. The end of a run with its low learning rate lies
    above the curve of a longer run, so the limits are rough: how far a fit of the first two thirds
    misses the last point is told.
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

    from witt.files import ensure_writable_folder, mark_png, write_bytes

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
