"""The pictures of a sweep: a folder of files, or the CIFAR-10 test set in sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from witt.pictures.images import Pixels, read_image
from witt.pictures.inputs import conversions, gather, pixels_sha256, set_record, set_sha256
from witt.pictures.sets import is_set, read_set
from witt.pictures.sheets import TILE, read_labels, read_sheets
from witt.registry import short

SMALL, CHUNK = 64, 256


@dataclass(frozen=True)
class Dataset:
    """Pictures in a fixed order.

    name: of the folder.
    names: of the pictures; ``None`` for tiles, which are numbered.
    sizes: (height, width) of each.
    paths: of the files; empty for tiles.
    tiles: (n, 32, 32, 3) uint8, or the pictures of a data set by name; or None.
    notes: conversions that were needed, a line each.
    labels: the class of each, where all have one.
    """

    name: str
    names: tuple[str, ...] | None
    sizes: tuple[tuple[int, int], ...]
    paths: tuple[Path, ...] = ()
    tiles: Sequence[Pixels] | Pixels | None = None
    notes: tuple[str, ...] = ()
    labels: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def read(self, index: int) -> Pixels:
        """Picture `index`.

        Raises:
            InputError: its file cannot be read any more.
        """
        return self.tiles[index] if self.tiles is not None else read_image(self.paths[index]).pixels

    @cached_property
    def sha256(self) -> str:
        """Hash of all pixels, in hexadecimal digits: what tells two data sets apart."""
        return set_sha256(
            ((pixels.shape[0], pixels.shape[1]), pixels_sha256(pixels))
            for pixels in map(self.read, range(len(self)))
        )

    @cached_property
    def chunks(self) -> tuple[range, ...]:
        """What is sent in one call: a photograph, or up to 256 neighbours of at most 64×64.

        A scheme may join the pictures of a call in one code block, so this belongs to the result.
        """
        chunks: list[range] = []
        for index, size in enumerate(self.sizes):
            last = chunks[-1] if chunks else range(0)
            joins = max(size) <= SMALL and 0 < len(last) < CHUNK
            if joins and max(self.sizes[last.start]) <= SMALL:
                chunks[-1] = range(last.start, index + 1)
            else:
                chunks.append(range(index, index + 1))
        return tuple(chunks)

    def record(self) -> dict[str, Any]:
        """Plain values for the result file."""
        return set_record(self.name, self.names, self.sizes, self.sha256)


def open_dataset(folder: Path | str, limit: int | None = None) -> Dataset:
    """The first `limit` pictures of a folder, or of a data set by name.

    A folder with ``test_labels.npy`` and sheets ``test_00.webp`` … is the CIFAR-10 test set.

    Raises:
        InputError: there is no picture, or a sheet is damaged.
    """
    if is_set(folder):
        pictures = read_set(folder, limit)
        return Dataset(
            short(str(folder)),
            tuple(picture.name for picture in pictures),
            tuple(picture.size for picture in pictures),
            tiles=[picture.pixels for picture in pictures],
            labels=_all_of([picture.label for picture in pictures]),
        )
    folder = Path(folder)
    name = folder.resolve().name
    tiles = read_sheets(folder, "test", limit)
    if tiles is not None:
        sizes, labels = ((TILE, TILE),) * len(tiles), read_labels(folder, "test", limit)
        own = None if labels is None else tuple(labels.tolist())
        return Dataset(name, None, sizes, tiles=tiles, labels=own)
    files = gather([folder], limit=limit)
    return Dataset(
        name,
        tuple(file.relative.as_posix() for file in files),
        tuple(file.size for file in files),
        tuple(file.path for file in files),
        notes=tuple(conversions(files)),
    )


def _all_of(labels: Sequence[int | None]) -> tuple[int, ...] | None:
    known = tuple(label for label in labels if label is not None)
    return known if len(known) == len(labels) else None


def read_chunk(dataset: Dataset, chunk: Sequence[int]) -> list[Pixels]:
    """The pictures of a chunk."""
    return [dataset.read(index) for index in chunk]
