"""The table of an ablation, in Markdown, from its result file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.ablation.plan import Budget
from benchmarks.ablation.results import Ablation, Row

Array = NDArray[np.float64]


class Group(NamedTuple):
    """The runs that differ in nothing but their seeds.

    preset, budget: of all of them.
    seeds: in their order.
    rows: of these.
    channel: of the figures.
    snrs_db: of the columns.
    psnr_db: (seeds, SNRs).
    """

    preset: str
    budget: Budget
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    channel: str
    snrs_db: tuple[float, ...]
    psnr_db: Array

    @property
    def mean_db(self) -> Array:
        """(SNRs,): mean over the seeds."""
        return np.asarray(self.psnr_db.mean(0))

    def mean_of(self, key: str) -> float:
        """Mean of a figure of the rows."""
        return float(np.mean([row[key] for row in self.rows]))


def groups(ablation: Ablation) -> list[Group]:
    """The rows by channel, budget and preset, each in the order of their coming."""
    found: dict[tuple[str, Budget, str], list[Row]] = {}
    for row in ablation.rows:
        for channel in dict.fromkeys(point["channel"] for point in row["psnr_db"]):
            key = (channel, Budget(**row["budget"]), row["preset"])
            found.setdefault(key, []).append(row)
    order = list(ablation.head["presets"])
    keys = sorted(found, key=lambda key: (key[0], key[1], order.index(key[2])))
    return [_group(key, found[key]) for key in keys]


def _group(key: tuple[str, Budget, str], rows: Sequence[Row]) -> Group:
    channel, budget, preset = key
    rows = sorted(rows, key=lambda row: row["seed"])
    curves = [curve(row, channel) for row in rows]
    snrs = tuple(sorted(curves[0]))
    psnr = np.array([[each[snr] for snr in snrs] for each in curves])
    seeds = tuple(row["seed"] for row in rows)
    return Group(preset, budget, seeds, tuple(rows), channel, snrs, psnr)


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
    mine, theirs = (
        np.array([g.psnr_db[g.seeds.index(seed)] for seed in shared]) for g in (group, reference)
    )
    return np.asarray(mine - theirs).reshape(len(shared), len(group.snrs_db))


def markdown(ablation: Ablation) -> str:
    """A table for each channel and budget."""
    parts = []
    all_groups = groups(ablation)
    for channel, budget in dict.fromkeys((g.channel, g.budget) for g in all_groups):
        mine = [g for g in all_groups if (g.channel, g.budget) == (channel, budget)]
        parts.append("\n".join(_table(ablation, mine)))
    return "\n\n".join(parts) + "\n"


def _table(ablation: Ablation, mine: Sequence[Group]) -> list[str]:
    first = mine[0]
    snrs = " | ".join(f"{snr:g} dB" for snr in first.snrs_db)
    validation = ablation.head["validation"]
    lines = [
        f"PSNR in dB of {validation['pictures']} validation pictures "
        f"({', '.join(validation['names'])}), {first.channel}, after {first.budget} each; "
        "mean of the seeds ± half of their range",
        "",
        f"| preset | kFLOP/pixel | parameters | CBR | steps | minutes | PFLOP | ms a picture | "
        f"seeds | {snrs} | mean | against {first.preset} |",
        "|---" * (11 + len(first.snrs_db)) + "|",
    ]
    for group in mine:
        record = ablation.head["presets"][group.preset]
        lines.append("| " + " | ".join(_cells(group, first, record)) + " |")
    return lines


def _cells(group: Group, first: Group, record: dict[str, Any]) -> list[str]:
    overall = group.psnr_db.mean(1)
    above = gain(group, first).mean(1) if group.snrs_db == first.snrs_db else np.zeros(0)
    return [
        group.preset,
        f"{record['kflop_per_pixel']:.1f}",
        f"{record['parameters'] / 1e6:.2f} M",
        ", ".join(text for text in record["cbr"]),
        f"{group.mean_of('steps'):,.0f}",
        f"{group.mean_of('seconds') / 60:.1f}",
        f"{group.mean_of('petaflop'):.3g}",
        f"{group.mean_of('picture_ms'):.3g}",
        str(len(group.seeds)),
        *(with_spread(column) for column in group.psnr_db.T),
        with_spread(overall),
        "–" if group is first or not len(above) else with_spread(above, sign="+"),
    ]


def with_spread(values: Array, sign: str = "") -> str:
    """The mean of the seeds, and half of their range where there are several."""
    spread = f" ± {float(half_range(values)):.2f}" if len(values) > 1 else ""
    return f"{float(values.mean()):{sign}.2f}{spread}"
