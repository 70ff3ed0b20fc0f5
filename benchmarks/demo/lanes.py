"""Work in threads: the most urgent first, and none that nobody waits for any more."""

from __future__ import annotations

import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
Check = Callable[[], None]

PICTURE, METRIC, CURVE = range(3)  # how urgent, the first most


class Dropped(Exception):
    """Nobody waits for this any more."""


class Lane:
    """One thread that does one thing after the other.

    Args:
        name: of the thread.
        niceness: how far its computing stands back for that of other lanes, where the system has
            such a thing for threads.
    """

    def __init__(self, name: str, niceness: int = 0) -> None:
        self._waiting: queue.PriorityQueue[tuple[int, int, Any]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._niceness = niceness
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, urgency: int, check: Check, work: Callable[[], T]) -> Future[T]:
        """Have `work` done.

        Args:
            urgency: `PICTURE`, `METRIC` or `CURVE`.
            check: raises `Dropped` where nobody waits any more; asked before it begins.
            work: it may ask too, between its steps.
        """
        future: Future[T] = Future()
        self._waiting.put((urgency, next(self._order), (future, check, work)))
        return future

    def stop(self) -> None:
        """Leave undone what waits, and wait for what is being done.

        A program that ends while PyTorch computes in a thread is aborted.
        """
        self._waiting.put((-1, next(self._order), None))
        self._thread.join()

    def _work(self) -> None:
        if self._niceness and sys.platform == "linux":
            # On Linux a thread has a niceness of its own, and its children inherit it: those of
            # PyTorch and x265 too.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        while True:
            _, _, job = self._waiting.get()
            if job is None:
                return
            future, check, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                check()
                result = work()
            except BaseException as error:  # the one who waits is told
                # Without the traceback, whose frames would keep pictures until the collector of
                # circles comes by.
                future.set_exception(error.with_traceback(None))
            else:
                future.set_result(result)
            del job, future, check, work  # nothing is held while there is nothing to do
