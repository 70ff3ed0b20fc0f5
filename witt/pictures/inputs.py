"""The pictures that a command was given, all of them read once before work starts."""

from __future__ import annotations

import hashlib
import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from witt.errors import InputError
from witt.pictures.finding import find_images
from witt.pictures.images import Pixels, as_pixels, read_image
from witt.pictures.sets import is_set, read_set
from witt.pictures.sheets import TILE, read_labels, read_sheets

NAMED = 3


class Input(NamedTuple):
    """A picture that can be read.

    path: where it is.
    relative: its name in the output, unique by folder and stem.
    size: (height, width) in pixels.
    notes: the conversions it needs.
    sha256: of the pixels.
    tile: the pixels of a picture that is no file: one of CIFAR-10, whose `path` is the folder of
        the sheets, one of a data set by name, whose `path` is that name, or one that is in memory,
        without a path.
    label: the number of its class, where its data set tells it.
    """

    path: Path
    relative: Path
    size: tuple[int, int]
    notes: tuple[str, ...]
    sha256: bytes = b""
    tile: Pixels | None = None
    label: int | None = None

    def read(self) -> Pixels:
        """The pixels.

        Raises:
            InputError: the file cannot be read any more.
        """
        return read_image(self.path).pixels if self.tile is None else self.tile

    def __str__(self) -> str:
        return str(self.path if self.tile is None else self.path / self.relative)


def gather(
    inputs: Sequence[Path], *, output: Path | None = None, limit: int | None = None
) -> list[Input]:
    """Read every picture once and keep those that can be read, without their pixels.

    What a folder holds and cannot be read is skipped with a warning.

    Args:
        inputs: files and folders.
        output: the folder for the output; where it lies inside an input folder, what an earlier
            run left there is no input.
        limit: how many pictures to take at most.

    Raises:
        InputError: a file given directly cannot be read, or a folder has nothing that can be.
    """
    named = {os.path.abspath(path) for path in inputs if not os.path.isdir(path)}
    folders = [Path(os.path.abspath(path)) for path in inputs if os.path.isdir(path)]
    kept: list[Input] = []
    bad: set[Path] = set()  # folders of which something was skipped, less those with a picture
    good: set[Path] = set()
    for found in find_images(inputs):
        place = Path(os.path.abspath(found.path))
        direct = str(place) in named
        within = {folder for folder in folders if place.is_relative_to(folder)}
        if not direct and output is not None and _is_left_over(place, folders, output):
            bad |= within
            continue
        if limit is not None and len(kept) >= limit:
            good |= bad
            break
        try:
            picture = read_image(found.path)
        except InputError as error:
            if direct:
                raise
            warnings.warn(f"{error}; skipped", stacklevel=2)
            bad |= within
            continue
        height, width = picture.pixels.shape[:2]
        size, digest = (height, width), pixels_sha256(picture.pixels)
        kept.append(Input(found.path, found.relative, size, picture.notes, digest))
        good |= within
    if bad - good:
        raise InputError(f"{min(bad - good)}: no picture in this folder can be read")
    return kept


def gather_with_sheets(inputs: Sequence[Path], *, limit: int | None = None) -> list[Input]:
    """As `gather`; a folder of CIFAR-10 sheets is its test set, picture by picture, and last.

    Data sets by name (`witt.pictures.sets`) come before those.

    Raises:
        InputError: as `gather`, or a sheet or its labels are damaged.
    """
    tiles: list[Input] = []
    others: list[Path] = []
    named: list[Input] = []
    for path in map(Path, inputs):
        if is_set(path):
            named += [
                Input(
                    path, Path(one.name), one.size, (), pixels_sha256(one.pixels), one.pixels,
                    one.label,
                )
                for one in read_set(path, limit)
            ]  # fmt: skip
            continue
        sheets = read_sheets(path, "test", limit) if os.path.isdir(path) else None
        if sheets is None:
            others.append(path)
        else:
            labels = read_labels(path, "test", limit)
            own = itertools.repeat(None) if labels is None else labels.tolist()
            tiles += [
                Input(
                    path, Path(f"test-{number:05}"), (TILE, TILE), (), pixels_sha256(tile), tile,
                    label,
                )
                for number, (tile, label) in enumerate(zip(sheets, own, strict=False))
            ]  # fmt: skip
    pictures = gather(others, limit=limit) if others else []
    return [*pictures, *named, *tiles][:limit]


