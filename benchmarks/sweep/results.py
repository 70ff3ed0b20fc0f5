"""The result file of a sweep: versioned JSON with the figures of every picture.

{"format": …, "dataset": {…}, "seed": 0, "metrics": [{name, key, label, …}], "schemes": {…},
 "runs": [{command, commit, …}],
 "cells": [{"scheme", "channel", …, "snr_db", "cbr", "channel_label",
            "done": [0, 256], "failed": "…",      first pictures of finished chunks; why not others
            "images": {"psnr_db": [31.2, …], …},  one value a picture, null for none
            "info": {"mode": ["16qam-1/2", …], …}}]}
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.labels import cbr_label
from benchmarks.sweep.foreign import read_link
from benchmarks.sweep.measure import Row, columns
from benchmarks.sweep.side import within_cbr
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.link.conditions import Link
from witt.metrics.metric import Quantity, read_quantities
from witt.report import to_json, version

FORMAT = "witt-benchmark-2"
BEFORE = "witt-benchmark-1"  # PSNR and MS-SSIM only, `ms_ssim` in the place of `metrics`
DIGITS = {"ms_ssim": 7, "cbr": 9}  # of the others 4: 0.0001 dB
NO_QUALITY = ("channel_uses", "cbr")
SAME_DB = 0.01
ROUNDED_CBR = 2e-9  # of the stored CBR
# Entries of a cell that are not its channel's.
OF_CELL = frozenset(
    ("scheme", "channel_label", "snr_db", "cbr", "cbr_label", "done", "failed", "images", "info")
)


class Cell(NamedTuple):
    """A scheme at one channel condition.

    scheme: its name.
    link: the channel, from `benchmarks.sweep.foreign.plain_link`.
    snr_db: Es/N0, dB.
    cbr: requested.
    """

    scheme: str
    link: Link
    snr_db: float
    cbr: float

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "scheme": self.scheme,
            **self.link.record(),
            "channel_label": str(self.link),
            "snr_db": self.snr_db,
            "cbr": self.cbr,
            "cbr_label": cbr_label(self.cbr),
        }

    def __str__(self) -> str:
        return f"{self.scheme}, {self.link}, {self.snr_db:g} dB, CBR {cbr_label(self.cbr)}"


class Values:
    """What is known of a cell: a column for each figure, None for pictures without one.

    failed: the error that kept pictures from being finished, if there was one.
    """

    def __init__(self, pictures: int, names: Sequence[str]) -> None:
        self.failed: str | None = None
        self.done: set[int] = set()
        self.images: dict[str, list[float | None]] = {name: [None] * pictures for name in names}
        self.info: dict[str, list[Any]] = {}


class Results:
    """A result file in memory.

    Args:
        path: where it is written.
        head: everything but the cells.
        cells: from an earlier run.
    """

    def __init__(self, path: Path, head: dict[str, Any], cells: dict[Cell, Values]) -> None:
        self.path, self.head, self._cells = path, head, cells
        self.quantities = read_quantities(head)

    @property
    def dataset(self) -> dict[str, Any]:
        """Name, number of pictures, hash, names and sizes."""
        return dict(self.head["dataset"])

    @property
    def pictures(self) -> int:
        """How many there are in the data set."""
        return int(self.head["dataset"]["pictures"])

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, finished or not."""
        return tuple(self._cells)

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Make room for cells, in this order: so the file is the same whoever finishes first.

        What failed before may be tried again. A channel that the file alone did not tell whole
        is known by its record.
        """
        known = {_identity(cell): cell for cell in self._cells}
        here = {_identity(cell): cell for cell in cells}
        self._cells = {here.get(_identity(c), c): values for c, values in self._cells.items()}
        for identity, cell in here.items():
            if identity not in known:
                self._cells[cell] = Values(self.pictures, columns(self.quantities))
            self._cells[cell].failed = None

    def declare(self, scheme: str, record: dict[str, Any]) -> None:
        """Note what a scheme is made of (its weights, its modes).

        Raises:
            InputError: the file has results of the same name made of something else.
        """
        record = json.loads(to_json(record))
        known = self.head["schemes"].setdefault(scheme, record)
        what = ", ".join(
            f"{key} {known.get(key)!r}, not {record.get(key)!r}"
            for key in sorted({*known, *record})
            if not _same(known.get(key), record.get(key))
        )
        if what:
            raise InputError(
                f"{self.path}: holds results of another {scheme} ({what}); choose another --out"
            )

    def is_done(self, cell: Cell, start: int) -> bool:
        """Whether the chunk that begins with picture `start` is finished."""
        return cell in self._cells and start in self._cells[cell].done

    def add(
        self, cell: Cell, start: int, rows: Sequence[Row], infos: Sequence[dict[str, Any]]
    ) -> None:
        """Keep the figures of a chunk."""
        values = self._cells[cell]
        for index, (row, info) in enumerate(zip(rows, infos, strict=True), start):
            for name, value in row.items():
                values.images[name][index] = _stored(name, value)
            # By way of JSON, so that what is in memory is what a reader of the file gets.
            for name, value in json.loads(to_json(info)).items():
                values.info.setdefault(name, [None] * self.pictures)[index] = value
        values.done.add(start)

    def fail(self, cell: Cell, reason: str) -> None:
        """Note why a cell cannot be finished."""
        self._cells[cell].failed = reason

    def failed(self, cell: Cell) -> str | None:
        """Why a cell could not be finished in the last run."""
        return self._cells[cell].failed

    def column(self, cell: Cell, name: str) -> npt.NDArray[np.float64]:
        """One figure of every picture; NaN where there is none, or where it was not measured.

        A picture that took more uses than the cell allows (but for a coded header) has no quality
        there: files of before this was checked may hold some.
        """
        images = self._cells[cell].images
        column = np.array(images.get(name, [None] * self.pictures), dtype=np.float64)
        if name not in NO_QUALITY:
            cbr = within_cbr(images, self.info(cell, "uses_on_top"))
            column[cbr > cell.cbr + ROUNDED_CBR] = np.nan
        return column

    def info(self, cell: Cell, name: str) -> list[Any]:
        """One entry of the scheme's own record for every picture; None where there is none."""
        return list(self._cells[cell].info.get(name, [None] * self.pictures))

    def warnings(self, cell: Cell) -> list[str]:
        """What there is to say against a cell, each line once."""
        lines = (line for told in self.info(cell, "warnings") for line in told or ())
        return list(dict.fromkeys(lines))

    def mean(self, cell: Cell, name: str) -> float:
        """Mean over all pictures; NaN if one of them has no figure.

        A mean over the others alone would flatter a scheme that cannot send the difficult ones.
        """
        return float(np.mean(self.column(cell, name)))

    def finished(self, cell: Cell) -> bool:
        """Whether every picture of a cell was sent: channel uses are known where it was."""
        return None not in self._cells[cell].images["channel_uses"]

    def save(self) -> None:
        """Write the file, whole or not at all; a line for each cell."""
        lines = [json.dumps(cell, allow_nan=False) for cell in self._records()]
        head = to_json(self.head).removesuffix("\n}")
        write_text(self.path, f'{head},\n  "cells": [\n    ' + ",\n    ".join(lines) + "\n  ]\n}\n")

    def _records(self) -> Iterator[dict[str, Any]]:
        for cell, values in self._cells.items():
            yield {
                **cell.record(),
                "done": sorted(values.done),
                **({} if values.failed is None else {"failed": values.failed}),
                "images": {name: _packed(column) for name, column in values.images.items()},
                "info": {name: _packed(column) for name, column in sorted(values.info.items())},
            }


