"""`witt scaling`: what more hours of training should give, from the validation curve of a log."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from witt.training.curve import FEWEST, Array, Curve

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
