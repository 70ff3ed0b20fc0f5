"""CIFAR-10 as lossless sheets of 32×32 tiles.

``train_00.webp`` … and ``test_00.webp`` … hold the tiles in rows, read left to right, top to
bottom; the length of ``train_labels.npy`` and ``test_labels.npy`` tells how many are pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from witt.errors import InputError
from witt.pictures.images import Pixels, read_image

TILE = 32
HELD_OUT = 1024  # training pictures kept for validation

Labels = npt.NDArray[np.int64]


def read_sheets(folder: Path, part: str, limit: int | None = None) -> Pixels | None:
    """The first `limit` pictures (n, 32, 32, 3); None where the folder holds no such sheets.

    Args:
        folder: with sheets and labels.
        part: "train" or "test".
        limit: all of them where None.

    Raises:
        InputError: a sheet or the labels are damaged.
    """
    labels, sheets = folder / f"{part}_labels.npy", sorted(folder.glob(f"{part}_*.webp"))
    if not labels.is_file() or not sheets:
        return None
    count = len(_labels(labels))
    wanted = count if limit is None else min(limit, count)
    tiles = np.zeros((0, TILE, TILE, 3), np.uint8)
    for sheet in sheets:
        if len(tiles) < wanted:
            tiles = np.concatenate((tiles, _tiles(sheet)))
    if not 0 < wanted <= len(tiles):
        raise InputError(f"{labels}: {count} labels for sheets of {len(tiles)} tiles")
    return tiles[:wanted]


def held_out(count: int) -> int:
    """How many of the training pictures, the last ones, are kept for validation."""
    return min(HELD_OUT, max(1, count // 4))


def held_out_set(folder: str) -> Iterator[tuple[str, Pixels, int]]:
    """The training pictures that `witt train --val` keeps for validation, as a data set.

    Args:
        folder: with sheets and labels.

    Raises:
        InputError: there are no training pictures in it.
    """
    tiles, labels = read_sheets(Path(folder), "train"), read_labels(Path(folder), "train")
    if tiles is None or labels is None:
        raise InputError(
            f"{folder}: no CIFAR-10 training pictures (train_labels.npy, train_*.webp)"
        )
    first = len(tiles) - held_out(len(tiles))
    for number in range(first, len(tiles)):
        yield f"train-{number:05}", tiles[number], int(labels[number])


def read_labels(folder: Path, part: str, limit: int | None = None) -> Labels | None:
    """The classes (n,) of the first `limit` pictures of sheets; None where there are no labels.

    Args:
        folder, part, limit: as of `read_sheets`.

    Raises:
        InputError: the labels are damaged, or no whole numbers.
    """
    path = folder / f"{part}_labels.npy"
    if not path.is_file():
        return None
    labels = _labels(path)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: {labels.dtype} {labels.shape} are no labels: one whole number a picture"
        )
    return labels[:limit].astype(np.int64)


def _labels(path: Path) -> npt.NDArray[Any]:
    try:
        labels: npt.NDArray[Any] = np.load(path)
        len(labels)  # a single number has none
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise InputError(f"{path}: not a file of labels, or a damaged one") from error
    return labels


def _tiles(sheet: Path) -> Pixels:
    pixels = read_image(sheet).pixels
    height, width = pixels.shape[:2]
    if height % TILE or width % TILE:
        raise InputError(f"{sheet}: {width}x{height} is no sheet of {TILE}x{TILE} tiles")
    grid = pixels.reshape(height // TILE, TILE, width // TILE, TILE, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(-1, TILE, TILE, 3)
