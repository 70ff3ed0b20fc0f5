"""The table of `witt transmit`, and what must be said of its figures."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import click

from witt.metrics.metric import MS_SSIM, Quantity
from witt.metrics.quality import CAPPED, UNDEFINED
from witt.report import console, number, plain, some, table


def show(
    records: Sequence[dict[str, Any]],
    quantities: Sequence[Quantity],
    title: str,
    repeats: int,
    *,
    err: bool,
) -> None:
    """A row for each picture.

    Args:
        records: as they go to JSON.
        quantities: that were measured.
        title: what holds for all.
        repeats: draws of the channel that each row is the mean of.
        err: whether it goes to stderr.
    """
    many, several = repeats > 1, len(records) > 1
    coded = any(record["side_information"] != "ideal" for record in records)
    spread = ["5 %", "95 %"] if many else []
    rows = table(
        title + (f", means of {repeats} draws" if many else ""),
        "Picture",
        *[head for index, each in enumerate(quantities) for head in _heads(each, index, spread)],
        "CBR\nsent",
        "Channel\nuses",
        "Header\nbits",
        *(["Side\nuses"] if coded else []),
        *(["Seed"] if several else []),
        "Time\ns",
    )
    for record in records:
        values = []
        for index, each in enumerate(quantities):
            keys = (each.key, f"{each.key}_p5", f"{each.key}_p95") if many and not index else ()
            values += [
                number(record[key], 4 if key == "ms_ssim" else each.digits)
                for key in keys or each.columns
            ]
        rows.add_row(
            plain(click.format_filename(record["image"])),
            *values,
            f"{record['cbr']:.4g}",
            f"{record['channel_uses']:,}",
            str(record["header_bits"]),
            *([_side(record)] if coded else []),
            *([str(record["seed"])] if several else []),
            number(record["seconds"]),
        )
    for line in _remarks(records):
        warnings.warn(line, stacklevel=2)
    console(err=err).print(rows)


def _side(record: dict[str, Any]) -> str:
    """Channel uses of the side information, and in how many draws it was lost."""
    lost = record["side_information_lost"]
    told = f" ({lost} of {record['repeats']} lost)" if lost else ""
    return f"{record['side_uses']:,.0f}{told}"


def _heads(quantity: Quantity, index: int, spread: list[str]) -> list[str]:
    """The heads of a metric's columns; the spread is that of the first one."""
    label = re.sub(" dB$", "\ndB", quantity.label)
    if index == 0 and spread:
        return [label, *spread]
    return ["MS-SSIM", label] if quantity == MS_SSIM else [label]


def _remarks(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What must be said of the figures in the table."""
    names = [click.format_filename(record["image"]) for record in records]
    variants = [record.get("ms_ssim_variant") for record in records]
    other = [
        f"{name}: {variant}"
        for name, variant in zip(names, variants, strict=True)
        if variant not in ("ms-ssim", UNDEFINED, None)
    ]
    if other:
        yield (
            "too small for the standard MS-SSIM of 5 scales, so another is given: "
            + ", ".join(other)
        )
    small = [name for name, variant in zip(names, variants, strict=True) if variant == UNDEFINED]
    if small:
        yield f"too small for MS-SSIM: {some(small)}"
    for record in records:
        told = (" failed at ", " was lost, ")
        yield from (note for note in record["notes"] if any(part in note for part in told))
    perfect = [n for n, record in zip(names, records, strict=True) if CAPPED in record["notes"]]
    if perfect:
        yield f"{some(perfect)}: {CAPPED}"
