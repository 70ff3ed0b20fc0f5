"""What the page of a report says, as plain values: text, numbers and pictures in base64."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.figures.bd import FEWEST, LEGEND, Differences, differences
from benchmarks.figures.curves import Chart, Panel, file_names, groups, some_charts
from benchmarks.figures.plot import legend_label, limits_of, look_of, looks_of
from benchmarks.labels import cbr_label, count_label, is_fixed_mode, scheme_label
from benchmarks.sweep.known import pictures_of
from benchmarks.sweep.results import Cell, Results
from witt.errors import InputError
from witt.report import number

SAME_STOP = 0.02  # of the axis: what a scheme used lies just below what it was allowed
DASHES = {"-": "", "--": "6 3", "-.": "7 3 2 3", ":": "2 3"}  # of matplotlib's lines
DEEPEST = 4  # of settings within settings
# What of a file is not settings: its figures, and what the page shows by itself.
NO_SETTINGS = frozenset(("cells", "results", "entries", "original", "runs", "schemes"))


class Pivot(NamedTuple):
    """The values of a panel: a row for each curve."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Drawn(NamedTuple):
    """A chart for the page.

    data: what the script draws.
    """

    title: str
    metric: str
    data: dict[str, Any]
    pivots: tuple[Pivot, ...]
    notes: tuple[str, ...]


class Numbers(NamedTuple):
    """The table of all cells; a value is what is shown, and what it is sorted by."""

    heads: tuple[str, ...]
    rows: tuple[tuple[tuple[str, float | str], ...], ...]
    notes: tuple[str, ...]


class Tile(NamedTuple):
    """A received picture; `png` is None where there is none."""

    name: str
    value: str
    png: str | None


class Pictures(NamedTuple):
    """One photograph as the schemes deliver it: a row of tiles for each SNR."""

    title: str
    size: tuple[int, int]
    rows: tuple[tuple[str, tuple[Tile, ...]], ...]


class Source(NamedTuple):
    """A file: its settings by name, what its schemes are made of, the runs that filled it.

    machines: each once; a run has the number of its own.
    """

    name: str
    about: str
    settings: tuple[tuple[str, str], ...]
    schemes: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    heads: tuple[str, ...]
    runs: tuple[tuple[str, ...], ...]
    machines: tuple[tuple[tuple[str, str], ...], ...]


def drawn_charts(files: Sequence[Results], *, published: bool) -> list[Drawn]:
    """The charts of `witt plot`, for a script to draw."""
    return [_drawn(chart) for chart in some_charts(files, published=published)]


def _drawn(chart: Chart) -> Drawn:
    looks = looks_of(chart)
    names = [panel.title for panel in chart.panels]
    panels, pivots = [], []
    for panel, name in zip(chart.panels, names, strict=True):
        digits = 2 if panel.ylabel.endswith("(dB)") else 4
        stops = _stops(chart, panel)
        series = []
        for curve in panel.curves:
            look = look_of(curve, looks)
            fixed = curve.kind == "fixed"
            dash = _dash("--" if curve.kind == "published" else look.line)
            series.append(
                {
                    "label": curve.label,
                    "group": legend_label(curve),
                    "kind": curve.kind,
                    "colour": None if fixed else look.colour,
                    "dash": "" if fixed else dash,
                    "marker": "." if fixed else look.marker,
                    "points": [
                        [_nearest(stops, x), x, y if math.isfinite(y) else None]
                        for x, y in zip(curve.x, curve.y, strict=True)
                    ],
                }
            )
        panels.append(
            {
                "title": name,
                "ylabel": panel.ylabel,
                "digits": digits,
                "stops": [[x, _at(chart, x)] for x in stops],
                "series": series,
            }
        )
        pivots.append(_pivot(chart, panel, stops, digits))
    data = {
        "axis": chart.axis,
        "xlabel": "SNR, Es/N0 (dB)" if chart.axis == "snr" else "CBR, channel uses / (3·H·W)",
        "ticks": [[x, _at(chart, x)] for x in chart.ticks],
        "limits": limits_of(chart),
        "panels": panels,
    }
    metric = chart.panels[0].ylabel.removesuffix(" (dB)")
    return Drawn(chart.title, metric, data, tuple(pivots), chart.notes)


