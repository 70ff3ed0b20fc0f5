"""From result files to the curves of a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.labels import cbr_label, is_fixed_mode, scheme_label
from benchmarks.published import COUNTERPARTS, SOURCE, published_curves
from benchmarks.results import Cell, Results
from witt.errors import InputError
from witt.link import Link

CIFAR, BATCH = "cifar10", 1024
DATASETS = {"kodak": "Kodak", CIFAR: "CIFAR-10", "clic2021": "CLIC 2021"}
PUBLISHED_PICTURES = {"kodak": 24, CIFAR: 10_000}
PSNR, MS_SSIM, MS_SSIM_PUBLISHED = "psnr_db", "ms_ssim_db", "ms_ssim_published_db"


class Curve(NamedTuple):
    """A line of a figure.

    scheme: what gives it its colour and marker.
    label: for the legend.
    x, y: of the points; y is NaN where there is none.
    kind: "measured", "fixed" for one LDPC mode, or "published".
    """

    scheme: str
    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    kind: str = "measured"


class Panel(NamedTuple):
    """A pair of axes; the title says which definition it is where there are two."""

    title: str
    ylabel: str
    curves: tuple[Curve, ...]


class Chart(NamedTuple):
    """A figure.

    name: of its files.
    axis: "snr" or "cbr".
    metric: column of the results.
    ticks: SNRs or CBRs that were asked for.
    notes: what a caption must say.
    """

    name: str
    axis: str
    metric: str
    title: str
    panels: tuple[Panel, ...]
    ticks: tuple[float, ...]
    notes: tuple[str, ...]


class Group(NamedTuple):
    """The cells of one figure, by file and scheme."""

    dataset: str
    axis: str
    link: Link
    fixed: float
    series: dict[tuple[Results, str], list[Cell]]

    def x(self, results: Results, cell: Cell) -> float:
        """Where a cell is on the x axis: a CBR is what was used, not what was allowed."""
        return cell.snr_db if self.axis == "snr" else results.mean(cell, "cbr")


Value = Callable[[Results, Cell], float]


def charts(files: Sequence[Results], *, published: bool = True) -> list[Chart]:
    """All figures that the results have at least two points for.

    Args:
        files: results, of one data set or several.
        published: whether to draw the published curves behind ours.

    Raises:
        InputError: there is no such figure.
    """
    found = []
    for group in groups(files):
        found.append(_chart(group, PSNR, published))
        if any(results.head["ms_ssim"] for results, _ in group.series):
            found.append(_chart(group, MS_SSIM, published))
    if not found:
        names = ", ".join(str(results.path) for results in files)
        raise InputError(f"{names}: a curve needs two SNRs or two CBRs that are finished")
    return found


def groups(files: Sequence[Results]) -> list[Group]:
    """The finished cells of each data set, channel and fixed CBR (or SNR)."""
    keys: dict[tuple[str, str, Link, float], dict[tuple[Results, str], list[Cell]]] = {}
    for results in files:
        for cell in filter(results.finished, results.cells):
            for axis, fixed in (("snr", cell.cbr), ("cbr", cell.snr_db)):
                series = keys.setdefault((results.dataset["name"], axis, cell.link, fixed), {})
                series.setdefault((results, cell.scheme), []).append(cell)
    found = []
    for (dataset, axis, link, fixed), series in keys.items():
        points = {c.snr_db if axis == "snr" else c.cbr for cells in series.values() for c in cells}
        if len(points) > 1:
            found.append(Group(dataset, axis, link, fixed, series))
    return found


def mean_of(metric: str) -> Value:
    """The mean of a column."""
    return lambda results, cell: results.mean(cell, metric)


def psnr_of_mean_mse(results: Results, cell: Cell) -> float:
    """PSNR of the mean squared error of 1,024 pictures, averaged over such batches.

    As the code published with the paper evaluates CIFAR-10; lower than the mean of the PSNRs.
    """
    mse = 255**2 / 10 ** (results.column(cell, PSNR) / 10)
    batches = [mse[start : start + BATCH] for start in range(0, len(mse), BATCH)]
    return float(np.mean([10 * math.log10(255**2 / batch.mean()) for batch in batches]))


def _chart(group: Group, metric: str, published: bool) -> Chart:
    over_snr = group.axis == "snr"
    at = f"CBR {cbr_label(group.fixed)}" if over_snr else f"SNR {group.fixed:g} dB"
    points = {c.snr_db if over_snr else c.cbr for cells in group.series.values() for c in cells}
    panels = _panels(group, metric, published)
    kind = "psnr" if metric == PSNR else "msssim"
    stem = at.lower().replace(" db", "db").replace(" ", "-").replace("/", "-")
    channel = "-".join(
        filter(None, (group.link.channel, group.link.fading if group.link.fades else ""))
    )
    return Chart(
        f"{group.dataset}-{channel}-{kind}-over-{group.axis}-at-{stem}",
        group.axis,
        metric,
        f"{DATASETS.get(group.dataset, group.dataset)}, {group.link}, {at}",
        tuple(panels),
        tuple(sorted(points)),
        tuple(_notes(group, metric, panels)),
    )


def _panels(group: Group, metric: str, published: bool) -> list[Panel]:
    """The figure by our definition, and beside it by the published one where that differs."""
    if metric == MS_SSIM:
        ours = Panel("Standard: 5 scales", "MS-SSIM (dB)", _measured(group, mean_of(MS_SSIM)))
        theirs = Panel(
            "As published: 4 scales",
            "MS-SSIM (dB)",
            _measured(group, mean_of(MS_SSIM_PUBLISHED))
            + _behind(group, MS_SSIM_PUBLISHED, published),
        )
        measured = [curve for curve in theirs.curves if curve.kind != "published"]
        if all(math.isnan(y) for curve in measured for y in curve.y):
            variants = {v for results, _ in group.series for v in results.head["ms_ssim_variants"]}
            return [ours._replace(title=", ".join(sorted(variants)))]
        return [ours, theirs]
    ours = Panel("", "PSNR (dB)", _measured(group, mean_of(PSNR)))
    behind = _behind(group, PSNR, published)
    if group.dataset != CIFAR:
        return [ours._replace(curves=ours.curves + behind)]
    batches = _measured(group, psnr_of_mean_mse) + behind
    return [
        ours._replace(title="Mean of the PSNRs"),
        Panel("As published: PSNR of the mean error", "PSNR (dB)", batches),
    ]


def _measured(group: Group, value: Value) -> tuple[Curve, ...]:
    curves = []
    for (results, scheme), cells in group.series.items():
        points = sorted((group.x(results, cell), value(results, cell)) for cell in cells)
        x, y = zip(*points, strict=True)
        kind = "fixed" if is_fixed_mode(scheme) else "measured"
        curves.append(Curve(scheme, _label(group, results, scheme), x, y, kind))
    return tuple(curves)


def _label(group: Group, results: Results, scheme: str) -> str:
    """Its name, and the file where the scheme is in several."""
    twins = [r for r, other in group.series if other == scheme]
    label = scheme_label(scheme)
    return f"{label} ({results.path.stem})" if len(twins) > 1 else label


def _behind(group: Group, metric: str, wanted: bool) -> tuple[Curve, ...]:
    if not wanted:
        return ()
    at = {"cbr": group.fixed} if group.axis == "snr" else {"snr_db": group.fixed}
    return tuple(
        Curve(curve.scheme, f"{curve.name} (published)", curve.x, curve.y, "published")
        for curve in published_curves(group.dataset, group.link, metric, **at)
    )


def _notes(group: Group, metric: str, panels: Iterable[Panel]) -> list[str]:
    counts: dict[int, list[str]] = {}
    for results, scheme in group.series:
        counts.setdefault(results.pictures, []).append(scheme_label(scheme.partition(":")[0]))
    if len(counts) == 1:
        told = f"{next(iter(counts)):,} pictures"
    else:
        told = "; ".join(
            f"{count:,} pictures: {', '.join(dict.fromkeys(names))}"
            for count, names in counts.items()
        )
    what = "PSNR" if metric == PSNR else "MS-SSIM, −10 log10(1 − MS-SSIM),"
    notes = [f"{told[0].upper()}{told[1:]}. {what} of each 8-bit picture, averaged in dB."]
    drawn = [curve for panel in panels for curve in panel.curves]
    if metric == MS_SSIM and len(tuple(panels)) > 1:
        notes.append(
            "The published code takes 4 scales and the last one three times, "
            "1.0 to 1.3 dB below the standard."
        )
    if group.dataset == CIFAR and metric == PSNR:
        notes.append("The published code takes the PSNR of the mean error of 1,024 pictures.")
    theirs = {curve.scheme for curve in drawn if curve.kind == "published"}
    if theirs:
        bpg = theirs & {COUNTERPARTS["BPG+LDPC"], COUNTERPARTS["BPG+Capacity"]}
        notes.append(SOURCE + ("; BPG is HEVC intra." if bpg else "."))
        whole = PUBLISHED_PICTURES.get(group.dataset)
        if whole is not None and set(counts) != {whole}:
            notes.append(f"The published curves are of all {whole:,} pictures.")
    return notes
