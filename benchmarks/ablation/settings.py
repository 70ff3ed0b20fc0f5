"""Settings files of `witt ablate`: its options in TOML, and those of `witt train` in a table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from witt.errors import InputError
from witt.training.settings import as_options, load

FOLDER = Path(__file__).parent / "plans"


class Settings(NamedTuple):
    """What a file says.

    own: options of `witt ablate`.
    train: options of `witt train` for all runs.
    """

    own: dict[str, Any]
    train: dict[str, Any]


def shipped() -> dict[str, Path]:
    """The files that come with witt, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def listing() -> str:
    """A line for each of them."""
    return "\n".join(f"{name}: {load(path)['about']}" for name, path in shipped().items())


def read_settings(name: str, own: Iterable[str], train: Iterable[str]) -> Settings:
    """A shipped file, or one's own.

    Args:
        name: of a shipped one, or a file.
        own, train: names of the options that there are.

    Raises:
        InputError: there is no such file, or it has settings that are unknown.
    """
    path = shipped().get(name, Path(name))
    if not path.is_file():
        raise InputError(
            f"--config {name}: no such file; choose from {', '.join(shipped())}, or give a file"
        )
    entries = load(path)
    entries.pop("about", None)
    table = entries.pop("train", {})
    if not isinstance(table, dict):
        raise InputError(f"{path}: train must be a table of settings of witt train: [train]")
    options = as_options(path, entries, own)
    if "presets" in options:
        options["presets"] = [options["presets"]]  # may be repeated on the command line
    return Settings(options, as_options(path, table, train))
