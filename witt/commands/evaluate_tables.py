"""What `witt evaluate` prints: a table for a profile, or what each departure of one is worth."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from witt.link.profiles import OURS, PUBLISHED, Profile
from witt.metrics.quality import CAPPED, UNDEFINED, is_capped
from witt.registry import short
from witt.report import console, number, plain, some, table

KINDS = {"psnr_db": "PSNR dB", "ms_ssim_db": "MS-SSIM dB"}


def summary(entries: list[dict[str, Any]], profile: Profile) -> dict[str, Any]:
    """The means of a condition as the profile has them, and the figures behind them."""

    def mean(name: str) -> float:
        return float(np.mean([entry[name] for entry in entries]))

    return {
        "cbr": mean("cbr"),
        "psnr_db": _psnr_of_mean_mse(entries) if profile.mean_mse else mean("psnr_db"),
        "ms_ssim": mean("ms_ssim"),
        "ms_ssim_db": mean("ms_ssim_db"),
        "seconds": mean("seconds"),
        "images": entries,
    }


def _psnr_of_mean_mse(entries: list[dict[str, Any]]) -> float:
    """PSNR of the mean squared error of each batch, averaged over the batches, dB.

    A picture without error counts as 100 dB, an error of 1e-10, so that no mean is 0.
    """
    batches = [list(each) for _, each in itertools.groupby(entries, lambda e: e["batch"])]
    means = [np.mean([10 ** (-entry["psnr_db"] / 10) for entry in batch]) for batch in batches]
    return float(np.mean([-10 * math.log10(mse) for mse in means])) + 0.0  # no -0


def show(results: Sequence[dict[str, Any]], title: str, *, err: bool) -> None:
    """A row for each SNR, columns for each channel and CBR."""
    columns = list(dict.fromkeys((r["channel"], r["cbr_label"]) for r in results))
    cells = {(r["snr_db"], r["channel"], r["cbr_label"]): r for r in results}
    measured = any(r["images"][0]["ms_ssim_variant"] is not None for r in results)
    kinds = list(KINDS.values())[: 1 + measured]
    heads = [f"{short(name)} {cbr}\n{kind}" for name, cbr in columns for kind in kinds]
    rows = table(title, "SNR dB", *heads)
    for snr in dict.fromkeys(r["snr_db"] for r in results):
        row = [f"{snr:g}"]
        for name, cbr in columns:
            cell = cells[snr, name, cbr]
            row += [number(cell[key]) for key in ("psnr_db", "ms_ssim_db")[: len(kinds)]]
        rows.add_row(*row)
    console(err=err).print(rows)


def show_both(results: Sequence[dict[str, Any]], title: str, *, err: bool) -> None:
    """For each channel and CBR: ours, what each departure changes by itself, and published."""
    screen = console(err=err)
    screen.print(plain(title))
    for (name, cbr), group in itertools.groupby(results, lambda r: (r["channel"], r["cbr_label"])):
        cells = list(group)
        snrs = list(dict.fromkeys(r["snr_db"] for r in cells))
        kinds = [k for k in KINDS if not all(math.isnan(r[k]) for r in cells)]
        at = {(r["profile"], r["snr_db"]): r for r in cells}
        heads = [f"{snr:g} dB\n{KINDS[kind]}" for snr in snrs for kind in kinds]
        rows = table(f"{short(name)} {cbr}", "Profile", *heads)
        columns = list(itertools.product(snrs, kinds))
        for profile in dict.fromkeys(r["profile"] for r in cells):
            row = [at[profile, snr][kind] for snr, kind in columns]
            ours = [at[OURS.name, snr][kind] for snr, kind in columns]
            if profile in (OURS.name, PUBLISHED.name):
                rows.add_row(profile, *map(number, row))
            else:
                rows.add_row("  " + profile.removeprefix(f"{OURS.name}, "), *_changes(row, ours))
            if profile == PUBLISHED.name:
                rows.add_row("published − ours", *_changes(row, ours))
        screen.print(rows)


def _changes(row: Sequence[float], ours: Sequence[float]) -> list[str]:
    changes = [a - b for a, b in zip(row, ours, strict=True)]
    # Rounded first: what rounds to zero is +0.00.
    return ["–" if math.isnan(c) else f"{round(c, 2) + 0.0:+.2f}" for c in changes]


def remarks(results: Sequence[dict[str, Any]]) -> list[str]:
    """What must be said of the figures: which MS-SSIM, and where they are capped or missing."""
    entries = [entry for result in results for entry in result["images"]]
    lines = []
    kinds = {(e["image"], e["ms_ssim_variant"]) for e in entries}
    variants = Counter(kind for _, kind in sorted(kinds, key=str) if kind not in (None, UNDEFINED))
    if set(variants) - {"ms-ssim", "ms-ssim-published"}:
        named = ", ".join(f"{name} ({count})" for name, count in variants.items())
        lines.append(f"the MS-SSIM is not the standard one of 5 scales for every picture: {named}")
    if small := [e["image"] for e in entries if e["ms_ssim_variant"] == UNDEFINED]:
        lines.append(f"too small for MS-SSIM, which therefore has no mean: {some(small)}")
    if broken := [e["image"] for e in entries if math.isnan(e["psnr_db"])]:
        lines.append(f"received as NaN, so that there is no mean: {some(broken)}")
    if perfect := [e["image"] for e in entries if is_capped(e["psnr_db"], e["ms_ssim_db"])]:
        lines.append(f"{some(perfect)}: {CAPPED}")
    return lines
