"""Data sets by name: those of installed packages, and functions of users' own.

def my_set(count: int = 10):
    for n in range(count):
        yield f"picture-{n}", pixels        # (H, W, 3) uint8; or name, pixels, label

witt evaluate ./mine.py:my_set:count=4
"""

from __future__ import annotations

import itertools
import operator
import os
from typing import Any, NamedTuple

import numpy as np

from witt.errors import InputError, one_line
from witt.pictures.images import Pixels
from witt.registry import DATASETS, is_path, parse


class Named(NamedTuple):
    """A picture of a data set, with the number of its class where the set tells it."""

    name: str
    pixels: Pixels
    label: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def is_set(text: object) -> bool:
    """Whether this is the name of a data set, and no file or folder."""
    target = parse(str(text)).target
    return not os.path.exists(str(text)) and (is_path(target) or target in DATASETS.names())


def read_set(text: object, limit: int | None = None) -> list[Named]:
    """The first `limit` pictures of a data set.

    Raises:
        InputError: there is none, or it gives something else than names and pictures.
    """
    name = str(text)
    try:
        found = list(itertools.islice(DATASETS.make(name), limit))
    except InputError:
        raise
    except Exception as error:  # whatever a stranger's function raises
        what = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"data set {name}: {what}") from error
    if not found:
        raise InputError(f"data set {name}: has no picture")
    pictures = [_checked(name, entry) for entry in found]
    twice = len(pictures) - len({picture.name for picture in pictures})
    if twice:
        raise InputError(f"data set {name}: {twice} pictures have the name of another one")
    return pictures


def _checked(name: str, entry: Any) -> Named:
    try:
        title, pixels, *more = entry
        (label,) = map(operator.index, more) if more else (None,)
    except (TypeError, ValueError):
        raise InputError(
            f"data set {name}: gives no pairs of a name and pixels, nor (name, pixels, label) with "
            "a whole number as label"
        ) from None
    fits = isinstance(pixels, np.ndarray) and pixels.ndim == 3 and pixels.shape[2] == 3
    if not fits or pixels.dtype != np.uint8 or 0 in pixels.shape:
        told = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else repr(pixels)
        raise InputError(f"data set {name}: {title} must be uint8 (H, W, 3), not {told[:80]}")
    return Named(str(title), np.ascontiguousarray(pixels), label)
