"""From result files to the curves of a figure."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.figures.codec_bounds import NOTE, codec_bounds
from benchmarks.figures.published import COUNTERPARTS, SOURCE, published_curves
from benchmarks.labels import (
    cbr_label,
    condensed,
    count_label,
    is_fixed_mode,
    scheme_label,
    without_mode,
)
from benchmarks.schemes.training import trained
from benchmarks.sweep.known import CIFAR, Pictures, pictures_of
from benchmarks.sweep.measure import MS_SSIM_PUBLISHED
from benchmarks.sweep.results import Cell, Results
from benchmarks.sweep.side import is_ideal
from witt.errors import InputError
from witt.link.conditions import Link
from witt.metrics.metric import MS_SSIM, PSNR, Quantity

BATCH = 1024


Key = tuple[Results, str]  # of the cells of a scheme: its file and its name


class Curve(NamedTuple):
    """A line of a figure.

    scheme: what gives it its colour and marker.
    label: for the legend.
    x, y: of the points; y is NaN where there is none.
    kind: "measured", "fixed" for one LDPC mode, "published", or "bound".
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
    """The cells of one figure, by file and scheme.

    pictures: what they are of; the whole set, where some are of its first pictures only.
    """

    pictures: Pictures
    axis: str
    link: Link
    fixed: float
    series: dict[Key, list[Cell]]

    @property
    def key(self) -> str | None:
        """Of the known set."""
        return self.pictures.key

    @property
    def at(self) -> str:
        """What all points share."""
        if self.axis == "snr":
            return f"CBR {cbr_label(self.fixed)}"
        return f"SNR {self.fixed:g} dB"

    @property
    def points(self) -> set[float]:
        """SNRs or CBRs that were asked for."""
        cells = itertools.chain(*self.series.values())
        return {cell.snr_db if self.axis == "snr" else cell.cbr for cell in cells}

    def label(self, results: Results, scheme: str) -> str:
        """A curve's name: its scheme, the file where that is in several, fewer pictures."""
        twins = {other for other, name in self.series if name == scheme}
        told = [file_names(twins)[results]] if len(twins) > 1 else []
        count = results.pictures
        told += [f"first {count:,}"] if count < self.pictures.number else []
        return scheme_label(scheme) + (f" ({', '.join(told)})" if told else "")

    def measured(self, quantity: Quantity) -> Group:
        """The cells of the files that have a metric."""
        kept = {
            k: cells
            for k, cells in self.series.items()
            if any(q.key == quantity.key for q in k[0].quantities)
        }
        return self._replace(series=kept)

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
    found = some_charts(files, published=published)
    if not found:
        names = ", ".join(str(results.path) for results in files)
        raise InputError(f"{names}: a curve needs two SNRs or two CBRs that are finished")
    return found


def some_charts(files: Sequence[Results], *, published: bool = True) -> list[Chart]:
    """As `charts`; none where there is none."""
    found: list[Chart] = []
    for group in groups(files):
        for quantity in quantities(group):
            measured = group.measured(quantity)
            if len(measured.points) > 1:
                found.append(_chart(measured, quantity, published))
    return _named_apart(found)


def _named_apart(found: Sequence[Chart]) -> list[Chart]:
    """Charts of names that differ, which the files are called by."""
    often = Counter(chart.name for chart in found)
    seen: Counter[str] = Counter()
    apart = []
    for chart in found:
        seen[chart.name] += 1
        number = f"-{seen[chart.name]}" if often[chart.name] > 1 else ""
        apart.append(chart._replace(name=chart.name + number))
    return apart


def quantities(group: Group) -> list[Quantity]:
    """What there is to draw, each once though several files have it."""
    found: dict[str, Quantity] = {}
    for results, _ in group.series:
        for each in results.quantities:
            found.setdefault(each.key, each)
    return list(found.values())


def groups(files: Sequence[Results], *, alike: bool = False) -> list[Group]:
    """The finished cells of each data set, channel and fixed CBR (or SNR).

    Data sets are told apart by their pixels. The first thousand or more pictures of a known set
    go with the whole of it, unless all are to be `alike`.
    """
    keys: dict[tuple[str, str, Link, float], dict[Key, list[Cell]]] = {}
    sets: dict[str, list[Pictures]] = {}
    for results in files:
        pictures = pictures_of(results.dataset)
        one = pictures.key if pictures.stands_for_all and not alike else None
        name = one or pictures.sha256
        sets.setdefault(name, []).append(pictures)
        for cell in filter(results.finished, results.cells):
            for axis, fixed in (("snr", cell.cbr), ("cbr", cell.snr_db)):
                series = keys.setdefault((name, axis, cell.link, fixed), {})
                series.setdefault((results, cell.scheme), []).append(cell)
    titles = _titles(sets)
    found = []
    for (name, axis, link, fixed), series in keys.items():
        there = [pictures_of(results.dataset) for results, _ in series]
        largest = max(there, key=lambda pictures: pictures.number)
        title = titles.get(name, largest.title)
        group = Group(largest._replace(title=title), axis, link, fixed, _without_crossings(series))
        if len(group.points) > 1:
            found.append(group)
    return found


