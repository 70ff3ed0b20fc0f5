"""PSNR over training compute, from the results of `witt ablate`: the best of all at each amount.

Models of several sizes, each trained for several amounts of compute, lie under a frontier: the best
that an amount can buy, as in Zhai et al., Scaling Vision Transformers, arXiv 2106.04560. Each run
ends at a low learning rate, so that a point is what such a run is worth.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from witt.errors import InputError
from witt.training.curve import FEWEST, Array
from witt.training.law import Law, fit_law

FORMAT = "witt-ablation-1"  # of the results of `witt ablate`
RESULTS = "results.json"
SAME = 1.05  # compute, within which points are at one amount


class Point(NamedTuple):
    """Runs that differ in nothing but their seeds.

    preset: their name.
    petaflop: operations of all forward and backward passes, in 10^15.
    score_db: mean PSNR over seeds and conditions.
    spread_db: of the seeds, highest less lowest.
    """

    preset: str
    petaflop: float
    score_db: float
    spread_db: float


class Frontier(NamedTuple):
    """What the presets of a result file reach with a share of the training pictures.

    name: of the file, and the share.
    points: all of them, by compute.
    best: those that no point of as much or less compute reaches.
    """

    name: str
    points: tuple[Point, ...]
    best: tuple[Point, ...]


class ComputeFit(NamedTuple):
    """The law of a frontier, and what it is worth.

    law: of compute over `unit_petaflop`.
    unit_petaflop: the largest compute.
    residual_db: root mean square over the points.
    held_out: compute (in 10^15) of the points that the check is on: the last third.
    missed_db: what the law of the others missed them by.
    """

    law: Law
    unit_petaflop: float
    residual_db: float
    held_out: tuple[float, ...]
    missed_db: tuple[float, ...]

    def at(self, petaflop: Array | float) -> Array:
        """Score in dB."""
        return self.law.at(np.asarray(petaflop) / self.unit_petaflop)


def results_file(path: Path) -> Path | None:
    """The result file of `witt ablate` that a path is, or that is in this folder; else None."""
    file = path / RESULTS if path.is_dir() else path
    return file if file.suffix == ".json" and file.is_file() else None


def read_frontiers(path: Path) -> list[Frontier]:
    """A frontier for each share of the training pictures, the smallest first.

    Raises:
        InputError: it cannot be read, is of another kind, or has too few amounts of compute.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise InputError(f"{path}: its format is {document['format']!r}, not {FORMAT!r}")
        rows = [_Row.of(row) for row in document["rows"]]
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{path}: is no result file of witt ablate ({error})") from error
    name = path.parent.name if path.name == RESULTS else path.stem
    shares = sorted({row.share for row in rows})
    return [
        _frontier(f"{name}, {share:g} of the pictures", [r for r in rows if r.share == share])
        for share in shares
    ]


class _Row(NamedTuple):
    group: tuple[str, str]
    share: float
    petaflop: float
    score_db: float

    @classmethod
    def of(cls, row: dict[str, Any]) -> _Row:
        scores = [float(point["psnr_db"]) for point in row["psnr_db"]]
        group = str(row["preset"]), json.dumps(row["budget"], sort_keys=True)
        share = float(row.get("share", 1.0))
        return cls(group, share, float(row["petaflop"]), sum(scores) / len(scores))


def _frontier(name: str, rows: Sequence[_Row]) -> Frontier:
    points = []
    for group in dict.fromkeys(row.group for row in rows):
        scores = [row.score_db for row in rows if row.group == group]
        compute = [row.petaflop for row in rows if row.group == group]
        spread = max(scores) - min(scores)
        points.append(Point(group[0], float(np.mean(compute)), float(np.mean(scores)), spread))
    points.sort(key=lambda point: point.petaflop)
    return Frontier(name, tuple(points), best_of(points))


def best_of(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points, by compute, that are above all that cost as much or less."""
    amounts: list[list[Point]] = []
    for point in points:
        if amounts and point.petaflop <= SAME * amounts[-1][0].petaflop:
            amounts[-1].append(point)
        else:
            amounts.append([point])
    found: list[Point] = []
    for amount in amounts:
        best = max(amount, key=lambda point: point.score_db)
        if not found or best.score_db > found[-1].score_db:
            found.append(best)
    return tuple(found)


def fit_frontier(frontier: Frontier) -> ComputeFit:
    """Fit a frontier, and check the kind of fit on its last third.

    Raises:
        InputError: it has too few points.
    """
    if len(frontier.best) < FEWEST:
        raise InputError(
            f"{frontier.name}: amounts of compute of which each beats the smaller ones: "
            f"{len(frontier.best)}; a fit needs {FEWEST}: train for more, as --petaflops 1,2,4,8,16"
        )
    x, score = (np.array([getattr(p, key) for p in frontier.best]) for key in Point._fields[1:3])
    unit = float(x[-1])
    law = fit_law(x / unit, score)
    first = max(FEWEST - 1, 2 * len(x) // 3)
    early = fit_law(x[:first] / unit, score[:first])
    return ComputeFit(
        law,
        unit,
        float(np.sqrt(np.mean((law.at(x / unit) - score) ** 2))),
        tuple(map(float, x[first:])),
        tuple(map(float, early.at(x[first:] / unit) - score[first:])),
    )
