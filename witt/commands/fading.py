"""How channels fade, as options of a command, and the links that they make."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from witt.link.conditions import FADING, K_FACTOR_DB, Link

F = TypeVar("F", bound=Callable[..., Any])


def fading_options(command: F) -> F:
    """``--fading``, ``--coherence`` and ``--k-factor``, for `make_links`."""
    options = (
        click.option(
            "--fading",
            type=click.Choice(FADING),
            help="Rayleigh and Rician: fast draws a gain for each symbol, block one for each image "
            "or for every --coherence symbols.  [default: fast, or block with --coherence]",
        ),
        click.option(
            "--coherence",
            type=click.IntRange(min=1),
            metavar="N",
            help="Symbols that share one gain in block fading.  [default: the whole image]",
        ),
        click.option(
            "--k-factor",
            "k_factor_db",
            type=click.FLOAT,
            metavar="dB",
            help="Rician: power of the line of sight over that of the scattered paths, in dB.  "
            f"[default: {K_FACTOR_DB:g}]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def make_links(
    names: Sequence[str], fading: str | None, coherence: int | None, k_factor_db: float | None
) -> list[Link]:
    """One link for each channel; a warning for an option that none of them uses.

    Raises:
        InputError: options that contradict each other.
    """
    if fading is None:
        fading = "fast" if coherence is None else "block"
    k_factor = K_FACTOR_DB if k_factor_db is None else k_factor_db + 0.0  # no -0
    links = [Link.of(name, fading, coherence, k_factor) for name in dict.fromkeys(names)]
    if not any(link.is_ours and link.fades for link in links) and (
        fading == "block" or coherence is not None
    ):
        mine = [link for link in links if not link.is_ours]
        why = f"{mine[0]} says itself how it fades" if mine else "AWGN does not fade"
        warnings.warn(f"{why}: --fading and --coherence are not used", stacklevel=2)
    if k_factor_db is not None and not any(link.channel == "rician" for link in links):
        warnings.warn("--k-factor is for the rician channel only: it is not used", stacklevel=2)
    return links
