"""What a visitor has set, checked, and the command lines that do the same."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.ldpc.modes import MODES
from witt.commands.options import LARGEST_SEED
from witt.errors import InputError
from witt.link.choice import AUTO, CANDIDATES
from witt.link.conditions import Link
from witt.link.values import Cbr

SNR_LOW_DB, SNR_HIGH_DB, SNR_STEP_DB = -5.0, 20.0, 0.5
CBRS = ("1/48", "1/32", "1/24", "1/16", "1/12", "1/8")
LINKS = {
    "awgn": Link(),
    "rayleigh-fast": Link("rayleigh"),
    "rayleigh-block": Link("rayleigh", "block"),
}
WEIGHTS = (*CANDIDATES, AUTO)
BEST_MODE = "best"
DIGITAL_MODES = (BEST_MODE, *MODES)


@dataclass(frozen=True)
class Settings:
    """The channel and the senders.

    Args:
        snr_db: Es/N0, in steps of `SNR_STEP_DB`: error rates of the digital chain are known there.
        cbr: one of `CBRS`.
        channel: one of `LINKS`.
        weights: of the neural code, one of `WEIGHTS`.
        mode: of the digital chain, one of `DIGITAL_MODES`.
        seed: of the channel.

    Raises:
        InputError: a value is not served.
    """

    snr_db: float = 10.0
    cbr: str = "1/16"
    channel: str = "awgn"
    weights: str = CANDIDATES[0]
    mode: str = BEST_MODE
    seed: int = 0

    def __post_init__(self) -> None:
        steps = self.snr_db / SNR_STEP_DB if isinstance(self.snr_db, (int, float)) else math.nan
        if not (SNR_LOW_DB <= steps * SNR_STEP_DB <= SNR_HIGH_DB and steps == round(steps)):
            raise InputError(
                f"SNR {self.snr_db} is not served: choose from {SNR_LOW_DB:g} to "
                f"{SNR_HIGH_DB:g} dB in steps of {SNR_STEP_DB:g}"
            )
        for name, choices in (
            ("cbr", CBRS),
            ("channel", tuple(LINKS)),
            ("weights", WEIGHTS),
            ("mode", DIGITAL_MODES),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"{name} {value!r} is not served: choose {', '.join(choices)}")
        if not isinstance(self.seed, int) or not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"{self.seed!r} is not a seed: give a whole number from 0")

    @classmethod
    def read(cls, values: Any) -> Settings:
        """From JSON; what is not named is as usual.

        Raises:
            InputError: it is no object, an unknown name, or a value that is not served.
        """
        if not isinstance(values, Mapping):
            raise InputError("the settings are no JSON object")
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise InputError(f"there is no setting {min(map(str, unknown))!r}")
        try:
            return cls(**values)
        except TypeError as error:  # an unhashable value, for one
            raise InputError(f"the settings cannot be read ({error})") from error

    @property
    def link(self) -> Link:
        """The channel."""
        return LINKS[self.channel]

    @property
    def ratio(self) -> float:
        """The CBR as a number."""
        return Cbr(self.cbr).value

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def transmit_command(self, picture: str, weights: str, output: str) -> str:
        """`witt transmit` for one of the neural panels."""
        words = ["witt", "transmit", picture, "--weights", weights, *self._condition()]
        return shlex.join([*words, "--output", output])

    def benchmark_command(self, folder: str, codec: str, output: str) -> str:
        """`witt benchmark` for the digital panel."""
        scheme = f"{codec}+ldpc" + ("" if self.mode == BEST_MODE else f":{self.mode}")
        words = ["witt", "benchmark", folder, "--schemes", scheme, *self._condition()]
        return shlex.join([*words, "--out", output])

    def _condition(self) -> list[str]:
        link = self.link
        fading = ["--fading", link.fading] if link.fades else []
        words = [f"--snr={self.snr_db:g}", "--cbr", self.cbr, "--channel", link.channel, *fading]
        return [*words, "--seed", str(self.seed)]
