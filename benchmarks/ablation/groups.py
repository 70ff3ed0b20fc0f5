"""The rows of an ablation in groups that differ in nothing but their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmarks.ablation.plan import Budget
from benchmarks.ablation.results import Ablation, Row

Array = NDArray[np.float64]


class Conditions(NamedTuple):
    """What the presets of a table share: channel, length of a run, share of the pictures."""

    channel: str
    budget: Budget
    share: float

    def __str__(self) -> str:
        part = "" if self.share == 1 else f" with {self.share:g} of the training pictures"
        return f"{self.channel}, after {self.budget} each{part}"


class Group(NamedTuple):
    """The runs that differ in nothing but their seeds.

    preset: of all of them.
    seeds: in their order.
    rows: of these.
    snrs_db: of the columns.
    psnr_db: (seeds, SNRs).
    """

    preset: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    snrs_db: tuple[float, ...]
    psnr_db: Array

    @property
    def mean_db(self) -> Array:
        """(SNRs,): mean over the seeds."""
        return np.asarray(self.psnr_db.mean(0))

    def mean_of(self, key: str) -> float:
        """Mean of a figure of the rows."""
        return float(np.mean([row[key] for row in self.rows]))


def groups(ablation: Ablation) -> dict[Conditions, list[Group]]:
    """A group for each preset, in the order of their coming, at all conditions."""
    found: dict[Conditions, dict[str, list[Row]]] = {}
    for row in ablation.rows:
        for channel in dict.fromkeys(point["channel"] for point in row["psnr_db"]):
            at = Conditions(channel, Budget(**row["budget"]), row["share"])
            found.setdefault(at, {}).setdefault(row["preset"], []).append(row)
    order = list(ablation.head["presets"])
    return {
        at: [_group(name, named[name], at.channel) for name in sorted(named, key=order.index)]
        for at, named in sorted(found.items())
    }


def _group(preset: str, rows: Sequence[Row], channel: str) -> Group:
    rows = sorted(rows, key=lambda row: row["seed"])
    curves = [curve(row, channel) for row in rows]
    snrs = tuple(sorted(curves[0]))
    psnr = np.array([[each[snr] for snr in snrs] for each in curves])
    return Group(preset, tuple(row["seed"] for row in rows), tuple(rows), snrs, psnr)


def curve(row: Row, channel: str) -> dict[float, float]:
    """PSNR in dB by SNR in dB, at the CBR that was measured at most SNRs: the middle one."""
    points = [point for point in row["psnr_db"] if point["channel"] == channel]
    cbrs = [point["cbr"] for point in points]
    middle = max(cbrs, key=cbrs.count)
    return {p["snr_db"]: p["psnr_db"] for p in points if p["cbr"] == middle}


def half_range(values: Array) -> Array:
    """Half of what lies between the lowest and the highest of the seeds, along the first axis."""
    return np.asarray((values.max(0) - values.min(0)) / 2)


def gain(group: Group, reference: Group) -> Array:
    """(seeds, SNRs): PSNR above that of another group, seed by seed, of the seeds of both.

    Runs of one seed see the same crops in the same order, so that the difference has less chance
    in it than each of them.
    """
    shared = [seed for seed in group.seeds if seed in reference.seeds]
    if not shared or group.snrs_db != reference.snrs_db:
        return np.zeros((0, len(group.snrs_db)))
    mine, theirs = (
        np.array([g.psnr_db[g.seeds.index(seed)] for seed in shared]) for g in (group, reference)
    )
    return np.asarray(mine - theirs)


def known_to_db(mine: Sequence[Group]) -> float:
    """Half of the 95 % interval of the difference of two presets, in dB; NaN if nothing tells it.

    By the mean PSNR y over the SNRs. With P presets and S seeds that all of them have (a seed is a
    block, which all presets see alike), y = preset + seed + rest. The variance of the rest has
    (P - 1)(S - 1) degrees of freedom, and a difference of two means twice that variance over S
    (Fisher, The Design of Experiments, randomised blocks).
    """
    seeds = [seed for seed in mine[0].seeds if all(seed in group.seeds for group in mine)]
    freedom = (len(mine) - 1) * (len(seeds) - 1)
    if freedom < 1:
        return math.nan
    y = np.array([[g.psnr_db[g.seeds.index(seed)].mean() for seed in seeds] for g in mine])
    rest = y - y.mean(1, keepdims=True) - y.mean(0, keepdims=True) + y.mean()
    variance = float((rest**2).sum()) / freedom
    return float(stdtrit(freedom, 0.975)) * math.sqrt(2 * variance / len(seeds))
