"""Who waits for what: of each visitor the newest request counts, whatever the others do."""

from __future__ import annotations

from benchmarks.demo.cache import Bounded
from benchmarks.demo.lanes import Dropped

MOST_VISITORS = 256


class Visitors:
    """The newest request of each open page."""

    def __init__(self) -> None:
        self._newest: Bounded[int] = Bounded(MOST_VISITORS)

    def begin(self, visitor: str, number: int) -> Ticket:
        """A new request.

        Args:
            visitor: a name that the page made up for itself.
            number: of the request, larger than those before.
        """
        if number > self.newest(visitor):
            self._newest.put(visitor, number)
        return Ticket(self, visitor, number)

    def newest(self, visitor: str) -> int:
        """Number of the newest request; 0 where there was none."""
        return self._newest.get(visitor) or 0


class Ticket:
    """Of a request: whether somebody waits for the answer."""

    def __init__(self, visitors: Visitors, visitor: str, number: int) -> None:
        self._visitors, self._visitor, self._number = visitors, visitor, number
        self._closed = False

    def check(self) -> None:
        """Raise `Dropped` if there is a newer request, or the page is gone."""
        if self._closed or self._visitors.newest(self._visitor) != self._number:
            raise Dropped

    def close(self) -> None:
        """Nobody reads the answer any more."""
        self._closed = True
