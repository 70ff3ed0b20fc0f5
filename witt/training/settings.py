"""Settings files: the options of `witt train` in TOML or JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from witt.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LISTS = ("data", "val", "set")  # options that may be given several times
NAME = re.compile(r"[^\W\d][^,\s\[\]{}\"]*|[.~/][^,\s\[\]{}\"]*")  # of ours, or file.py:name


def read_settings(path: Path, known: Iterable[str]) -> dict[str, Any]:
    """The settings in a file, in the form that options take.

    Args:
        path: TOML, or JSON where its name ends in ``.json``.
        known: names of the options, with underscores.

    Raises:
        InputError: the file cannot be read, or holds unknown names.
    """
    return as_options(path, load(path), known)


def as_options(path: Path, entries: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Settings in the form that options take.

    Names are those of the options, with hyphens or underscores. The ``config.json`` of a run is
    one such file.

    Args:
        path: where they come from, for messages.
        entries: as in the file.
        known: names of the options, with underscores.

    Raises:
        InputError: unknown names, or values of a wrong kind.
    """
    values = {name.replace("-", "_"): value for name, value in entries.items()}
    if values.pop("snr_is_range", False) and isinstance(values.get("snr"), (list, tuple)):
        values["snr"] = ":".join(map(str, values["snr"]))
    if isinstance(values.get("snr_first"), (list, tuple)):  # always a range
        values["snr_first"] = ":".join(map(str, values["snr_first"]))
    if "overrides" in values:
        values.setdefault("set", values.pop("overrides"))
    if "out" in values:
        values["output"] = values.pop("out")
    names = sorted(set(known))
    unknown = [name for name in values if name not in names]
    if unknown:
        raise InputError(
            f"{path}: unknown setting {', '.join(map(repr, unknown))}; choose from "
            + ", ".join("out" if name == "output" else name for name in names)
        )
    return {name: _as_option(path, name, v) for name, v in values.items() if v is not None}


def load(path: Path) -> dict[str, Any]:
    """What a TOML or JSON file holds.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path}: cannot be read: {reason}") from error
    try:
        values = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a settings file: {reason}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a settings file: it must hold names and values")
    return values


def _as_option(path: Path, name: str, value: Any) -> Any:
    if name == "set":
        if not isinstance(value, dict):
            raise InputError(f"{path}: set must be a table of names and values")
        return [f"{key}={json.dumps(entry)}" for key, entry in value.items()]
    if name in LISTS:
        return [str(entry) for entry in (value if isinstance(value, list) else [value])]
    if isinstance(value, dict):
        raise InputError(f"{path}: {name} must be a value or a list")
    # As text, which the option checks: a number that is not whole must not become one.
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """``KEY=VALUE`` as arguments of a preset; values in JSON, numbers with commas, or a name.

    Raises:
        InputError: no KEY=VALUE, or no such value.
    """
    overrides = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set {pair}: write KEY=VALUE, as --set depths=2,2,4")
        listed = f"[{text}]" if "," in text and not text.startswith("[") else text
        try:
            value = json.loads(listed.lower())
        except ValueError as error:
            if not NAME.fullmatch(text):
                raise InputError(
                    f"--set {pair}: the value must be a number, a list as 2,2,4, true, false or a "
                    "name"
                ) from error
            value = text
        overrides[key.strip().replace("-", "_")] = value
    return overrides