def open_results(
    path: Path, dataset: dict[str, Any], seed: int, quantities: Sequence[Quantity]
) -> Results:
    """Continue a result file, or begin one.

    Raises:
        InputError: the file is damaged, or of another data set, seed, version or metrics; or
            cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; --out is the file for the results")
    ensure_writable_folder(path.parent)
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": version(),
        "dataset": dataset,
        "seed": seed,
        "metrics": [quantity.record() for quantity in quantities],
        "ms_ssim_variants": [],
        "schemes": {},
        "runs": [],
    }
    if not path.exists():
        return Results(path, head, {})
    found = read_results(path)
    differences: list[tuple[str, Any, Any]] = [
        (name, found.head[key], head[key])
        for key, name in (("version", "version of witt"), ("seed", "seed"))
        if found.head[key] != head[key]
    ]
    if found.head["metrics"] != head["metrics"]:
        theirs = ", ".join(quantity.name for quantity in found.quantities)
        differences.append(("metrics", theirs, ", ".join(each.name for each in quantities)))
    if found.dataset["sha256"] != dataset["sha256"]:
        told = [f"{d['name']} ({d['pictures']} pictures)" for d in (found.dataset, dataset)]
        if told[0] == told[1]:
            told[0] += " with other pixels"
        differences.append(("data set", told[0], told[1]))
    if differences:
        what = "; ".join(f"{name} {before}, not {ours}" for name, before, ours in differences)
        raise InputError(f"{path}: holds results of another run ({what}); choose another --out")
    return found


def read_results(path: Path) -> Results:
    """Read a result file.

    Raises:
        InputError: missing, damaged, cut short, or of another format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such result file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON, or is damaged or cut short ({error})") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found not in (FORMAT, BEFORE):
        raise InputError(
            f"{path}: its format is {found!r}, and this version reads {FORMAT!r}; "
            "compute it again with witt benchmark"
        )
    try:
        head = {key: document[key] for key in document if key != "cells"}
        quantities = read_quantities(head)
        head.pop("ms_ssim", None)
        head |= {"format": FORMAT, "metrics": [quantity.record() for quantity in quantities]}
        check_head(head)
        _renew_names(head["schemes"], document["cells"])
        pictures = head["dataset"]["pictures"]
        names = columns(quantities)
        cells = dict(_read_cell(record, pictures, names) for record in document["cells"])
        if len(cells) != len(document["cells"]):
            raise ValueError("a cell is there twice")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
    return Results(path, head, cells)


