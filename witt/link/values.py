"""SNRs and CBRs as a user writes them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

SNR_LIMIT_DB = 100.0


MOST_POINTS = 1000


@dataclass(frozen=True)
class SnrSpec:
    """SNRs in dB: a list, or the two ends of a range.

    values: the SNRs; (low, high) for a range.
    is_range: every value from low to high is meant.
    """

    values: tuple[float, ...]
    is_range: bool = False

    def points(self, step: float = 1.0) -> tuple[float, ...]:
        """The listed SNRs, or the range in steps of `step` dB, its ends included."""
        if not self.is_range:
            return self.values
        low, high = self.values
        return tuple(dict.fromkeys((*_steps(low, high, step), high)))

    def __str__(self) -> str:
        return (":" if self.is_range else ",").join(f"{value:g}" for value in self.values)


class Cbr(str):
    """A channel bandwidth ratio as it was written ("1/16"), with its value."""

    @property
    def value(self) -> float:
        """Complex channel uses over 3·H·W."""
        return float(Fraction(self))


def as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def read_snr(part: str, whole: str) -> float:
    try:
        snr = float(part)
    except ValueError:
        snr = math.nan
    if not abs(snr) <= SNR_LIMIT_DB:  # NaN too
        of = "" if part == whole else f" in {whole!r}"
        raise ValueError(
            f"{part.strip()!r}{of} is not an SNR: give a number of dB from "
            f"{-SNR_LIMIT_DB:g} to {SNR_LIMIT_DB:g}"
        )
    return snr + 0.0  # no -0


def read_snrs(text: str) -> SnrSpec:
    if ":" not in text:
        return SnrSpec(tuple(read_snr(part, text) for part in text.split(",")))
    low, high, *rest = (read_snr(part, text) for part in text.split(":"))
    if len(rest) > 1 or not low < high:
        raise ValueError(f"{text!r} is not a range of SNRs: write low:high or low:high:step in dB")
    if not rest:
        return SnrSpec((low, high), is_range=True)
    if not rest[0] > 0 or (high - low) / rest[0] >= MOST_POINTS:
        raise ValueError(
            f"the step in {text!r} must be above 0 dB and make fewer than {MOST_POINTS} SNRs"
        )
    return SnrSpec(_steps(low, high, rest[0]))


def _steps(low: float, high: float, step: float) -> tuple[float, ...]:
    count = math.floor((high - low) / step + 1e-9) + 1
    # Rounded: 0.30000000000000004 dB would be another SNR than 0.3.
    return tuple(round(low + index * step, 9) + 0.0 for index in range(count))


def read_cbr(part: str, whole: str) -> Cbr:
    text = "".join(part.split())
    try:
        # Not everything that Fraction takes: 1e999999999 keeps it busy for ever.
        plain = re.fullmatch(r"[0-9.]{1,30}(/[0-9]{1,30})?", text) is not None
        value = float(Fraction(text)) if plain else math.nan
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not 0 < value <= 1:
        of = "" if part == whole else f" in {whole!r}"
        raise ValueError(
            f"{part.strip()!r}{of} is not a CBR (channel uses per pixel value): "
            "give a number above 0, at most 1, such as 1/16 or 0.0625"
        )
    return Cbr(text)
