"""Training and validation pictures: folders of files and CIFAR-10 sheets."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from witt.errors import InputError
from witt.pictures.finding import find_images
from witt.pictures.images import Pixels, read_image
from witt.pictures.sets import is_set, read_set
from witt.pictures.sheets import TILE, held_out, read_sheets

CACHE_BYTES = 1_500_000_000  # of decoded pictures, shared with the workers where they are forks
NAMED = 20  # skipped files that a warning names


def content_hash(pictures: Iterable[bytes]) -> str:
    """16 digits that tell sets of pictures apart by what they hold, not by names or order."""
    each = sorted(hashlib.sha256(picture).digest() for picture in pictures)
    return hashlib.sha256(b"".join(each)).hexdigest()[:16]


class Sets(NamedTuple):
    """What a run trains and validates on.

    train: pictures to train on.
    val: pictures to validate on, None where none were asked for.
    notes: what the user should know about the two.
    """

    train: Pictures
    val: Pictures | None
    notes: tuple[str, ...]


class Pictures(Sequence[Pixels]):
    """The readable pictures of some files, and tiles; uint8 (H, W, 3).

    Files are decoded at once and kept as long as there is room, later ones when asked for. What
    cannot be read is left out, with one warning that names it.

    Args:
        paths: picture files.
        tiles: (n, 32, 32, 3) more pictures.
        given: further ones, of any size.
        cache_bytes: room for decoded pictures.

    Raises:
        InputError: not one picture can be read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        tiles: Pixels | None = None,
        given: Sequence[Pixels] = (),
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._given = tuple(given)
        self._tiles = np.zeros((0, TILE, TILE, 3), np.uint8) if tiles is None else tiles
        self._cache: list[Pixels] = []
        good: list[Path] = []
        bad: list[InputError] = []
        for number, path in enumerate(paths):
            try:
                pixels = read_image(path).pixels
            except InputError as error:
                bad.append(error)
                continue
            good.append(path)
            cache_bytes -= pixels.nbytes
            if cache_bytes < 0:  # the rest is looked at when its turn comes
                good += paths[number + 1 :]
                break
            self._cache.append(pixels)
        self.paths = tuple(good)
        if bad and len(self):
            shown = "; ".join(map(str, bad[:NAMED]))
            more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
            files = "1 file" if len(bad) == 1 else f"{len(bad)} files"
            warnings.warn(f"skipped {files}: {shown}{more}", stacklevel=2)
        if not len(self):
            reason = f" ({bad[0]})" if bad else ""
            raise InputError(f"not one of the pictures can be read{reason}")

    def __len__(self) -> int:
        return len(self.paths) + len(self._tiles) + len(self._given)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them decoded; where not all were looked at yet, an estimate."""
        known = sum(pixels.nbytes for pixels in self._cache)
        given = self._tiles.nbytes + sum(pixels.nbytes for pixels in self._given)
        return given + known * len(self.paths) // max(len(self._cache), 1)

    def __getitem__(self, index: int) -> Pixels:  # type: ignore[override]
        """The picture `index`.

        Raises:
            InputError: the file cannot be read; only where there was no room to look before.
        """
        if index < len(self._cache):
            return self._cache[index]
        if index < len(self.paths):
            return read_image(self.paths[index]).pixels
        index -= len(self.paths)
        if index < len(self._tiles):
            return self._tiles[index]
        return self._given[index - len(self._tiles)]

    def name(self, index: int) -> str:
        """The file of a picture, or the number of a tile."""
        if index < len(self.paths):
            return str(self.paths[index])
        return f"picture {index - len(self.paths)}"

    def content(self) -> str:
        """`content_hash` of the files and tiles; reads every file once."""

        def parts() -> Iterator[bytes]:
            for path in self.paths:
                with suppress(OSError):  # what cannot be read any more is skipped in training too
                    yield path.read_bytes()
            yield from (tile.tobytes() for tile in self._tiles)
            yield from (f"{p.shape} ".encode() + p.tobytes() for p in self._given)

        return content_hash(parts())

    def __getstate__(self) -> dict[str, Any]:
        # Workers that are not forks get the names and decode for themselves.
        return {**self.__dict__, "_cache": []}


def open_sets(data: Sequence[str | Path], val: Sequence[str | Path], share: float = 1.0) -> Sets:
    """Training and validation pictures of some folders, or data sets by name.

    A folder of CIFAR-10 sheets gives its training pictures; as validation folder the last 1,024
    of them, which are then not trained on. Its test set is for reporting and is never touched.

    Args:
        data, val: the folders.
        share: of the training pictures to keep, of files and sheets alike; those of a smaller
            share are among those of a larger one.

    Raises:
        InputError: a folder is missing or holds no readable picture.
    """
    notes = []
    held = {Path(folder).resolve() for folder in val}
    train_paths, train_tiles, train_given = [], [], []
    for folder in data:
        if is_set(folder):
            train_given += [picture.pixels for picture in read_set(folder)]
            continue
        sheets = training_sheets(Path(folder))
        if sheets is None:
            train_paths.append(folder)
        elif Path(folder).resolve() in held:
            train_tiles.append(sheets[: -held_out(len(sheets))])
        else:
            train_tiles.append(sheets)
    val_paths, val_tiles, val_given = [], [], []
    for folder in val:
        if is_set(folder):
            val_given += [picture.pixels for picture in read_set(folder)]
            continue
        sheets = training_sheets(Path(folder))
        if sheets is None:
            val_paths.append(folder)
        else:
            val_tiles.append(sheets[-held_out(len(sheets)) :])
            notes.append(
                f"{folder}: the last {held_out(len(sheets))} CIFAR-10 training pictures are held "
                "out for validation; the test set is not touched"
            )
    train = _pictures(train_paths, train_tiles, train_given, share)
    if not val:
        return Sets(train, None, tuple(notes))
    validation = _pictures(val_paths, val_tiles, val_given)
    both = {os.path.realpath(p) for p in train.paths} & {
        os.path.realpath(p) for p in validation.paths
    }
    if both:
        notes.append(f"{len(both)} validation pictures are also trained on: {sorted(both)[0]} …")
    return Sets(train, validation, tuple(notes))


def _pictures(
    folders: Sequence[str | Path],
    tiles: Sequence[Pixels],
    given: Sequence[Pixels],
    share: float = 1.0,
) -> Pictures:
    paths = [found.path for found in find_images(folders)] if folders else []
    together = np.concatenate(tiles) if tiles else None
    if share < 1:
        paths, given = ([each[i] for i in _chosen(len(each), share)] for each in (paths, given))
        together = None if together is None else together[_chosen(len(together), share)]
    return Pictures(paths, together, given)


def _chosen(count: int, share: float) -> NDArray[np.int64]:
    """Which pictures of `count` a share is, at least one where there is one."""
    kept = min(count, max(1, round(share * count)))
    return np.sort(np.random.default_rng(0).permutation(count)[:kept])


def training_sheets(folder: Path) -> Pixels | None:
    """Training pictures of a folder of CIFAR-10 sheets, None where it is none.

    Raises:
        InputError: damaged, fewer than 2, or there is only the test set.
    """
    tiles = read_sheets(folder, "train")
    if tiles is None and (folder / "test_labels.npy").is_file():
        raise InputError(
            f"{folder}: only the CIFAR-10 test set is here, which is for reporting; "
            "training needs train_labels.npy and train_*.webp"
        )
    if tiles is not None and len(tiles) < 2:
        raise InputError(f"{folder}: one CIFAR-10 training picture, which is too few")
    return tiles
