"""Which of the shipped weights for photographs sends better, by what they did on `valid/`.

The scores are measured, not guessed: `weights/valid.json` has them, with the commands.
"""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from witt.store.weights import SHIPPED

AUTO = "auto"
CANDIDATES = ("witt_light", "witt_base")


class Choice(NamedTuple):
    """Weights for a request.

    name: of those that are better.
    other: of the others.
    gain_db: by how much, PSNR on `valid/`.
    time: seconds that the others take over those that these take.
    """

    name: str
    other: str
    gain_db: float
    time: float

    def __str__(self) -> str:
        return (
            f"{self.name} sends: on the validation photographs it is {self.gain_db:.1f} dB better "
            f"here than {self.other}, which takes {self.time:.2g} times as long"
        )


def choose(snr_db: float, cbr: float, fades: bool) -> Choice:
    """The better weights at an SNR (dB) and a CBR, over AWGN or a fading channel.

    Between what was measured the scores are interpolated, over the SNR and log CBR; beyond it the
    nearest count.
    """
    measured = scores()
    channel = "rayleigh" if fades else "awgn"
    found = {name: _between(measured["psnr_db"][name][channel], snr_db, cbr) for name in CANDIDATES}
    other, name = sorted(CANDIDATES, key=found.__getitem__)
    seconds = measured["seconds"]
    return Choice(name, other, found[name] - found[other], seconds[other] / seconds[name])


@cache
def scores() -> dict[str, Any]:
    """What was measured; see the file."""
    return dict(json.loads((SHIPPED / "valid.json").read_text(encoding="utf-8")))


def _between(table: dict[str, dict[str, float]], snr_db: float, cbr: float) -> float:
    """Bilinear in (SNR, log CBR), from {CBR: {SNR: dB}} in rising order."""
    over_snr = [
        np.interp(snr_db, [float(snr) for snr in row], list(row.values())) for row in table.values()
    ]
    return float(
        np.interp(np.log(cbr), [np.log(float(Fraction(rate))) for rate in table], over_snr)
    )
