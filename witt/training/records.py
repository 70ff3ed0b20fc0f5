"""What a run leaves to read: a log of JSON lines, and TensorBoard scalars."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from witt.errors import InputError
from witt.report import to_json
from witt.training.checkpoint import LOG

NO_TENSORBOARD = "TensorBoard is not installed, so there is only log.jsonl: pip install witt[train]"


class Records:
    """Writes ``log.jsonl`` and, where TensorBoard is installed, its files in ``tensorboard/``.

    Args:
        out: the run's folder.
        tensorboard: None writes scalars where it is installed.
        step: steps done when the run is resumed; what TensorBoard has beyond them is dropped.
        silent: write nothing: of several processes one writes.

    Raises:
        InputError: the log of a resumed run cannot be written.
    """

    def __init__(
        self, out: Path, tensorboard: bool | None, step: int, silent: bool = False
    ) -> None:
        self.path, self.silent = out / LOG, silent
        self.board: Any = None
        self.note: str | None = None
        if not silent:
            _mend(self.path)
        installed = importlib.util.find_spec("tensorboard") is not None
        if tensorboard and not installed:
            self.note = NO_TENSORBOARD
        if installed and tensorboard is not False and not silent:
            # Where TensorFlow is installed, it takes that in for remote folders, unless there is
            # this module: seconds, and lines about TensorFlow on the terminal.
            sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(
                str(out / "tensorboard"), purge_step=step + 1 if step else None, flush_secs=30
            )

    def __enter__(self) -> Records:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.board is not None:
            self.board.close()

    def write(self, entry: dict[str, Any]) -> None:
        """Append one line, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        if self.silent:
            return
        line = (to_json(entry, indent=None) + "\n").encode()
        try:
            with open(self.path, "ab", buffering=0) as file:
                end = file.tell()
                if file.write(line) != len(line):  # a full disk takes what still fits
                    file.truncate(end)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def scalars(self, group: str, values: dict[str, float], step: int) -> None:
        """Numbers for TensorBoard."""
        if self.board is not None:
            for name, value in values.items():
                # A slash would start another group.
                tag = name.replace("/", ":").replace(" ", "_")
                self.board.add_scalar(f"{group}/{tag}", value, step)


def _mend(path: Path) -> None:
    """End a log with a whole line: one that a kill or a power failure cut short goes."""
    try:
        data = path.read_bytes() if path.exists() else b""
        if not data or data.endswith(b"\n"):
            return
        start = data.rfind(b"\n") + 1
        try:
            json.loads(data[start:])
        except ValueError:
            os.truncate(path, start)
        else:
            with path.open("ab") as file:
                file.write(b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
