"""HEIC files, with pillow-heif where it is installed."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import IO

from witt.errors import InputError

BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
INSTALL = "pip install pillow-heif"
HEADERS = 1 << 16  # bytes among which the colour box lies
BOX = b"colrnclx"


def is_installed() -> bool:
    """Whether HEIC files can be read."""
    return find_spec("pillow_heif") is not None


def is_heif(head: bytes) -> bool:
    """Whether a file that begins like this may be HEIC (or, with the general brands, AVIF)."""
    return head[4:8] == b"ftyp" and head[8:12] in BRANDS


def register(path: object) -> None:
    """Teach Pillow the format.

    Raises:
        InputError: pillow-heif is not installed.
    """
    if not is_installed():
        raise InputError(f"{path}: is a HEIC picture; to read it: {INSTALL}")
    importlib.import_module("pillow_heif").register_heif_opener()


def code_points(file: IO[bytes]) -> tuple[int, int] | None:
    """Colour primaries and transfer function of an AVIF or HEIC file that has no profile."""
    if file.closed:
        return None
    file.seek(0)
    head = file.read(HEADERS)
    at = head.find(BOX) + len(BOX)
    if at < len(BOX) or len(head) < at + 4:
        return None
    return int.from_bytes(head[at : at + 2], "big"), int.from_bytes(head[at + 2 : at + 4], "big")
