"""Files that are one file, and files that hold the same bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

SHORT = 1 << 16  # bytes that tell most files of one size apart
BLOCK = 1 << 20


def identity(path: Path) -> tuple[int, int] | str:
    """What two names of one file share: symbolic and hard links are followed.

    Where a file cannot be looked at, or the system does not number its files, the real path.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return os.path.abspath(path)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def same_content(paths: Sequence[Path]) -> list[list[Path]]:
    """Groups of files that hold the same bytes, empty and unreadable files left out.

    Only files of one size are read, and as a whole only where they begin alike.
    """
    groups = [list(paths)]
    for key in (_size, _beginning, _whole):
        groups = [part for group in groups for part in _split(group, key)]
    return groups


def _split(paths: Sequence[Path], key: Callable[[Path], object]) -> list[list[Path]]:
    parts: dict[object, list[Path]] = {}
    for path in paths:
        try:
            value = key(path)
        except (OSError, ValueError):
            continue
        if value:
            parts.setdefault(value, []).append(path)
    return [part for part in parts.values() if len(part) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(SHORT)).digest()


def _whole(path: Path) -> bytes:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            sha.update(block)
    return sha.digest()
