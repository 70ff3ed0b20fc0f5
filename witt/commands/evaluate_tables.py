"""What `witt evaluate` prints: a table for a profile, or what each departure of one is worth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from witt.link.profiles import OURS, PUBLISHED
from witt.metrics.metric import Quantity
from witt.registry import short
from witt.report import console, number, plain, table


def show(
    results: Sequence[dict[str, Any]], quantities: Sequence[Quantity], title: str, *, err: bool
) -> None:
    """A row for each SNR, columns for each channel, CBR and metric."""
    columns = list(dict.fromkeys((r["channel"], r["cbr_label"]) for r in results))
    cells = {(r["snr_db"], r["channel"], r["cbr_label"]): r for r in results}
    heads = [f"{short(name)} {cbr}\n{each.label}" for name, cbr in columns for each in quantities]
    rows = table(title, "SNR dB", *heads)
    for snr in dict.fromkeys(r["snr_db"] for r in results):
        row = [f"{snr:g}"]
        for name, cbr in columns:
            cell = cells[snr, name, cbr]
            row += [number(cell[each.key], each.digits) for each in quantities]
        rows.add_row(*row)
    console(err=err).print(rows)


def show_both(
    results: Sequence[dict[str, Any]], quantities: Sequence[Quantity], title: str, *, err: bool
) -> None:
    """For each channel and CBR: ours, what each departure changes by itself, and published."""
    screen = console(err=err)
    screen.print(plain(title))
    for (name, cbr), group in itertools.groupby(results, lambda r: (r["channel"], r["cbr_label"])):
        cells = list(group)
        snrs = list(dict.fromkeys(r["snr_db"] for r in cells))
        kinds = [q for q in quantities if not all(math.isnan(r[q.key]) for r in cells)]
        at = {(r["profile"], r["snr_db"]): r for r in cells}
        heads = [f"{snr:g} dB\n{kind.label}" for snr in snrs for kind in kinds]
        rows = table(f"{short(name)} {cbr}", "Profile", *heads)
        columns = list(itertools.product(snrs, kinds))
        digits = [kind.digits for _, kind in columns]
        for profile in dict.fromkeys(r["profile"] for r in cells):
            row = [at[profile, snr][kind.key] for snr, kind in columns]
            ours = [at[OURS.name, snr][kind.key] for snr, kind in columns]
            if profile in (OURS.name, PUBLISHED.name):
                rows.add_row(profile, *map(number, row, digits))
            else:
                told = "  " + profile.removeprefix(f"{OURS.name}, ")
                rows.add_row(told, *_changes(row, ours, digits))
            if profile == PUBLISHED.name:
                rows.add_row("published − ours", *_changes(row, ours, digits))
        screen.print(rows)


def _changes(row: Sequence[float], ours: Sequence[float], digits: Sequence[int]) -> list[str]:
    changes = zip((a - b for a, b in zip(row, ours, strict=True)), digits, strict=True)
    # Rounded first: what rounds to zero is +0.00.
    return ["–" if math.isnan(c) else f"{round(c, n) + 0.0:+.{n}f}" for c, n in changes]
