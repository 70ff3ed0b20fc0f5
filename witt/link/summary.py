"""What the figures of pictures come to: their means, and what must be said of them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from witt.link.profiles import Profile
from witt.metrics.metric import MS_SSIM, PSNR, Figures, Quantity
from witt.metrics.quality import CAPPED, UNDEFINED, is_capped
from witt.report import number, some


def summary(
    entries: list[dict[str, Any]], profile: Profile, quantities: Sequence[Quantity]
) -> dict[str, Any]:
    """The means of a condition as the profile has them, and the figures behind them."""

    def mean(name: str) -> float:
        return float(np.mean([entry[name] for entry in entries]))

    means = {key: mean(key) for quantity in quantities for key in quantity.columns}
    if profile.mean_mse and PSNR.key in means:
        means[PSNR.key] = _psnr_of_mean_mse(entries)
    return {
        "cbr": mean("cbr"),
        **means,
        "side_information_lost": len(lost_in(entries)),
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


def remarks(results: Sequence[dict[str, Any]]) -> list[str]:
    """What must be said of the figures: which MS-SSIM, and where they are capped or missing."""
    entries = [entry for result in results for entry in result["images"]]
    lines = []
    kinds = {(e["image"], e.get("ms_ssim_variant")) for e in entries}
    variants = Counter(kind for _, kind in sorted(kinds, key=str) if kind not in (None, UNDEFINED))
    if set(variants) - {"ms-ssim", "ms-ssim-published"}:
        named = ", ".join(f"{name} ({count})" for name, count in variants.items())
        lines.append(f"the MS-SSIM is not the standard one of 5 scales for every picture: {named}")
    if small := [e["image"] for e in entries if e.get("ms_ssim_variant") == UNDEFINED]:
        lines.append(f"too small for MS-SSIM, which therefore has no mean: {some(small)}")
    if broken := [e["image"] for e in entries if math.isnan(e.get(PSNR.key, 0.0))]:
        lines.append(f"received as NaN, so that there is no mean: {some(broken)}")
    if perfect := [e["image"] for e in entries if is_perfect(e)]:
        lines.append(f"{some(perfect)}: {CAPPED}")
    if lost := lost_in(entries):
        lines.append(lost_line(len(lost), len(entries), lost))
    return lines + failures(entries)


def lost_in(entries: Sequence[dict[str, Any]]) -> list[str]:
    """The pictures whose side information was lost."""
    return [entry["image"] for entry in entries if entry.get("side_information_lost")]


def lost_line(lost: int, sent: int, names: Sequence[str] = ()) -> str:
    """What is said of pictures whose side information was lost."""
    return (
        f"the side information of {lost} of {sent} transmissions was lost, whose pictures are "
        "grey and count as such" + (f": {some(names)}" if names else "")
    )


def failures(entries: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each metric that failed and each reason, with the pictures."""
    failed: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        for key, reason in entry.get("reasons", {}).items():
            failed.setdefault((key, reason), []).append(entry["image"])
    return [f"{key} failed at {some(names)}: {why}" for (key, why), names in failed.items()]


def is_perfect(entry: Figures) -> bool:
    """Whether a picture was received without error, or nearly so."""
    return is_capped(entry.get(PSNR.key, math.nan), entry.get(MS_SSIM.key, math.nan))


def quality_facts(figures: Figures, quantities: Sequence[Quantity]) -> list[tuple[str, str]]:
    """What the metrics say of a picture, for the comparison beside it: labels and values."""
    facts = []
    for quantity in quantities:
        label, unit = quantity.label.removesuffix(" dB"), ""
        if label != quantity.label:
            unit = " dB"
        value = number(figures[quantity.key], quantity.digits) + unit
        if quantity == MS_SSIM:
            value = f"{number(figures['ms_ssim'], 4)} ({value})"
        facts.append((label, value))
        if quantity == MS_SSIM and figures["ms_ssim_variant"] != "ms-ssim":
            facts.append(("", str(figures["ms_ssim_variant"])))
    return facts
