"""A run of an ablation in a process of its own: `python -m benchmarks.ablation.child`.

It reads its job from standard input, a line of JSON. Where that pipe is closed, because it is asked
to stop or because who started it is gone, it finishes its step, saves and ends, as by a signal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmarks.ablation.work import Job, Outcome, carry_out
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.report import to_json
from witt.training.checkpoint import LOG

ROOT = Path(__file__).parents[2]
ROW = "row.json"
STOPPED = 128 + signal.SIGTERM
GRACE_SECONDS = 20.0
PIPE = 0  # standard input


class Child:
    """A process that carries out a job; what it says goes to a file beside the run's folder."""

    def __init__(self, job: Job) -> None:
        self.job, self.folder = job, Path(job.folder)
        ensure_writable_folder(self.folder.parent)
        (self.folder / ROW).unlink(missing_ok=True)
        self.log = self.folder.with_name(f"{self.folder.name}.log")
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.ablation.child"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C comes by way of who started it, and once
            )
        pipe = self._process.stdin
        with suppress(BrokenPipeError):
            if pipe is not None:
                pipe.write(f"{to_json(job._asdict(), indent=None)}\n".encode())
                pipe.flush()

    def stop(self) -> None:
        """Ask it to save and to end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def end(self) -> None:
        """Stop it, and wait; after a while it is killed."""
        self.stop()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def outcome(self) -> Outcome | None:
        """What came of it, None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        self.stop()
        if code == 0:
            row = json.loads((self.folder / ROW).read_text(encoding="utf-8"))
            return Outcome(0, row)
        if code in (STOPPED, -signal.SIGTERM):  # the latter before it began to train
            return Outcome(STOPPED, None)
        if code < 0:
            return Outcome(1, None, f"killed by signal {-code}: is there enough memory?")
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1].removeprefix("Error: ") if lines else f"ended with code {code}"
        return Outcome(1, None, f"{last} (see {self.log})")

    def progress(self) -> tuple[float, float]:
        """Share that is done and seconds that it took, as its log says; 0, 0 before it does."""
        entry = last_entry(self.folder / LOG)
        return share_done(self.job.config, entry), float(entry.get("seconds", 0.0))


def share_done(config: Mapping[str, Any], entry: Mapping[str, Any]) -> float:
    """Share of a run that an entry of its log stands for."""
    if config["steps"] is not None:
        return float(entry.get("step", 0) / config["steps"])
    return float(entry.get("seconds", 0.0) / (60 * config["minutes"]))


def last_entry(path: Path) -> dict[str, Any]:
    """The last whole line of a log; nothing where there is none."""
    with suppress(OSError):
        for line in reversed(path.read_bytes().splitlines()[-2:]):
            with suppress(ValueError):
                return dict(json.loads(line))
    return {}


def _first_line() -> bytes:
    """Of the pipe, unbuffered: a buffer's lock, held by a thread, would stop Python from ending."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(PIPE, 1)
        if not part:
            break
        line += part
    return line


def _end_with_the_pipe() -> None:
    with suppress(OSError):
        while os.read(PIPE, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Carry out the job on standard input."""
    job = Job(**json.loads(_first_line()))
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    try:
        outcome = carry_out(job)
        if outcome.row is not None:
            write_text(Path(job.folder) / ROW, to_json(outcome.row))
    except InputError as error:
        print(f"Error: {error}", flush=True)
        return 2
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
