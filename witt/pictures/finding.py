"""Picture files in what a user named: files, folders, and what to leave out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from witt.errors import InputError, one_line
from witt.pictures import heif, png
from witt.pictures.duplicates import identity, same_content
from witt.pictures.kinds import HEIC, OTHERS, READ
from witt.pictures.writing import HEADER_END, MARK

NAMED = 3


class Found(NamedTuple):
    """A picture to work on.

    Attributes:
        path: Where it is.
        relative: Its name in the output: no two have the same folder and stem.
    """

    path: Path
    relative: Path


def find_images(inputs: Sequence[str | Path]) -> list[Found]:
    """The pictures named by files and folders.

    A file is taken as it is, whatever its name; a folder is walked, its pictures known by their
    extension, sorted, hidden ones skipped. A picture named twice is taken once. A folder's
    results of this program (`mark_png`), further links to a picture, and pictures of kinds that
    are not read are left out with a warning; of equal files a warning tells.

    The relative name is the file's own, or its path below the folder. Names that would share
    a folder and stem, which outputs are named by, are told apart, all of them in the same way:
    ``x.png`` and ``x.jpg`` become ``x_png.png`` and ``x_jpg.jpg`` where that suffices, else the
    folder goes in front (``a/x.png`` and ``b/x.png``), else both, and what is then still equal
    is numbered (``a/x_2.png``). Upper and lower case count as equal, as some file systems do.

    Raises:
        InputError: An input does not exist, or a folder has no picture or cannot be read.
    """
    entries: dict[object, tuple[Found, str]] = {}
    links: dict[Path, Path] = {}
    for path in map(Path, inputs):
        # Path.is_dir raises for names that no file can have.
        is_folder = os.path.isdir(path)
        folder = Path(os.path.abspath(path if is_folder else path.parent)).name
        for found in _walk(path) if is_folder else [_file(path)]:
            first, _ = entries.setdefault(identity(found.path), (found, folder))
            if os.path.abspath(first.path) != os.path.abspath(found.path):
                links[found.path] = first.path
    if links:
        pairs = [f"{link} is {first}" for link, first in links.items()]
        warnings.warn(f"linked pictures are taken once: {_some(pairs)}", stacklevel=2)
    found_all = _tell_apart(list(entries.values()))
    for group in same_content([found.path for found in found_all]):
        warnings.warn(f"the same file under {len(group)} names: {_some(group)}", stacklevel=2)
    return found_all


def _file(path: Path) -> Found:
    try:
        path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from error
    return Found(path, Path(path.name))


def _walk(root: Path) -> list[Found]:
    """The pictures below a folder, in the order of their relative names."""
    readable = READ | HEIC if heif.is_installed() else READ
    files = sorted(
        (folder / name for folder, names in _folders(root) for name in names),
        key=lambda path: path.relative_to(root).parts,
    )
    pictures = [path for path in files if path.suffix.lower() in readable]
    results = [path for path in pictures if _is_result(path)]
    notes = []
    if results:
        notes.append(_note(results, "written by this program", "name them to take them"))
    others = [path for path in files if path.suffix.lower() in OTHERS]
    if others:
        notes.append(_note(others, "of kinds that cannot be read", "save them as PNG"))
    if HEIC - readable:
        heic = [path for path in files if path.suffix.lower() in HEIC]
        if heic:
            notes.append(_note(heic, "HEIC", f"to read them: {heif.INSTALL}"))
    skipped = set(results)
    pictures = [path for path in pictures if path not in skipped]
    if not pictures:
        why = "; ".join(notes) or " ".join(sorted(readable))
        raise InputError(f"{root}: no pictures in this folder ({why})")
    for note in notes:
        warnings.warn(f"{root}: left out {note}", stacklevel=3)
    return [Found(path, path.relative_to(root)) for path in pictures]


def _is_result(path: Path) -> bool:
    """Whether a file has the mark of `mark_png`."""
    try:
        # Opening a pipe would wait for ever.
        if path.suffix.lower() != ".png" or not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(HEADER_END + 4 + len(MARK))
    except OSError:
        return False
    return head.startswith(png.SIGNATURE) and head[HEADER_END + 4 :] == MARK


def _note(paths: Sequence[Path], what: str, remedy: str) -> str:
    files = "1 file" if len(paths) == 1 else f"{len(paths)} files"
    return f"{files} {what} ({_some(path.name for path in paths)}; {remedy})"


def _some(things: Iterable[object]) -> str:
    """The first few of some things by name, and how many more there are."""
    names = list(map(str, things))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder with the files in it, hidden ones left out, links followed once."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {one_line(error)}") from error

    seen: set[str] = set()
    for folder, below, names in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            warnings.warn(f"{folder}: leads to a folder walked already; left out", stacklevel=4)
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield Path(folder), [name for name in names if not name.startswith(".")]


def _tell_apart(entries: list[tuple[Found, str]]) -> list[Found]:
    """Rename relative paths until no two share a folder and stem."""
    names = [found.relative for found, _ in entries]
    for group in _groups(names):
        for way in (_with_suffix, _with_folder, _with_both):
            candidates = [way(names[index], entries[index][1]) for index in group]
            if len({_key(name) for name in candidates}) == len(group):
                break
        for index, candidate in zip(group, candidates, strict=True):
            names[index] = candidate
    # Some have no name of their own, and a new name may be that of another picture.
    groups = _groups(names)
    taken = {_key(name) for name in names} if groups else set()
    for group in groups:
        for index in group[1:]:
            number = 2
            while _key(numbered := _with_number(names[index], number)) in taken:
                number += 1
            names[index] = numbered
            taken.add(_key(numbered))
    return [Found(found.path, name) for (found, _), name in zip(entries, names, strict=True)]


def _groups(names: list[Path]) -> list[list[int]]:
    """The indices of names that share a folder and stem."""
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(_key(name), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _key(relative: Path) -> str:
    return relative.with_name(relative.stem).as_posix().casefold()


def _with_suffix(relative: Path, _: str) -> Path:
    return relative.with_name(f"{relative.stem}_{relative.suffix[1:]}{relative.suffix}")


def _with_folder(relative: Path, folder: str) -> Path:
    return folder / relative


def _with_both(relative: Path, folder: str) -> Path:
    return folder / _with_suffix(relative, folder)


def _with_number(relative: Path, number: int) -> Path:
    return relative.with_name(f"{relative.stem}_{number}{relative.suffix}")
