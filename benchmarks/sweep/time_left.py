"""How long a sweep will take, from the cells that are finished."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple


class Kind(NamedTuple):
    """Work of a similar cost.

    scheme: its name.
    first: whether it is the first cell of the scheme on a chunk, which does what the others
        share (a codec's encodes).
    """

    scheme: str
    first: bool


class TimeLeft:
    """Seconds a picture for each kind of work.

    Args:
        todo: pictures to send, of each kind.
    """

    def __init__(self, todo: Counter[Kind]) -> None:
        self.todo = Counter(todo)
        self.total = todo.total()
        self._seconds: dict[Kind, float] = {}
        self._pictures: Counter[Kind] = Counter()

    @property
    def done(self) -> int:
        """Pictures sent so far, over all cells."""
        return self.total - self.todo.total()

    def record(self, kind: Kind, pictures: int, seconds: float) -> None:
        """Take note of finished work."""
        self.todo[kind] -= pictures
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds
        self._pictures[kind] += pictures

    def seconds_left(self, workers: int = 1) -> float:
        """Estimate for what is left; NaN before anything is known.

        Work of a kind not seen yet is taken to cost what its scheme cost otherwise, or the mean.
        """
        if not self._pictures:
            return float("nan")
        mean = sum(self._seconds.values()) / self._pictures.total()
        left = 0.0
        for kind, pictures in self.todo.items():
            other = Kind(kind.scheme, not kind.first)
            left += pictures * next(
                (self._rate(k) for k in (kind, other) if k in self._seconds), mean
            )
        return left / workers

    def _rate(self, kind: Kind) -> float:
        return self._seconds[kind] / self._pictures[kind]
