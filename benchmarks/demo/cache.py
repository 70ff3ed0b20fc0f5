"""Things that are kept while there is room, the one used longest ago dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """A dict of limited size, for several threads.

    Args:
        most: sum of the sizes of what is kept.
        size: of one entry; None counts each as 1.
    """

    def __init__(self, most: int, size: Callable[[T], int] | None = None) -> None:
        self.most, self._size_of = most, size or (lambda _: 1)
        self._held: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()
        self.total = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> T | None:
        """What is kept under a key, which counts as used now."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, value: T) -> T:
        """Keep a value, and drop others until it fits; one too large by itself is kept alone."""
        with self._lock:
            if key in self._held:
                self.total -= self._size_of(self._held.pop(key))
            self._held[key] = value
            self.total += self._size_of(value)
            while self.total > self.most and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                self.total -= self._size_of(dropped)
        return value
