"""Files of `witt evaluate` and of `witt.evaluate` as results of a sweep, so that they are drawn."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmarks.sweep.foreign import read_link
from benchmarks.sweep.measure import columns
from benchmarks.sweep.results import Cell, Results, Values, check_head, read_results
from witt.errors import InputError
from witt.link.profiles import OURS
from witt.link.results import BEFORE, FORMAT, read_evaluation
from witt.link.side_link import IDEAL
from witt.metrics.metric import Quantity, read_quantities
from witt.report import version

# What the record of a channel may hold.
OF_CHANNEL = ("channel", "fading", "coherence", "k_factor_db", "fades", "source")


def read_any(path: Path) -> Results:
    """Results of `witt benchmark`, `witt evaluate` or `Results.save`.

    Raises:
        InputError: missing, damaged or of another format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document.get("format") if isinstance(document, dict) else None
    except (OSError, ValueError, RecursionError):
        found = None  # whoever reads it says what is wrong
    return read_evaluated(path) if found in (FORMAT, BEFORE) else read_results(path)


def read_evaluated(path: Path) -> Results:
    """A file of an evaluation; conditions that were cut short are there, but not finished.

    Raises:
        InputError: missing, damaged or of another format.
    """
    document = read_evaluation(path)
    try:
        return _results(path, document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error})") from error


def _results(path: Path, document: dict[str, Any]) -> Results:
    quantities = read_quantities(document)
    entries = [entry for result in document["results"] for entry in result["images"]]
    variants = {entry.get("ms_ssim_variant") for entry in entries} - {None}
    head: dict[str, Any] = {
        "version": document.get("version", version()),
        "dataset": document.get("dataset") or _unknown(entries, document["images"]),
        "seed": document["seed"],
        "metrics": [quantity.record() for quantity in quantities],
        "ms_ssim_variants": sorted(variants),
        "schemes": {},
        "runs": [],
    }
    check_head(head)
    pictures = head["dataset"]["pictures"]
    cells = {}
    for result in document["results"]:
        told = {key: result[key] for key in OF_CHANNEL if key in result}
        link = read_link(told, result["channel_label"])
        at = float(result["snr_db"]), float(result["cbr_requested"])
        cell = Cell(_scheme(result, document), link, *at)
        cells[cell] = _values(result["images"], quantities, pictures)
        way = result.get("side_information", document.get("side_information", IDEAL))
        head["schemes"][cell.scheme] = {"side_information": way}
    return Results(path, head, cells)


def _scheme(result: dict[str, Any], document: dict[str, Any]) -> str:
    """The codec, with what was done to it."""
    name = str(result["codec"])
    if document.get("adapt"):
        name += f"+adapt:{document['adapt']}"
    profile = result.get("profile", OURS.name)
    return name if profile == OURS.name else f"{name} [{profile}]"


def _values(entries: list[dict[str, Any]], quantities: tuple[Quantity, ...], count: int) -> Values:
    """The mean over the draws of each picture; None where it was not sent any more."""
    by_picture: dict[tuple[int, int], list[dict[str, Any]]] = {}
    draws: dict[tuple[int, int], int] = {}
    for entry in entries:
        draw = entry["batch"], entry.get("repeat", 0)
        draws[draw] = draws.get(draw, 0) + 1
        by_picture.setdefault((entry["batch"], draws[draw]), []).append(entry)  # its place
    values = Values(count, columns(quantities))
    for index, same in enumerate(by_picture.values()):
        for key, column in values.images.items():
            numbers = [entry[key] for entry in same if key in entry]
            mean = sum(numbers) / len(numbers) if numbers else None
            column[index] = None if mean != mean else mean
        on_top = values.info.setdefault("uses_on_top", [0] * count)
        on_top[index] = same[0].get("uses_on_top", 0)
        lost = [entry.get("side_information_lost") for entry in same]
        if None not in lost:  # files of before it could be lost say nothing
            values.info.setdefault("side_information_lost", [None] * count)[index] = any(lost)
    return values


def _unknown(entries: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """The pictures of a file that does not say which they are: their names tell them apart."""
    names = list(dict.fromkeys(entry["image"] for entry in entries))
    return {
        "name": Path(names[0]).parent.name,
        "pictures": count,
        "sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "names": names,
        "sizes": [],
    }
