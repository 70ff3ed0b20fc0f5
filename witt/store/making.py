"""Codecs as plain values, and back: which class it is, and what it is made from.

The class is found by its name in the registry of codecs, so that anyone's can be stored: a name of
ours, one of an installed package, or a file and a class in it, which then has to be there.
"""

from __future__ import annotations

from typing import Any

from witt.errors import InputError, one_line
from witt.registry import CODECS

KEY = "codec"


def to_values(codec: Any) -> dict[str, Any]:
    """The class and the config of a codec as plain values for JSON."""
    return {KEY: CODECS.name_of(type(codec)), **codec.plain_config()}


def from_values(values: dict[str, Any]) -> Any:
    """The codec of `to_values`, with random weights.

    Raises:
        InputError: there is no such class, or it does not take these values.
    """
    if not isinstance(values, dict):
        raise InputError(f"a configuration has entries by name, and this is {values!r:.40}")
    values = dict(values)
    name = values.pop(KEY, None) or _earlier(values)
    made = CODECS.find(name)
    try:
        return made.from_config(values)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"codec {name}: {one_line(error)}") from error


def _earlier(values: dict[str, Any]) -> str:
    """Which codec it is in files that do not say so: one kind of config had all three."""
    if values.get("classes"):
        return "classified"
    return "deepjscc" if values.get("network") == "cnn" else "witt"
