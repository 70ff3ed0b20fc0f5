"""The figures of an ablation, from its result file alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ablation.groups import Conditions, Group, gain, groups
from benchmarks.ablation.plan import Budget, slug
from benchmarks.ablation.results import Ablation
from benchmarks.figures.plot import GREY, MORE, OURS, PAPER, Look, paper_style, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALIKE = 1.05  # kFLOP/pixel, highest over lowest, below which there is nothing to see over them
COLOURS = ("#0b2f78", "#2f86c9", "#1b7f5c", "#b8860b", "#d1520f")  # low to high SNR


def draw(ablation: Ablation, folder: Path, name: str) -> list[Path]:
    """A figure for each channel and share of the pictures at the greatest length, PNG and SVG.

    Where the arithmetic of the presets differs, PSNR over kFLOP/pixel, a line for each SNR; and
    where there are several presets what each has above the first one, over the SNR. Bars and bands
    reach from the lowest seed to the highest.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    written, found = [], longest(groups(ablation))
    for at, mine in found.items():
        costs = [ablation.head["presets"][group.preset]["kflop_per_pixel"] for group in mine]
        over = max(costs) > ALIKE * min(costs) or len(mine) == 1
        panels = over + (len(mine) > 1)
        with paper_style():
            figure = Figure(figsize=(4.6 * panels, 3.5), layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.subplots(1, panels, squeeze=False)[0]
            if over:
                _over_arithmetic(axes[0], mine, costs)
            if len(mine) > 1:
                _against_first(axes[-1], mine)
            validation = ", ".join(ablation.head["validation"]["names"])
            figure.suptitle(f"{validation}, {at}", size=9, x=0.01, ha="left")
            own = name if len(found) == 1 else f"{name}-{_part(at, list(found))}"
            written += save(figure, folder, own)
    return written


def longest(found: dict[Conditions, list[Group]]) -> dict[Conditions, list[Group]]:
    """Those of the greatest length of each kind; `witt scaling` draws what lengths give."""
    most: dict[str, Budget] = {}
    for at in found:
        most[at.budget.kind] = max(at.budget, most.get(at.budget.kind, at.budget))
    return {at: mine for at, mine in found.items() if at.budget == most[at.budget.kind]}


def _part(at: Conditions, others: Iterable[Conditions]) -> str:
    """What tells this figure's file from the others'."""
    parts = {"channel": at.channel, "budget": str(at.budget), "share": f"share{at.share:g}"}
    differing = [
        text for field, text in parts.items() if len({getattr(o, field) for o in others}) > 1
    ]
    return slug("-".join(differing))


def _over_arithmetic(axes: Axes, mine: Sequence[Group], costs: Sequence[float]) -> None:
    order = sorted(range(len(mine)), key=lambda index: costs[index])
    sorted_groups, x = [mine[index] for index in order], [costs[index] for index in order]
    snrs = mine[0].snrs_db
    for column, snr in enumerate(snrs):
        each = [group.psnr_db[:, column] for group in sorted_groups]
        means = [float(values.mean()) for values in each]
        below = [mean - float(values.min()) for mean, values in zip(means, each, strict=True)]
        above = [float(values.max()) - mean for mean, values in zip(means, each, strict=True)]
        colour = COLOURS[round(column * (len(COLOURS) - 1) / max(len(snrs) - 1, 1))]
        axes.errorbar(
            x, means, (below, above), color=colour, marker="o", ms=3.5, lw=0.6, capsize=2,
            label=f"{snr:g} dB",
        )  # fmt: skip
    for group, cost in zip(sorted_groups, x, strict=True):
        axes.annotate(
            group.preset, (cost, float(group.psnr_db.mean(0).max())), (0, 6), size=6.5, color=GREY,
            textcoords="offset points", ha="center", rotation=20,
        )  # fmt: skip
    axes.set(xscale="log", xlabel="kFLOP/pixel, both ends", ylabel="PSNR (dB)")
    ticks = [cost for cost, before in zip(x, (0.0, *x), strict=False) if cost > ALIKE * before]
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks], size=7, rotation=30)
    axes.minorticks_off()
    axes.margins(x=0.15, y=0.15)
    axes.legend(title="SNR", title_fontsize=7, fontsize=7, ncols=len(snrs), loc="upper left",
                bbox_to_anchor=(0, -0.2), columnspacing=1, handlelength=1.2)  # fmt: skip


def _against_first(axes: Axes, mine: Sequence[Group]) -> None:
    first, looks = mine[0], looks_of(len(mine) - 1)
    axes.axhline(0, color=GREY, lw=0.8, label=first.preset)
    count = len(mine) - 1
    for index, (group, look) in enumerate(zip(mine[1:], looks, strict=True)):
        above = gain(group, first)
        if not len(above):
            continue
        mean = above.mean(0)
        shift = 0.12 * (index - (count - 1) / 2)  # bars beside each other
        x = [snr + shift for snr in group.snrs_db]
        reach = (mean - above.min(0), above.max(0) - mean)
        axes.errorbar(
            x, mean, reach, color=look.colour, marker=look.marker, ls=look.line, ms=4, lw=1.2,
            capsize=2, elinewidth=0.8, label=group.preset,
        )  # fmt: skip
    axes.set(xlabel="SNR, Es/N0 (dB)", ylabel=f"PSNR above {first.preset} (dB)")
    axes.set_xticks(first.snrs_db, [f"{snr:g}" for snr in first.snrs_db])
    axes.legend(fontsize=7, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.2))


def looks_of(count: int) -> list[Look]:
    """Colours and markers that differ, for so many lines."""
    turns = (PAPER, OURS, *MORE)
    return [turns[index % len(turns)] for index in range(count)]
