"""What a scheme claims of a picture against what was measured.

A claim holds within its tolerance; what does not is marked. The tolerances:

- symbols: none. Those in the samples, preamble and pilots apart, are counted.
- mean power: 0.1 dB, or four standard errors of the mean where the samples are few. The channel's
  noise is that of unit mean power, so a louder transmitter has a better SNR than it says.
- side information: not one bit or symbol more than claimed.
- PSNR and MS-SSIM: 0.3 dB below what is claimed. The receiver estimates the channel where the
  claim knows it, and meets other noise. Better than claimed is marked too.
- a picture that was lost, or arrived, against the claim: a chance of 1 in 100 by the claim's own
  error rates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.referee.measure import Used

POWER_DB, STANDARD_ERRORS, QUALITY_DB, CHANCE = 0.1, 4.0, 0.3, 0.01
TOLERANCES = {
    "symbols": 0,
    "mean_power_db": POWER_DB,
    "mean_power_standard_errors": STANDARD_ERRORS,
    "header_bits": 0,
    "symbols_of_side_information": 0,
    "psnr_db": QUALITY_DB,
    "ms_ssim_db": QUALITY_DB,
    "least_chance_of_a_lost_picture": CHANCE,
}
QUALITIES = {"psnr_db": "PSNR", "ms_ssim_db": "MS-SSIM"}


class Check(NamedTuple):
    """A claim and its measurement.

    what: the quantity.
    claimed, measured: its values, None where there is none.
    holds: whether they agree.
    note: why, where it is not plain.
    """

    what: str
    claimed: float | None
    measured: float | None
    holds: bool
    note: str = ""

    def __str__(self) -> str:
        told = f"{self.what} {_text(self.claimed)} claimed, {_text(self.measured)} measured"
        return f"{told} ({self.note})" if self.note else told


def check_samples(claim: Mapping[str, Any], used: Used, symbols: int) -> list[Check]:
    """What was claimed of the samples.

    Args:
        claim: "channel_uses" and "header_bits" of the scheme's own `send`.
        used: what was measured.
        symbols: in the samples, preamble and pilots apart.
    """
    claimed = int(claim["channel_uses"])
    extra = symbols - claimed
    note = f"{extra:+,}, {100 * extra / claimed:+.2f} %" if extra and claimed else ""
    level = 10 * math.log10(used.mean_power)
    room = max(
        10 ** (POWER_DB / 10) - 1,
        STANDARD_ERRORS * used.mean_power_error,
    )
    return [
        Check("symbols", claimed, symbols, not extra, note),
        Check(
            "mean power", 1.0, used.mean_power, abs(used.mean_power - 1) <= room, f"{level:+.2f} dB"
        ),
    ]


def check_side(claim: Mapping[str, Any], bits: int | None, symbols: int | None) -> list[Check]:
    """What was claimed of side information, where the transmitter says what it sends.

    Args:
        claim: "header_bits", and "side_uses" or "control_uses", of the scheme's own `send`.
        bits: of the header or control block, without its CRC.
        symbols: of all side information.
    """
    if bits is None or symbols is None:
        return []
    claimed = int(claim.get("header_bits", 0))
    uses = int(claim.get("side_uses", claim.get("control_uses", 0)))
    return [
        Check("header bits", claimed, bits, bits <= claimed),
        Check("symbols of side information", uses, symbols, symbols <= uses),
    ]


def check_picture(
    claim: Mapping[str, Any], measured: Mapping[str, float], arrived: bool, note: str
) -> list[Check]:
    """What was claimed of the picture.

    Args:
        claim: figures of the picture of `send`, and its "lost" and "survival" where it has them.
        measured: figures of the picture received.
        arrived: whether the receiver showed one.
        note: what it said.
    """
    lost = bool(claim.get("lost", False) or claim.get("side_information_lost", False))
    if arrived == (not lost):
        return [
            _quality(name, label, claim, measured)
            for name, label in QUALITIES.items()
            if _number(claim.get(name)) is not None
        ]
    told_survival = _number(claim.get("survival"))
    # A claim without error rates is certain.
    survival = float(not lost) if told_survival is None else told_survival
    chance = survival if arrived else 1 - survival
    told = f"{note}; " if note else ""
    return [
        Check(
            "lost",
            float(lost),
            float(not arrived),
            chance >= CHANCE,
            f"{told}a chance of {chance:.2g} by the claim",
        )
    ]


def _quality(
    name: str, label: str, claim: Mapping[str, Any], measured: Mapping[str, float]
) -> Check:
    claimed, found = _number(claim.get(name)), _number(measured.get(name))
    if claimed is None or found is None:
        return Check(f"{label} dB", claimed, found, False)
    return Check(
        f"{label} dB",
        claimed,
        found,
        abs(found - claimed) <= QUALITY_DB,
        f"{found - claimed:+.2f} dB",
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _text(value: float | None) -> str:
    if value is None:
        return "nothing"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
