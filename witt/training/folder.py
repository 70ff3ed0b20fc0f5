"""The folder of a run, which one run has to itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from witt.files import ensure_writable_folder
from witt.lock import sole_writer
from witt.training.processes import Processes


@contextmanager
def sole_run(out: Path, processes: Processes) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs; of several processes one locks it.

    A folder that is made for a run that cannot begin is gone again.

    Raises:
        InputError: another run has it, or it cannot be written.
    """
    with ExitStack() as stack:
        with processes.alike():
            if processes.first:
                stack.enter_context(_made(out))
                stack.enter_context(sole_writer(out))
        yield


@contextmanager
def _made(out: Path) -> Iterator[None]:
    """Make a folder and its parents; those that are then still empty go with the block."""
    new = [folder for folder in (out, *out.parents) if not os.path.exists(folder)]
    try:
        ensure_writable_folder(out)
        yield
    finally:
        for folder in new:
            with suppress(OSError, ValueError):  # has something in it, or was never made
                folder.rmdir()
