"""A channel condition: which channel, and how it fades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import channels
from witt.errors import InputError

CHANNELS = ("awgn", "rayleigh", "rician")
FADING = ("fast", "block")
K_FACTOR_DB, MAX_K_FACTOR_DB = 6.0, 100.0


@dataclass(frozen=True)
class Link:
    """A channel and how it fades.

    Args:
        channel: "awgn", "rayleigh" or "rician".
        fading: "fast", one gain a symbol, or "block"; AWGN does not fade and leaves it out.
        coherence: symbols of a block; None is one gain for a whole image.
        k_factor_db: power of the line of sight over that of the scatter, for Rician, dB.

    Raises:
        InputError: unknown channel or fading, a K factor out of range, or fast fading with a
            coherence.
    """

    channel: str = "awgn"
    fading: str = "fast"
    coherence: int | None = None
    k_factor_db: float = K_FACTOR_DB

    def __post_init__(self) -> None:
        if self.channel not in CHANNELS:
            raise InputError(f"unknown channel {self.channel!r}: choose from {', '.join(CHANNELS)}")
        if self.fading not in FADING:
            raise InputError(f"unknown fading {self.fading!r}: choose from {', '.join(FADING)}")
        if not abs(self.k_factor_db) <= MAX_K_FACTOR_DB:  # NaN too
            raise InputError(
                f"{self.k_factor_db} is not a K factor: give a number of dB from "
                f"{-MAX_K_FACTOR_DB:g} to {MAX_K_FACTOR_DB:g}"
            )
        if self.fading == "fast" and self.coherence not in (None, 1):
            raise InputError(
                f"fast fading has one gain a symbol, not one for {self.coherence}: use block fading"
            )

    @property
    def fades(self) -> bool:
        """Whether the gain is random."""
        return self.channel != "awgn"

    def module(self) -> channels.Channel:
        """The channel model."""
        coherence = 1 if self.fading == "fast" else self.coherence
        if self.channel == "rayleigh":
            return channels.Rayleigh(coherence)
        if self.channel == "rician":
            return channels.Rician(self.k_factor_db, coherence)
        return channels.AWGN()

    def __str__(self) -> str:
        if not self.fades:
            return "AWGN"
        name = self.channel.capitalize()
        if self.channel == "rician":
            name += f" K = {self.k_factor_db:g} dB"
        if self.fading == "fast":
            return f"{name}, fast fading"
        block = "one gain an image" if self.coherence is None else f"{self.coherence} symbols"
        return f"{name}, block fading ({block})"

    def record(self) -> dict[str, Any]:
        """Plain values for JSON, None where the channel has no such thing."""
        return {
            "channel": self.channel,
            "fading": self.fading if self.fades else None,
            "coherence": self.coherence if self.fades and self.fading == "block" else None,
            "k_factor_db": self.k_factor_db if self.channel == "rician" else None,
        }
