"""Finding the pictures that were asked for, and writing what came of them."""

import os
import uuid
from pathlib import Path

from witt.errors import InputError, one_line


def ensure_writable_folder(path: str | Path) -> Path:
    """Make a folder and its parents where they are missing, and check that it takes files.

    Raises:
        InputError: It is a file, or cannot be made or written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Permission bits say little (root, read-only and network file systems), so try.
        probe = _temporary(path)
        probe.touch(exist_ok=False)
        probe.unlink()
    except FileExistsError as error:
        raise InputError(f"{path}: is a file, not a folder for the output") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written: {one_line(error)}") from error
    return path


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text as it is, whole or not at all.

    Raises:
        InputError: The file cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes under a temporary name in the same folder, then rename.

    Raises:
        InputError: The file cannot be written.
    """
    path = Path(path)
    temporary = _temporary(path.parent)
    try:
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written: {one_line(error)}") from error


def _temporary(folder: Path) -> Path:
    # Not the name plus something: that could be longer than a name may be.
    return folder / f".{uuid.uuid4().hex}.tmp"
