"""What the commands print: JSON, tables, versions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

NAMED = 3


def console(*, err: bool = False) -> Console:
    """Where tables go; wide enough for all of them where it is not a terminal."""
    screen = Console(stderr=err, highlight=False)
    return screen if screen.is_terminal else Console(stderr=err, highlight=False, width=200)


def table(title: str | None, *columns: str) -> Table:
    """An empty table whose first column is text, which may wrap, and the others are numbers."""
    result = Table(
        title=None if title is None else plain(title, "bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for index, column in enumerate(columns):
        justify: JustifyMethod = "right" if index else "left"
        least = None if index else 6
        result.add_column(
            column, justify=justify, overflow="fold", no_wrap=index > 0, min_width=least
        )
    return result


def plain(text: object, style: str = "") -> Text:
    """Text as it is: a file name may hold what rich takes for markup, or no UTF-8."""
    return Text(str(text).encode("utf-8", "replace").decode(), style)


def some(names: Iterable[str]) -> str:
    """The first names, each once, and how many more there are."""
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - NAMED} more" if len(each) > NAMED else ""
    return ", ".join(each[:NAMED]) + more


def number(value: float, digits: int = 2) -> str:
    """A number for a table, "–" where there is none."""
    # Rounded first: what rounds to zero has no sign.
    return "–" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def to_json(value: Any, indent: int | None = 2) -> str:
    """JSON with null for NaN and infinities, which JSON does not have; one line without indent."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value


def version() -> str:
    """Version of the installed package."""
    try:
        return metadata.version("witt")
    except metadata.PackageNotFoundError:
        return "not installed"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
