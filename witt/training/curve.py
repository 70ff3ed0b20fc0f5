"""The validation curve of a training, from its log."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from witt.errors import InputError

Array = NDArray[np.float64]
FEWEST = 5  # points: one more than a power law's three, and one to check it with


class Curve(NamedTuple):
    """Validation scores of a training.

    hours: since its beginning, over all its runs.
    score_db: mean over the conditions of validation.
    """

    name: str
    hours: Array
    score_db: Array


def read_log(path: Path) -> Curve:
    """Validation curve of a run's folder or its log; runs that follow each other are joined.

    A log goes back in time where a further run (`witt train --init`) was appended to it, and where
    a run went on from a checkpoint: what it had done since is done again, and counts once.

    Raises:
        InputError: it cannot be read, or holds too few validations.
    """
    file = path / "log.jsonl" if path.is_dir() else path
    points: list[_Validation] = []
    before = last = 0.0
    run, resumed = 0, False
    for entry in _entries(file):
        step = _number(entry.get("step"))
        if entry.get("resumed") is True and step is not None:
            points = [p for p in points if p.run != run or p.step is None or p.step <= step]
            resumed = True
        seconds = _number(entry.get("seconds"))
        if seconds is None:
            continue
        if seconds < last and not resumed:
            before, run = before + last, run + 1
        last, resumed = seconds, False
        score, kind = _number(entry.get("score_db")), entry.get("validation")
        if score is not None and isinstance(kind, dict) and before + last > 0:
            same = (entry.get("val_content"), *sorted(kind))
            points.append(_Validation(run, step, (before + last) / 3600, score, same))
    points = [point for point in points if point.same == points[-1].same]  # scores that compare
    if len({point.hours for point in points}) < FEWEST:
        raise InputError(f"{file}: holds {len(points)} validations; a fit needs {FEWEST}")
    name = path.name if path.is_dir() or path.name != "log.jsonl" else path.parent.name
    hours, scores = ([getattr(p, field) for p in points] for field in ("hours", "score_db"))
    return Curve(name, np.array(hours), np.array(scores))


class _Validation(NamedTuple):
    """A point of a log: number of its run, steps done, and what its score compares with."""

    run: int
    step: float | None
    hours: float
    score_db: float
    same: tuple[Any, ...]


def _entries(file: Path) -> list[dict[str, Any]]:
    """The lines of a log; those that a kill cut short are left out.

    Raises:
        InputError: it cannot be read, or no line is one.
    """
    found, error = [], None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as caught:
        raise InputError(f"{file}: cannot be read: {caught.strerror or caught}") from caught
    except ValueError as caught:
        raise InputError(f"{file}: is no training log (JSON lines): {caught}") from caught
    for line in filter(str.strip, lines):
        try:
            found.append(json.loads(line))
        except ValueError as caught:
            error = caught
    if error is not None and not found:
        raise InputError(f"{file}: is no training log (JSON lines): {error}")
    return [entry for entry in found if isinstance(entry, dict)]


def _number(value: Any) -> float | None:
    """A finite number; None for null, and for NaN and infinity, which old logs have."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
