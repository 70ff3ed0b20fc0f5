"""A bar with the time left, for one who waits at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from witt.report import console, plain


class Advance(Protocol):
    """Says that so many parts of the work are done."""

    def __call__(self, count: int = 1, /) -> None: ...


def nobody_waits(count: int = 1, /) -> None:
    """An `Advance` that shows nothing."""


@contextmanager
def waiting(what: str, total: int | None = None) -> Iterator[Advance]:
    """Show on stderr how far the work in the block is; elsewhere than on a terminal nothing.

        with waiting("Evaluating", len(pictures)) as advance:
            for picture in pictures:
                measure(picture)
                advance()

    Args:
        what: is being done.
        total: parts of about the same length; None where it has no parts: the time so far is
            shown then.
    """
    screen = console(err=True)
    parts = total is not None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        *((TaskProgressColumn(), TimeRemainingColumn()) if parts else (TimeElapsedColumn(),)),
        TextColumn("left" if parts else "so far"),
    )
    disable = not screen.is_terminal
    with Progress(*columns, console=screen, transient=True, disable=disable) as progress:
        task = progress.add_task(plain(what).markup, total=total)

        def advance(count: int = 1, /) -> None:
            progress.advance(task, count)

        yield advance
