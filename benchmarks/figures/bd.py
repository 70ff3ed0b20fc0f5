"""Bjøntegaard differences between two schemes: how much rate, SNR or quality one saves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.figures.curves import Group, groups, quantities
from benchmarks.sweep.results import Results
from witt.errors import InputError
from witt.report import console, number, plain, table

LEAST_SHARED = 0.5
METHOD = "pchip"  # keeps curves monotone between their points
FEWEST = 3
LEGEND = (
    f"–: fewer than {FEWEST} points, or not rising, or under {LEAST_SHARED:.0%} in common. "
    "In brackets: how much of the shorter curve is."
)


class Curve(NamedTuple):
    """Points of a scheme.

    rate: CBR, or SNR as a power ratio.
    quality: PSNR in dB, or another of which more is better; NaN where there is none.
    """

    rate: Sequence[float]
    quality: Sequence[float]


class Delta(NamedTuple):
    """A scheme against the reference; NaN where the curves do not tell.

    rate_percent: mean difference in rate at equal quality, percent.
    quality_db: mean difference in quality at equal rate, dB.
    quality_shared: qualities that both curves have, over those of the curve with fewer; the rate
        was compared over these.
    rate_shared: rates, on a logarithmic scale, likewise; the quality was compared over these.
    """

    rate_percent: float
    quality_db: float
    quality_shared: float = math.nan
    rate_shared: float = math.nan

    @property
    def rate_db(self) -> float:
        """The difference in rate as a ratio in dB: of SNR, where that is the rate."""
        share = 1 + self.rate_percent / 100
        return 10 * math.log10(share) if share > 0 else math.nan


def delta(reference: Curve, other: Curve) -> Delta:
    """Bjøntegaard differences, over what the two curves share.

    Points without a value are left out. The difference in rate needs curves that rise and share
    qualities; the difference in quality needs shared rates; each needs 3 points a curve, and to
    share `LEAST_SHARED` of what the shorter curve covers: a mean over less says nothing of the
    curves as a whole.

    Raises:
        InputError: the library is not installed.

    Source:
        G. Bjøntegaard, VCEG-M33 (2001), with piecewise cubic interpolation; computed by the
        library ``bjontegaard``.
    """
    try:
        import bjontegaard
    except ImportError as error:
        raise InputError(
            "Bjøntegaard differences need bjontegaard: pip install 'witt[baselines]'"
        ) from error
    curves = [_points(reference), _points(other)]
    if min(len(rate) for rate, _ in curves) < FEWEST:
        return Delta(math.nan, math.nan)
    (rate, quality), (other_rate, other_quality) = curves
    arguments = (rate, quality, other_rate, other_quality, METHOD)
    found = {"rate": math.nan, "quality": math.nan}
    # What is shared is judged here, by one measure for both and printed beside the result.
    options = {"require_matching_points": False, "min_overlap": 0}
    qualities, rates = _shared(quality, other_quality), _shared(np.log(rate), np.log(other_rate))
    if qualities >= LEAST_SHARED and _rises(quality) and _rises(other_quality):
        found["rate"] = float(bjontegaard.bd_rate(*arguments, **options))
    if rates >= LEAST_SHARED and _rises(rate) and _rises(other_rate):
        found["quality"] = float(bjontegaard.bd_psnr(*arguments, **options))
    return Delta(found["rate"], found["quality"], qualities, rates)


class Differences(NamedTuple):
    """A table of every curve of a group against one of them.

    title: what they are of.
    heads: the first is of the curves' names.
    rows: text, in brackets how much the two curves share.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def differences(group: Group, base: tuple[Results, str]) -> Differences:
    """Every curve of a group against one, by each metric.

    Raises:
        InputError: the library is not installed.
    """
    over_snr = group.axis == "snr"
    rate = "BD-SNR dB" if over_snr else "BD-rate %"
    metrics = quantities(group)
    heads = [
        head
        for index, each in enumerate(metrics)
        for head in (
            f"{rate}, {each.label.removesuffix(' dB')}" if index else rate,
            f"BD-{each.label}",
        )
    ]
    rows = []
    for key in group.series:
        if key == base:
            continue
        cells = []
        for metric in metrics:
            sign = 1 if metric.higher_is_better else -1  # the method wants curves that rise
            curves = [_curve(group, each, metric.key, sign) for each in (base, key)]
            found = delta(*curves)
            saved = found.rate_db if over_snr else found.rate_percent
            cells += [
                _told(saved, 2 if over_snr else 1, found.quality_shared),
                _told(sign * found.quality_db, metric.digits, found.rate_shared),
            ]
        rows.append((group.label(*key), *cells))
    title = f"Against {group.label(*base)}: {group.pictures.title}, {group.link}, {group.at}"
    return Differences(title, ("Scheme", *heads), tuple(rows))


def show_deltas(files: Sequence[Results], reference: str) -> None:
    """Tables of every scheme against one.

    Raises:
        InputError: the reference is not in the results.
    """
    found = [group for group in groups(files, alike=True) if _of(group, reference)]
    if not found:
        names = sorted({cell.scheme for results in files for cell in results.cells})
        raise InputError(
            f"--bd {reference}: no curve of this scheme in the results: choose from "
            f"{', '.join(names)}"
        )
    for group in found:
        told = differences(group, _of(group, reference)[0])
        rows = table(None, *told.heads)
        for row in told.rows:
            rows.add_row(*row)
        console().print(plain(told.title), style="bold")
        console().print(rows)
    console().print(LEGEND)


def _told(value: float, digits: int, shared: float) -> str:
    """A difference with what the curves share, "–" where there is no curve to compare."""
    return number(value, digits) + ("" if math.isnan(shared) else f" ({shared:.0%})")


def _of(group: Group, scheme: str) -> list[tuple[Results, str]]:
    return [key for key in group.series if key[1] == scheme]


def _curve(group: Group, key: tuple[Results, str], metric: str, sign: int = 1) -> Curve:
    results, cells = key[0], group.series[key]
    x = [group.x(results, cell) for cell in cells]
    rate = [10 ** (snr / 10) for snr in x] if group.axis == "snr" else x
    return Curve(rate, [sign * results.mean(cell, metric) for cell in cells])


def _points(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Finite points in the order of the rate."""
    pairs = sorted(zip(curve.rate, curve.quality, strict=True))
    kept = np.array([pair for pair in pairs if math.isfinite(pair[1])]).reshape(-1, 2)
    return kept[:, 0], kept[:, 1]


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    """What two curves share of an axis, over the extent of the shorter one."""
    common = min(one.max(), other.max()) - max(one.min(), other.min())
    shorter = min(np.ptp(one), np.ptp(other))
    return float(max(common, 0.0) / shorter) if shorter > 0 else 0.0


def _rises(values: np.ndarray) -> bool:
    return bool(np.all(np.diff(values) > 0))