def _dash(line: Any) -> str:
    """A line of matplotlib's, by its sign or as (offset, lengths), as SVG has it."""
    return DASHES[line] if isinstance(line, str) else " ".join(map(str, line[1]))


def _stops(chart: Chart, panel: Panel) -> list[float]:
    """Places on the x axis that have values: what was asked for, and what lies apart from it."""
    stops = list(chart.ticks)
    points = sorted({x for curve in panel.curves for x in curve.x if math.isfinite(x)})
    if not points:
        return stops
    ends = [*stops, *points]
    near = SAME_STOP * (max(ends) - min(ends))
    for x in points:
        if min(abs(x - stop) for stop in stops) > near:
            stops.append(x)
    used = {_nearest(stops, x) for x in points}
    return sorted(stop for index, stop in enumerate(stops) if index in used)


def _nearest(stops: Sequence[float], x: float) -> int:
    return min(range(len(stops)), key=lambda index: abs(stops[index] - x))


def _at(chart: Chart, x: float) -> str:
    return f"{x:g}" if chart.axis == "snr" else cbr_label(x)


def _pivot(chart: Chart, panel: Panel, stops: Sequence[float], digits: int) -> Pivot:
    rows = []
    for curve in panel.curves:
        values = ["–"] * len(stops)
        for x, y in zip(curve.x, curve.y, strict=True):
            values[_nearest(stops, x)] = number(y, digits)
        rows.append((curve.label, *values))
    unit = " dB" if chart.axis == "snr" else ""
    heads = ("Scheme", *(f"{_at(chart, x)}{unit}" for x in stops))
    return Pivot(panel.title, heads, tuple(rows))


def all_numbers(files: Sequence[Results]) -> Numbers:
    """The mean and the standard deviation of every metric in every cell."""
    names = file_names(files)
    metrics = list({q.key: q for results in files for q in results.quantities}.values())
    heads = ["File"] if len(files) > 1 else []
    heads += ["Scheme", "Channel", "SNR dB", "CBR asked", "CBR used"]
    heads += [head for each in metrics for head in (each.label, "±")] + ["Pictures", "Lost"]
    rows: list[tuple[tuple[str, float | str], ...]] = []
    notes: dict[str, None] = {}
    for results in files:
        measured = {each.key for each in results.quantities}
        for cell in results.cells:
            row: list[tuple[str, float | str]] = []
            if len(files) > 1:
                row.append((names[results], names[results]))
            used = results.mean(cell, "cbr")
            row += [(text, text) for text in (scheme_label(cell.scheme), str(cell.link))]
            row += [(f"{cell.snr_db:g}", cell.snr_db), (cbr_label(cell.cbr), cell.cbr)]
            row.append((number(used, 5), used))
            for each in metrics:
                values = results.column(cell, each.key) if each.key in measured else np.empty(0)
                mean = float(np.mean(values)) if len(values) else math.nan
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
                row += [(number(mean, each.digits), mean), (number(spread, each.digits), spread)]
            sent = int(np.isfinite(results.column(cell, "channel_uses")).sum())
            whole = sent == results.pictures
            row.append((f"{sent:,}" if whole else f"{sent:,} of {results.pictures:,}", sent))
            lost = _lost(results, cell)
            row.append((number(lost, 0), lost))
            rows.append(tuple(row))
            reason = results.failed(cell)
            if reason is not None:
                notes[f"{cell}: {reason}"] = None
    return Numbers(tuple(heads), tuple(rows), tuple(notes))


def _lost(results: Results, cell: Cell) -> float:
    """Pictures of which nothing arrived: their bits or their side information were lost."""
    told = [results.info(cell, name) for name in ("lost", "side_information_lost")]
    known = [flags for flags in zip(*told, strict=True) if flags != (None, None)]
    return sum(map(any, known)) if known else math.nan


