"""Schemes and ratios as a reader of a figure wants them named."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from fractions import Fraction

WORDS = {
    "witt_base": "WITT (witt_base)",
    "witt_cifar": "WITT (witt_cifar)",
    "witt_light": "witt_light (classified code)",
    "witt_cifar_light": "witt_cifar_light (classified code)",
    "witt_light_ms_ssim": "witt_light_ms_ssim (classified code)",
    "deepjscc": "DeepJSCC (deepjscc)",
    "deepjscc_cifar": "DeepJSCC (deepjscc_cifar)",
    "softcast": "SoftCast",
    "linear": "SoftCast",  # as older result files call it
    "hevc": "HEVC",
    "hevc-420": "HEVC 4:2:0",
    "jpeg": "JPEG",
    "jpeg2000": "JPEG 2000",
    "webp": "WebP",
    "avif": "AVIF",
    "vvc": "VVC",
    "bpg": "BPG",
    "vtm": "VTM",
    "hm": "HM",
    "ldpc": "LDPC",
    "nr": "5G NR",
    "capacity": "capacity",
}


def scheme_label(name: str) -> str:
    """ "hevc+ldpc:16qam-1/2" as "HEVC + LDPC, 16QAM 1/2"."""
    chain, _, mode = name.partition(":")
    if chain.endswith("+adapt"):
        return f"{scheme_label(chain.removesuffix('+adapt'))}, optimised per image ({mode} steps)"
    label = " + ".join(WORDS.get(part, part) for part in chain.split("+"))
    if not mode:
        return label
    return f"{label}, {mode.replace('-', ' ', 1).replace('qam', 'QAM')}"


def cbr_label(cbr: float) -> str:
    """A ratio as it is written: 1/16, or 0.07 where it is no simple fraction."""
    fraction = Fraction(cbr).limit_denominator(1000)
    simple = fraction.numerator == 1 and math.isclose(fraction, cbr, rel_tol=1e-6)
    return str(fraction) if simple else f"{cbr:.4g}"


def count_label(pictures: int) -> str:
    """ "1 picture", "10,000 pictures"."""
    return f"{pictures:,} picture{'' if pictures == 1 else 's'}"


def condensed(lines: Iterable[str]) -> list[str]:
    """Lines that differ in their numbers only, as the first of them and how many more there are."""
    alike: dict[str, list[str]] = {}
    for line in dict.fromkeys(lines):
        alike.setdefault(re.sub(r"-?\d+(\.\d+)?", "#", line), []).append(line)
    return [
        one[0] + (f" (and {len(one) - 1} more such)" if len(one) > 1 else "")
        for one in alike.values()
    ]


def is_fixed_mode(name: str) -> bool:
    """Whether a scheme keeps one LDPC mode: its curve is a cliff, drawn thin."""
    chain, _, mode = name.partition(":")
    return bool(mode) and chain.endswith("+ldpc")


def without_mode(name: str) -> str:
    """The scheme that a fixed mode is of; any other by itself."""
    return name.partition(":")[0] if is_fixed_mode(name) else name
