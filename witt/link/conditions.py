"""A channel condition: which channel, and how it fades."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import channels
from witt.errors import InputError, one_line
from witt.registry import CHANNELS, parse, short

OURS = ("awgn", "rayleigh", "rician")  # those with --fading, --coherence and --k-factor
FADING = ("fast", "block")
K_FACTOR_DB, MAX_K_FACTOR_DB = 6.0, 100.0


@dataclass(frozen=True)
class Link:
    """A channel and how it fades.

    Args:
        channel: "awgn", "rayleigh" or "rician", or one of your own: the name of a package's, or
            "file.py:Name:key=value". Your own says itself how it fades.
        fading: "fast", one gain a symbol, or "block"; AWGN does not fade and leaves it out.
        coherence: symbols of a block; None is one gain for a whole image.
        k_factor_db: power of the line of sight over that of the scatter, for Rician, dB.

    Raises:
        InputError: unknown channel or fading, a K factor out of range, fast fading with a
            coherence, or a channel of one's own that does not keep to `channels.Channel`.
    """

    channel: str = "awgn"
    fading: str = "fast"
    coherence: int | None = None
    k_factor_db: float = K_FACTOR_DB

    def __post_init__(self) -> None:
        if not self.is_ours:
            _tried(self.channel)
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

    @classmethod
    def of(
        cls,
        text: str,
        fading: str = "fast",
        coherence: int | None = None,
        k_factor_db: float = K_FACTOR_DB,
    ) -> Link:
        """The link of what a user wrote, "rician:k_factor_db=3" for one.

        Args:
            text: a channel, with settings if it takes any.
            fading, coherence, k_factor_db: of a channel of ours, where the text does not say.

        Raises:
            InputError: as of `Link`; or the channel does not take these settings.
        """
        target, settings = parse(text)
        if target not in OURS:
            return cls(text)
        if not settings:
            return cls(target, fading, coherence, k_factor_db)
        made = _made(text)
        coherence = getattr(made, "coherence", None)
        k_factor_db = getattr(made, "k_factor_db", k_factor_db)
        if coherence == 1:
            return cls(target, "fast", None, k_factor_db)
        return cls(target, "block", coherence, k_factor_db)

    @property
    def is_ours(self) -> bool:
        """Whether it is one of `OURS`, which the fading options are for."""
        return self.channel in OURS

    @property
    def fades(self) -> bool:
        """Whether the gain is random."""
        return self.channel != "awgn" if self.is_ours else _tried(self.channel).fades

    def module(self) -> channels.Channel:
        """The channel model."""
        coherence = 1 if self.fading == "fast" else self.coherence
        if self.channel == "rayleigh":
            return channels.Rayleigh(coherence)
        if self.channel == "rician":
            return channels.Rician(self.k_factor_db, coherence)
        if self.channel == "awgn":
            return channels.AWGN()
        return _made(self.channel)

    def __str__(self) -> str:
        if not self.is_ours:
            return _tried(self.channel).label
        if not self.fades:
            return "AWGN"
        name = self.channel.capitalize()
        if self.channel == "rician":
            name += f" K = {self.k_factor_db:g} dB"
        if self.fading == "fast":
            return f"{name}, fast fading"
        block = "one gain an image" if self.coherence is None else f"{self.coherence} symbols"
        return f"{name}, block fading ({block})"

    @property
    def slug(self) -> str:
        """For the names of files: letters, digits and hyphens."""
        named = self.channel if self.is_ours else re.sub(r"[^\w.-]+", "-", short(self.channel))
        return f"{named}-{self.fading}" if self.is_ours and self.fades else named

    def record(self) -> dict[str, Any]:
        """Plain values for JSON, None where the channel has no such thing.

        A channel of one's own says too whether it fades, which version of it this is, and the
        channel uses for each symbol where it sends more, as pilots.
        """
        if not self.is_ours:
            overhead = _tried(self.channel).overhead
            return {
                "channel": self.channel,
                **dict.fromkeys(("fading", "coherence", "k_factor_db")),
                "fades": self.fades,
                "source": _tried(self.channel).source,
                **({} if overhead == 1 else {"overhead": overhead}),
            }
        return {
            "channel": self.channel,
            "fading": self.fading if self.fades else None,
            "coherence": self.coherence if self.fades and self.fading == "block" else None,
            "k_factor_db": self.k_factor_db if self.channel == "rician" else None,
        }


@dataclass(frozen=True)
class _Tried:
    """What is known of a channel of one's own once it was made."""

    fades: bool
    label: str
    source: str | None
    overhead: float


def _made(text: str) -> channels.Channel:
    made: channels.Channel = CHANNELS.make(text)
    return made


@lru_cache
def _tried(text: str) -> _Tried:
    """Make a channel of one's own, and see whether it does what a channel must.

    Raises:
        InputError: it does not.
    """
    made = _made(text)
    try:
        channels.check_channel(made)
    except Exception as error:  # whatever its own code raises
        raise InputError(f"channel {text}: {one_line(error)}") from error
    settings = ", ".join(f"{key} = {value}" for key, value in parse(text).settings.items())
    name = short(parse(text).target)
    label = made.label or (f"{name}, {settings}" if settings else name)
    return _Tried(made.fading, str(label), CHANNELS.source(text), float(made.overhead))