def _without_crossings(series: dict[Key, list[Cell]]) -> dict[Key, list[Cell]]:
    """Without the one point of a scheme that is on its curve from another file.

    A sweep over the SNR and one over the CBR cross in a point, which is no curve of its own.
    """
    drawn = {
        (c.scheme, c.snr_db, c.cbr) for cells in series.values() if len(cells) > 1 for c in cells
    }
    return {
        key: cells
        for key, cells in series.items()
        if len(cells) > 1 or (cells[0].scheme, cells[0].snr_db, cells[0].cbr) not in drawn
    }


def _titles(sets: dict[str, list[Pictures]]) -> dict[str, str]:
    """Data sets that are not known and share the name of their folder have their hash, too."""
    plain = {name: there[0].title for name, there in sets.items() if there[0].key is None}
    often = Counter(plain.values())
    return {n: f"{title} [{n[:6]}]" for n, title in plain.items() if often[title] > 1}


def file_names(files: Iterable[Results]) -> dict[Results, str]:
    """The name of each file without its ending; with its folder, where some are called alike."""
    paths = {results: results.path for results in files}
    often = Counter(path.stem for path in paths.values())
    return {r: p.stem if often[p.stem] == 1 else str(p) for r, p in paths.items()}


def mean_of(metric: str) -> Value:
    """The mean of a column."""
    return lambda results, cell: results.mean(cell, metric)


def psnr_of_mean_mse(results: Results, cell: Cell) -> float:
    """PSNR of the mean squared error of 1,024 pictures, averaged over such batches.

    As the code published with the paper evaluates CIFAR-10; lower than the mean of the PSNRs.
    """
    mse = 255**2 / 10 ** (results.column(cell, PSNR.key) / 10)
    batches = [mse[start : start + BATCH] for start in range(0, len(mse), BATCH)]
    return float(np.mean([10 * math.log10(255**2 / batch.mean()) for batch in batches]))


def _chart(group: Group, metric: Quantity, published: bool) -> Chart:
    panels = _panels(group, metric, published)
    kind = {PSNR: "psnr", MS_SSIM: "msssim"}.get(metric, metric.key.lower())
    stem = group.at.lower().replace(" db", "db")
    pictures = group.pictures
    if pictures.key is None:
        name = next(iter(group.series))[0].dataset["name"]
        if name != pictures.title:  # which others are called, too
            name += f"-{pictures.sha256[:6]}"
    else:
        name = pictures.key + ("" if pictures.complete else f"-first-{pictures.number}")
    return Chart(
        re.sub(r"[\s/\\]", "-", f"{name}-{group.link.slug}-{kind}-over-{group.axis}-at-{stem}"),
        group.axis,
        metric.key,
        f"{pictures.title}, {group.link}, {group.at}",
        tuple(panels),
        tuple(sorted(group.points)),
        tuple(_notes(group, metric, panels, published)),
    )


def _panels(group: Group, metric: Quantity, published: bool) -> list[Panel]:
    """The figure by our definition, and beside it by the published one where that differs."""
    if metric == MS_SSIM:
        ours = Panel("Standard: 5 scales", metric.axis, _measured(group, mean_of(metric.key)))
        theirs = Panel(
            "As published: 4 scales",
            metric.axis,
            _measured(group, mean_of(MS_SSIM_PUBLISHED))
            + _behind(group, MS_SSIM_PUBLISHED, published),
        )
        measured = [curve for curve in theirs.curves if curve.kind != "published"]
        if all(math.isnan(y) for curve in measured for y in curve.y):
            variants = {v for results, _ in group.series for v in results.head["ms_ssim_variants"]}
            return [ours._replace(title=", ".join(sorted(variants)))]
        return [ours, theirs]
    ours = Panel("", metric.axis, _measured(group, mean_of(metric.key)))
    behind = _behind(group, metric.key, published)
    if group.key != CIFAR or metric != PSNR:
        return [ours._replace(curves=ours.curves + behind)]
    batches = _measured(group, psnr_of_mean_mse) + behind
    return [
        ours._replace(title="Mean of the PSNRs"),
        Panel("As published: PSNR of the mean error", metric.axis, batches),
    ]