def _same(one: Any, other: Any) -> bool:
    """Equal; or decibels that another machine may have rounded otherwise."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, abs_tol=SAME_DB)
    return bool(one == other)


def _identity(cell: Cell) -> str:
    """What tells cells apart in a file."""
    told = {"scheme": cell.scheme, "snr_db": cell.snr_db, "cbr": cell.cbr, **cell.link.record()}
    return json.dumps(told, sort_keys=True)


def _stored(name: str, value: float) -> float | None:
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    if name not in DIGITS and not name.endswith("_db"):  # another's, on whatever scale
        return float(f"{value:.7g}")
    return round(float(value), DIGITS.get(name, 4))


def _packed(column: list[Any]) -> list[Any] | dict[str, Any]:
    first = column[0]
    # 1 == 1.0 == True, and only one of them would come back.
    same = all(type(value) is type(first) and value == first for value in column)
    return {"all": first} if same and len(column) > 1 else column


def _unpacked(column: list[Any] | dict[str, Any], pictures: int) -> list[Any]:
    return [column["all"]] * pictures if isinstance(column, dict) else list(column)


def check_head(head: dict[str, Any]) -> None:
    """Look at the kinds of its values.

    Raises:
        KeyError, TypeError, ValueError: one is missing or of another kind.
    """
    kinds = {
        "version": str,
        "seed": int,
        "ms_ssim_variants": list,
        "schemes": dict,
        "runs": list,
    }
    for key, kind in kinds.items():
        if not isinstance(head[key], kind):
            raise TypeError(f"{key} is {head[key]!r}")
    check_made(head)
    dataset = head["dataset"]
    if not isinstance(dataset["pictures"], int) or dataset["pictures"] < 1:
        raise ValueError(f"{dataset['pictures']!r} pictures")
    if not all(isinstance(dataset[key], str) for key in ("name", "sha256")):
        raise TypeError("the data set has no name")


def check_made(document: dict[str, Any]) -> None:
    """Look at the records of its schemes and of its runs.

    Raises:
        KeyError, TypeError, AttributeError: they are none.
    """
    for key, entries in (("runs", document["runs"]), ("schemes", document["schemes"].values())):
        if not all(isinstance(entry, dict) for entry in entries):
            raise TypeError(f"{key} are not records")


def _renew_names(schemes: dict[str, Any], cells: list[dict[str, Any]]) -> None:
    """SoftCast was "linear" in earlier files; weights may be called so too."""
    if "chunks" not in schemes.get("linear", ()):
        return
    renewed = {"softcast" if name == "linear" else name: of for name, of in schemes.items()}
    schemes.clear()
    schemes.update(renewed)
    schemes["softcast"]["family"] = "softcast"
    for cell in cells:
        if cell["scheme"] == "linear":
            cell["scheme"] = "softcast"


def _read_cell(record: dict[str, Any], pictures: int, names: Sequence[str]) -> tuple[Cell, Values]:
    told = {key: value for key, value in record.items() if key not in OF_CELL}
    link = read_link(told, record.get("channel_label"))
    cell = Cell(str(record["scheme"]), link, float(record["snr_db"]), float(record["cbr"]))
    values = Values(pictures, names)
    values.failed = record.get("failed")
    values.done = set(map(int, record["done"]))
    values.images = {n: _unpacked(record["images"][n], pictures) for n in names}
    values.info = {name: _unpacked(c, pictures) for name, c in record["info"].items()}
    for name, column in (*values.images.items(), *values.info.items()):
        if len(column) != pictures:
            raise ValueError(f"{len(column)} values of {name} for {pictures} pictures")
    for name, column in values.images.items():
        if not all(value is None or type(value) in (int, float) for value in column):
            raise TypeError(f"{name} is not a list of numbers")
    return cell, values