def all_differences(files: Sequence[Results]) -> tuple[list[list[Differences]], str]:
    """For each group of curves a table against each of them, and what the tables need to be read.

    Curves of too few points are left out, and those of one LDPC mode: they are cliffs, which have
    no mean difference.
    """
    found = []
    try:
        for group in groups(files, alike=True):
            whole = {
                key: cells
                for key, cells in group.series.items()
                if len(cells) >= FEWEST and not is_fixed_mode(key[1])
            }
            if len(whole) > 1:
                chosen = group._replace(series=whole)
                found.append([differences(chosen, base) for base in whole])
    except InputError as error:  # the library is not installed
        return [], str(error)
    return found, LEGEND if found else ""


def pictures_in(record: dict[str, Any]) -> Pictures:
    """The pictures of a file of `witt reproduce visual`, whole PNGs again."""
    entries = record["entries"]
    schemes = list(dict.fromkeys(entry["scheme"] for entry in entries))
    place = {(entry["snr_db"], entry["scheme"]): entry for entry in entries}
    original = Tile("Original", "", _png(record["original"]))
    rows = []
    for snr in sorted({entry["snr_db"] for entry in entries}):
        tiles = [original]
        for scheme in schemes:
            entry = place.get((snr, scheme))
            if entry is not None:
                value = math.nan if entry["psnr_db"] is None else entry["psnr_db"]
                tiles.append(Tile(scheme_label(scheme), f"{number(value)} dB", _png(entry["png"])))
        rows.append((f"SNR {snr:g} dB", tuple(tiles)))
    title = f"{record['picture']}, {entries[0]['link']}, CBR {entries[0]['cbr_label']}"
    crop = record["crop"]
    return Pictures(title, (crop["width"], crop["height"]), tuple(rows))


def _png(text: str | None) -> str | None:
    """Base64 and nothing else, whatever the file held between its signs."""
    return None if text is None else base64.b64encode(base64.b64decode(text)).decode()


def source_of(path: Path, about: str) -> Source:
    """The settings of a file that was read before: whatever is in it beside its figures."""
    document = json.loads(path.read_text(encoding="utf-8"))
    settings = {
        key: {name: told for name, told in value.items() if name not in ("names", "sizes")}
        if key == "dataset" and isinstance(value, dict)
        else value
        for key, value in document.items()
        if key not in NO_SETTINGS
    }
    runs = [dict(run) for run in document.get("runs", ())]
    machines: dict[tuple[tuple[str, str], ...], int] = {}
    for run in runs:
        if "machine" in run:
            told = tuple(flat(run["machine"]))
            run["machine"] = machines.setdefault(told, len(machines) + 1)
    names = dict.fromkeys(name for run in runs for name in run)
    heads = ["run", *sorted(names, key=lambda name: name == "command")]  # the longest goes last
    return Source(
        path.name,
        about,
        tuple(flat(settings)),
        tuple((name, tuple(flat(told))) for name, told in document.get("schemes", {}).items()),
        tuple(heads),
        tuple(
            (f"{index}", *(_word(run.get(head)) for head in heads[1:]))
            for index, run in enumerate(runs, 1)
        ),
        tuple(machines),
    )


def about_pictures(results: Results) -> str:
    """The data set of a file, and how many pictures it has."""
    pictures = pictures_of(results.dataset)
    return f"{pictures.title}: {count_label(pictures.number)}"


def flat(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Names and values as text; what is in an entry has both names, with a dot between."""
    if depth > DEEPEST:
        yield name, "…"
    elif isinstance(value, dict) and value:
        for key, entry in value.items():
            yield from flat(entry, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        for index, entry in enumerate(value):
            yield from flat(entry, f"{name}.{index + 1}" if name else str(index + 1), depth + 1)
    elif isinstance(value, list):
        yield name, ", ".join(map(_word, value)) or "none"
    else:
        yield name, _word(value)


def _word(value: Any) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