def _measured(group: Group, value: Value) -> tuple[Curve, ...]:
    curves = []
    for (results, scheme), cells in group.series.items():
        points = sorted((group.x(results, cell), value(results, cell)) for cell in cells)
        x, y = zip(*points, strict=True)
        kind = "fixed" if is_fixed_mode(scheme) else "measured"
        curves.append(Curve(scheme, group.label(results, scheme), x, y, kind))
    return tuple(curves)


def _behind(group: Group, metric: str, wanted: bool) -> tuple[Curve, ...]:
    """The published curves and bounds, of all pictures: behind curves of those only."""
    if not wanted or group.key is None or not group.pictures.complete:
        return ()
    at = {"cbr": group.fixed} if group.axis == "snr" else {"snr_db": group.fixed}
    return tuple(
        Curve(curve.scheme, f"{curve.name} (published)", curve.x, curve.y, "published")
        for curve in published_curves(group.key, group.link, metric, **at)
    ) + (_bounds(group) if metric == PSNR.key else ())


def _bounds(group: Group) -> tuple[Curve, ...]:
    """Those of codecs at capacity, at the points that were asked for, as far as they go."""
    cells = {(c.snr_db, c.cbr) for cells in group.series.values() for c in cells}
    conditions = sorted(cells)
    x = [snr_db if group.axis == "snr" else cbr for snr_db, cbr in conditions]
    curves = []
    for bound in codec_bounds(group.key, group.link, conditions):
        pairs = zip(x, bound.psnr_db, strict=True)
        points = [(at, y) for at, y in pairs if math.isfinite(y)]
        if points:
            label = f"{bound.codec} at capacity (bound)"
            places, values = zip(*points, strict=True)
            curves.append(Curve(bound.scheme, label, places, values, kind="bound"))
    return tuple(curves)


def _notes(group: Group, metric: Quantity, panels: Iterable[Panel], published: bool) -> list[str]:
    counts: dict[int, list[str]] = {}
    for results, scheme in group.series:
        counts.setdefault(results.pictures, []).append(scheme_label(without_mode(scheme)))
    if len(counts) == 1:
        told = count_label(next(iter(counts)))
    else:
        told = "; ".join(
            f"{count_label(count)}: {', '.join(dict.fromkeys(names))}"
            for count, names in counts.items()
        )
    what = metric.label.removesuffix(" dB")
    unit = "" if what == metric.label else " in dB"
    what += ", −10 log10(1 − MS-SSIM)," if metric == MS_SSIM else ""
    notes = [f"{told[0].upper()}{told[1:]}. {what} of each 8-bit picture, averaged{unit}."]
    drawn = [curve for panel in panels for curve in panel.curves]
    if metric == MS_SSIM and len(tuple(panels)) > 1:
        notes.append(
            "The published code takes 4 scales and the last one three times, "
            "1.0 to 1.3 dB below the standard."
        )
    if group.key == CIFAR and metric == PSNR:
        notes.append("The published code takes the PSNR of the mean error of 1,024 pictures.")
    theirs = {curve.scheme for curve in drawn if curve.kind == "published"}
    if theirs:
        bpg = theirs & {COUNTERPARTS["BPG+LDPC"], COUNTERPARTS["BPG+Capacity"]}
        notes.append(SOURCE + ("; BPG is HEVC intra." if bpg else "."))
    if any(curve.kind == "bound" for curve in drawn):
        notes.append(NOTE)
    if len(set(counts)) > 1 and theirs:
        notes.append(f"The published curves are of all {group.pictures.whole:,} pictures.")
    elif published and group.key is not None and not group.pictures.complete:
        whole = f"all {group.pictures.whole:,} pictures"
        notes.append(f"Published curves are of {whole}, and are not drawn beside fewer.")
    return notes + _of_schemes(group)


def _of_schemes(group: Group) -> list[str]:
    """What training each trained scheme had, and what there is to say against its points."""
    notes: dict[str, None] = {}
    for (results, scheme), cells in group.series.items():
        label = group.label(results, scheme)
        training = results.head["schemes"].get(scheme, {}).get("training")
        if training is not None:
            notes[f"{label}: trained {trained(training)}."] = None
        if is_ideal(results.head["schemes"].get(scheme, {})):
            notes[f"{label}: ideal side information."] = None
        for line in condensed(said for cell in cells for said in results.warnings(cell)):
            notes[f"{label}: {line}."] = None
    return list(notes)
