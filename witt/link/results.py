"""Results of an evaluation: a table, a figure, a file, a data frame.

The file is what `witt evaluate` writes, with several codecs in it, and `witt plot` draws it:

{"format": …, "metrics": [{name, key, label, higher_is_better}], "codecs": {label: {…}},
 "results": [{"codec", "channel", …, "snr_db", "cbr_requested", means by key,
              "images": [{"image", "seed", values by key, …}]}]}
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from witt.errors import InputError
from witt.files import write_text
from witt.metrics.metric import Quantity, read_quantities
from witt.registry import short
from witt.report import number, to_json

if TYPE_CHECKING:
    import pandas

    from witt.pictures.lines import Drawing

FORMAT = "witt-evaluation-2"
BEFORE = "witt-evaluation-1"  # one codec, PSNR and MS-SSIM only


class Spread(NamedTuple):
    """A mean with the standard deviation of its values, which are pictures and draws.

    The deviation is NaN where there is one value.
    """

    mean: float
    deviation: float

    def text(self, digits: int) -> str:
        """ "31.20 ± 2.31"."""
        told = number(self.mean, digits)
        return told if math.isnan(self.deviation) else f"{told} ± {number(self.deviation, digits)}"


class Table(NamedTuple):
    """A row for each codec, channel, CBR and SNR; the metrics follow, each as a `Spread`."""

    quantities: tuple[Quantity, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def heads(self) -> tuple[str, ...]:
        """Of the columns."""
        return ("codec", "channel", "CBR", "SNR dB", *(each.label for each in self.quantities))

    def cells(self) -> Iterator[list[str]]:
        """The rows as text."""
        for codec, channel, cbr, snr_db, *values in self.rows:
            told = [s.text(q.digits) for q, s in zip(self.quantities, values, strict=True)]
            yield [codec, channel, cbr, f"{snr_db:g}", *told]

    def __str__(self) -> str:
        lines = [list(self.heads), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = ("  ".join(t.ljust(w) for t, w in zip(x, widths, strict=True)) for x in lines)
        return "\n".join(line.rstrip() for line in padded)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{escape(head)}</th>" for head in self.heads)
        rows = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in self.cells())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


class Results:
    """What `witt.evaluate` measured.

    Args:
        document: plain values, as in the file.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.quantities = read_quantities(document)
        self.results: list[dict[str, Any]] = document["results"]

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Read a file of `save`, or of `witt evaluate`.

        Raises:
            InputError: it is missing, damaged or something else.
        """
        return cls(read_evaluation(Path(path)))

    def save(self, path: str | Path) -> None:
        """Write the JSON, whole or not at all.

        Raises:
            InputError: the file cannot be written.
        """
        write_text(path, to_json(self.document) + "\n")

    def table(self) -> Table:
        """Means and standard deviations over the pictures and draws."""
        rows = [
            (
                result["codec"],
                result["channel_label"],
                result["cbr_label"],
                result["snr_db"],
                *(_spread(result, quantity.key) for quantity in self.quantities),
            )
            for result in self.results
        ]
        return Table(self.quantities, tuple(rows))

    def plot(self, axis: str = "snr", metric: str | None = None) -> Drawing:
        """A panel for each metric, over the SNR or the CBR that was used.

        Args:
            axis: "snr" or "cbr".
            metric: one of them alone, by name or key.

        Raises:
            InputError: another axis or metric.
        """
        from witt.pictures.lines import Line, Panel, draw_lines

        if axis not in ("snr", "cbr"):
            raise InputError(f"there is no axis {axis!r}: choose from snr, cbr")
        drawn = [q for q in self.quantities if metric in (None, q.name, q.key)]
        if not drawn:
            names = ", ".join(quantity.name for quantity in self.quantities)
            raise InputError(f"{metric} was not measured: choose from {names}")
        x, other = ("snr_db", "cbr_label") if axis == "snr" else ("cbr", "snr_db")
        series: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for result in self.results:
            fixed = f"CBR {result[other]}" if axis == "snr" else f"SNR {result[other]:g} dB"
            key: tuple[str, ...] = (result["codec"], result["channel_label"], fixed)
            series.setdefault(key, []).append(result)
        columns = list(zip(*series, strict=True))
        shared = [column[0] for column in columns if len(set(column)) == 1]
        panels = []
        for quantity in drawn:
            lines = []
            for key, cells in series.items():
                points = sorted((cell[x], cell[quantity.key]) for cell in cells)
                told = ", ".join(part for part in key if part not in shared)
                xs, ys = zip(*points, strict=True)
                lines.append(Line(told, xs, ys))
            panels.append(Panel(quantity.axis, lines))
        xlabel = "SNR, Es/N0 (dB)" if axis == "snr" else "CBR, channel uses / (3·H·W)"
        return draw_lines(panels, xlabel, ", ".join(shared))

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each picture, draw and condition.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("to_pandas() needs pandas: pip install pandas") from error
        names = ("codec", "channel", "channel_label", "snr_db", "cbr_requested", "cbr_label")
        rows = [
            {**{name: result[name] for name in names}, **entry}
            for result in self.results
            for entry in result["images"]
        ]
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        codecs = list(dict.fromkeys(result["codec"] for result in self.results))
        count = self.document["images"]
        what = [", ".join(codecs), f"{count} picture{'' if count == 1 else 's'}"]
        what.append(f"{len(self.results)} condition{'' if len(self.results) == 1 else 's'}")
        for quantity in self.quantities:
            means = [result[quantity.key] for result in self.results]
            low, high = (number(bound, quantity.digits) for bound in (min(means), max(means)))
            what.append(f"{quantity.label} {low}" + (f" to {high}" if high != low else ""))
        return f"Results({'; '.join(what)})"

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _spread(result: dict[str, Any], key: str) -> Spread:
    values = [entry[key] for entry in result["images"]]
    return Spread(result[key], float(np.std(values, ddof=1)) if len(values) > 1 else math.nan)


def read_evaluation(path: Path) -> dict[str, Any]:
    """The document of an evaluation, with a codec and a channel's label in each result.

    Raises:
        InputError: missing, damaged or of another format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON, or is damaged or cut short ({error})") from error
    if not isinstance(document, dict) or document.get("format") not in (FORMAT, BEFORE):
        raise InputError(f"{path}: is no result of witt evaluate")
    try:
        return _checked(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error})") from error


def _checked(document: dict[str, Any]) -> dict[str, Any]:
    keys = [key for quantity in read_quantities(document) for key in quantity.columns]
    for result in document["results"]:
        result.setdefault("codec", document.get("weights", {}).get("name", "?"))
        result.setdefault("channel_label", short(result["channel"]))
        for entry in (result, *result["images"]):
            for key in keys:
                entry[key] = math.nan if entry[key] is None else float(entry[key])
    if not document["results"]:
        raise ValueError("there are no results")
    return document
