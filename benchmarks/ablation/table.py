"""The table of an ablation in Markdown, and what it says, from its result file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.ablation.groups import (
    Array,
    Conditions,
    Group,
    gain,
    groups,
    half_range,
    known_to_db,
)
from benchmarks.ablation.results import Ablation


def markdown(ablation: Ablation) -> str:
    """A table for each channel, length and share of the pictures, and what it says."""
    found = groups(ablation)
    return "\n".join(line for at in found for line in _table(ablation, at, found[at]))


def _table(ablation: Ablation, at: Conditions, mine: Sequence[Group]) -> Iterator[str]:
    first = mine[0]
    snrs = " | ".join(f"{snr:g} dB" for snr in first.snrs_db)
    validation, presets = ablation.head["validation"], ablation.head["presets"]
    yield (
        f"PSNR in dB of {validation['pictures']} validation pictures "
        f"({', '.join(validation['names'])}), {at}; the mean of the seeds ± half of their range."
    )
    yield ""
    yield (
        "| preset | kFLOP/pixel | parameters | CBR | steps | minutes | PFLOP | ms a picture | "
        f"seeds | {snrs} | mean | against {first.preset} |"
    )
    yield "|---" * (11 + len(first.snrs_db)) + "|"
    for group in mine:
        yield "| " + " | ".join(_cells(group, first, presets[group.preset])) + " |"
    yield ""
    yield from notes(mine, presets)
    yield ""


def _cells(group: Group, first: Group, record: dict[str, Any]) -> list[str]:
    above = gain(group, first).mean(1)
    return [
        group.preset,
        f"{record['kflop_per_pixel']:.1f}",
        f"{record['parameters'] / 1e6:.2f} M",
        ", ".join(record["cbr"]),
        f"{group.mean_of('steps'):,.0f}",
        f"{group.mean_of('seconds') / 60:.1f}",
        three_digits(group.mean_of("petaflop")),
        three_digits(group.mean_of("picture_ms")),
        str(len(group.seeds)),
        *(with_spread(column) for column in group.psnr_db.T),
        with_spread(group.psnr_db.mean(1)),
        "–" if group is first or not len(above) else with_spread(above, sign="+"),
    ]


def three_digits(value: float) -> str:
    """1310 for 1312.4, and 0.0128 for 0.01283."""
    return f"{float(f'{value:.3g}'):g}"


def with_spread(values: Array, sign: str = "") -> str:
    """The mean of the seeds, and half of their range where there are several."""
    spread = f" ± {float(half_range(values)):.2f}" if len(values) > 1 else ""
    return f"{float(values.mean()):{sign}.2f}{spread}"


def notes(mine: Sequence[Group], presets: dict[str, Any]) -> Iterator[str]:
    """Which preset is best and how sure that is; what else a reader must know."""
    if len(mine) > 1:
        yield verdict(mine)
    if len({tuple(presets[group.preset]["cbr"]) for group in mine}) > 1:
        yield "The CBRs differ: the presets do not compare."
    if len({group.seeds for group in mine}) > 1:
        yield "The presets do not have the same seeds yet."


def verdict(mine: Sequence[Group]) -> str:
    """The best preset by the mean over the SNRs, and whether the seeds bear that out."""
    best, second = sorted(mine, key=lambda group: -float(group.psnr_db.mean()))[:2]
    above, known = float(best.psnr_db.mean() - second.psnr_db.mean()), known_to_db(mine)
    said = f"Best: {best.preset}, {above:.2f} dB above {second.preset}"
    if math.isnan(known):
        return f"{said}; without several seeds of all presets, chance is not known."
    clear = "more than chance" if above > known else "too close to call"
    return f"{said}: {clear}, since the seeds tell a difference to ± {known:.2f} dB (95 %)."