def without_label(pictures: Sequence[Input]) -> Input | None:
    """The first picture whose class is not known; None where all are."""
    return next((picture for picture in pictures if picture.label is None), None)


def gather_any(images: Any) -> list[Input]:
    """Pictures of any kind: paths, folders, PIL images, arrays and tensors, or a list of these.

    Args:
        images: an array (H, W, 3) or (B, H, W, 3) uint8, or a tensor (3, H, W) or (B, 3, H, W) in
            [0, 1], is one too.

    Raises:
        InputError: as `gather_with_sheets`; or it is something else, or nothing.
    """
    inputs: list[Input] = []
    for number, each in enumerate(_flat(images)):
        if isinstance(each, (str, Path)):
            inputs += gather_with_sheets([Path(each)])
        else:
            pixels = as_pixels(each)
            size, name = (pixels.shape[0], pixels.shape[1]), Path(f"picture-{number}")
            inputs.append(Input(Path(), name, size, (), pixels_sha256(pixels), pixels))
    if not inputs:
        raise InputError("there are no pictures")
    return inputs


def _flat(images: Any) -> Iterator[Any]:
    if isinstance(images, (list, tuple)):
        for each in images:
            yield from _flat(each)
    elif getattr(images, "ndim", 0) == 4:  # an array or tensor of several
        yield from images
    else:
        yield images


def pixels_sha256(pixels: Pixels) -> bytes:
    """Hash of the pixels of a picture."""
    return hashlib.sha256(pixels.tobytes()).digest()


def record_of(pictures: Sequence[Input], name: str) -> dict[str, Any]:
    """What a result file says of its pictures: the hash of all their pixels tells sets apart.

    Args:
        pictures: in the order of the results.
        name: of their folder.
    """
    tiles = all(picture.tile is not None and picture.size == (TILE, TILE) for picture in pictures)
    names = None if tiles else [picture.relative.as_posix() for picture in pictures]
    digest = set_sha256((picture.size, picture.sha256) for picture in pictures)
    return set_record(name, names, [picture.size for picture in pictures], digest)


def set_sha256(pictures: Iterable[tuple[tuple[int, int], bytes]]) -> str:
    """Hash of all pixels, in hexadecimal digits, from the size and `pixels_sha256` of each."""
    sha = hashlib.sha256()
    for size, digest in pictures:
        sha.update(f"{(*size, 3)} ".encode() + digest)
    return sha.hexdigest()


def set_record(
    name: str, names: Sequence[str] | None, sizes: Sequence[tuple[int, int]], sha256: str
) -> dict[str, Any]:
    """Plain values for a result file; pictures of one size are not listed one by one."""
    different = sorted(set(sizes))
    return {
        "name": name,
        "pictures": len(sizes),
        "sha256": sha256,
        "names": None if names is None else list(names),
        "sizes": [list(size) for size in (different if len(different) == 1 else sizes)],
    }


def conversions(pictures: Sequence[Input]) -> list[str]:
    """One line for each kind of conversion, with the pictures that needed it."""
    by_note: dict[str, list[str]] = {}
    for picture in pictures:
        for note in picture.notes:
            by_note.setdefault(note, []).append(str(picture.path))
    lines = []
    for note, paths in by_note.items():
        more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        lines.append(f"{', '.join(paths[:NAMED])}{more}: {note}")
    return lines


def _is_left_over(place: Path, folders: Sequence[Path], output: Path) -> bool:
    """Whether a picture lies in the output folder and that lies inside an input folder."""
    out = Path(os.path.abspath(output))
    inside = any(out != folder and out.is_relative_to(folder) for folder in folders)
    return inside and place.is_relative_to(out)
