"""The file of `witt evaluate --grid`: which models, and which channels and pictures they meet.

[[model]]                       # a row
weights = "deepjscc"            # as --weights; its name, unless there is a `name`

[[domain]]                      # a column
name = "photographs, Rayleigh"
channel = "rayleigh"            # as --channel; awgn where it is left out
data = "photos"                 # as DIR of witt evaluate
limit = 4                       # the first so many pictures; all where it is left out
specialist = "deepjscc"         # name of the model that was trained for it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.given import codec_label
from witt.training.settings import load

T = TypeVar("T")


@dataclass(frozen=True)
class ModelEntry:
    """A row as it is written."""

    weights: str
    name: str = ""


@dataclass(frozen=True)
class DomainEntry:
    """A column as it is written."""

    data: str
    channel: str = "awgn"
    name: str = ""
    limit: int | None = None
    specialist: str = ""


@dataclass(frozen=True)
class Grid:
    """Rows and columns, each with a name of its own."""

    models: tuple[ModelEntry, ...]
    domains: tuple[DomainEntry, ...]


def read_grid(path: Path) -> Grid:
    """A file of TOML or JSON.

    Raises:
        InputError: it cannot be read, or is no grid; the message names the entry.
    """
    tables = load(path)
    unknown = sorted(set(tables) - {"model", "domain"})
    if unknown:
        raise InputError(f"{path}: unknown {unknown[0]!r}: a grid has [[model]] and [[domain]]")
    models = [
        _named(entry, codec_label(entry.weights))
        for entry in _entries(path, tables, "model", ModelEntry, "weights")
    ]
    domains = [
        _named(entry, f"{Path(entry.data).name or entry.data}, {_link(path, entry)}")
        for entry in _entries(path, tables, "domain", DomainEntry, "data")
    ]
    for kind, names in (("model", [m.name for m in models]), ("domain", [d.name for d in domains])):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{path}: two entries of [[{kind}]] are called {twice!r}")
    known = [model.name for model in models]
    for domain in domains:
        if domain.limit is not None and domain.limit < 1:
            raise InputError(f"{path}: [[domain]] {domain.name}: limit = {domain.limit}: 1 or more")
        if domain.specialist and domain.specialist not in known:
            raise InputError(
                f"{path}: [[domain]] {domain.name}: there is no model called "
                f"{domain.specialist!r}; choose from {', '.join(known)}"
            )
    return Grid(tuple(models), tuple(domains))


def _named(entry: Any, name: str) -> Any:
    return entry if entry.name else type(entry)(**{**vars(entry), "name": name})


def _link(path: Path, entry: DomainEntry) -> Link:
    try:
        return Link.of(entry.channel)
    except InputError as error:
        raise InputError(f"{path}: [[domain]] {entry.data}: {error}") from error


def _entries(
    path: Path, tables: Mapping[str, Any], kind: str, form: type[T], needed: str
) -> Sequence[T]:
    listed = tables.get(kind)
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{path}: not a grid: it has no [[{kind}]]")
    kinds = {each.name: int if each.name == "limit" else str for each in fields(form)}  # type: ignore[arg-type]
    made = []
    for number, table in enumerate(listed, start=1):
        where = f"{path}: [[{kind}]] {number}"
        if not isinstance(table, dict):
            raise InputError(f"{where}: must be a table of names and values")
        if needed not in table:
            raise InputError(f"{where}: has no {needed}")
        for name, value in table.items():
            if name not in kinds:
                raise InputError(f"{where}: unknown {name!r}; choose from {', '.join(kinds)}")
            if type(value) is not kinds[name]:
                what = "a whole number" if kinds[name] is int else "text"
                raise InputError(f"{where}: {name} = {value!r}: must be {what}")
        made.append(form(**table))
    return made
