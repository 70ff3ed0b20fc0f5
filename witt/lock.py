"""One process at a time writes an output."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from witt.errors import InputError


@contextmanager
def sole_writer(output: Path) -> Iterator[None]:
    """Keep other processes from writing `output` (a file or a folder) while the block runs.

    The lock is a file beside the output, or in it where it is a folder. The system takes it back
    from a process that dies, so no stale lock is ever in the way.

    Raises:
        InputError: another process has it.
    """
    inside = output.is_dir()
    path = output / ".lock" if inside else output.with_name(f".{output.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"{output}: another witt process is writing it: wait for it to end, "
            "or choose another --out"
        ) from None
    except OSError as error:  # a file system without locks, such as some network drives
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise InputError(f"{output}: cannot be written there ({error.strerror})") from error
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held, so that a waiter finds it gone and asks anew
            path.unlink()
        lock.release()
