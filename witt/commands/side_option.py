"""``--side-information``, which every command has that sends pictures over a channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from witt.link.side_link import CODED, WAYS

F = TypeVar("F", bound=Callable[..., Any])


def side_information_option(command: F) -> F:
    """``--side-information``: the parameter ``side_information``, one of `WAYS`."""
    return click.option(
        "--side-information",
        type=click.Choice(WAYS),
        default=CODED,
        show_default=True,
        help="Send what the receiver is told beside the symbols (header, class map) over the "
        "channel too, coded, in channel uses that are counted; or take it as received without "
        "error (ideal).",
    )(command)
