"""What defines a codec of features: its stages, how much it sends, and what it was trained for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar

from witt.errors import InputError

T = TypeVar("T", bound="FeatureConfig")

# Entries of files that earlier versions wrote, which mean nothing where they are off.
NO_MORE = {"stem": 0, "linear_path": False, "uses_csi": False, "spreads": False}


@dataclass(frozen=True)
class FeatureConfig:
    """Sizes and abilities that `FeatureCodec` asks for; saved with every checkpoint and result.

    Args:
        name: preset this configuration started from.
        dims: feature width of each stage.
        depths: blocks or layers of each stage (the decoder mirrors them).
        patch: side of the first patch, in pixels; every later stage halves the map.
        channels: most real feature channels a token sends; two make one complex symbol.
        rate_adaptive: serve several CBRs by sending the first k feature channels.
        sends_scale: the power scale travels in the header (16 bits) and is undone.
        snr_range_db: SNRs the weights were trained for.
        cbr_range: CBRs the weights were trained for.
    """

    # Entries of earlier files that this kind of codec does not have, with the values that mean
    # nothing; None: whatever they are. And those that have another name now.
    EARLIER: ClassVar[dict[str, Any]] = {}
    RENAMED: ClassVar[dict[str, str]] = {}
    # Whether a new model gets the feature channels of the highest CBR it is trained for.
    channels_follow_cbr: ClassVar[bool] = True
    # Whether the published code has such a network that adapts its rate, and trains it.
    published_rates: ClassVar[bool] = False

    name: str
    dims: tuple[int, ...]
    depths: tuple[int, ...]
    _: KW_ONLY
    patch: int = 2
    channels: int = 96
    rate_adaptive: bool = False
    sends_scale: bool = False
    snr_range_db: tuple[float, float] = (-2.0, 20.0)
    cbr_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, list):  # when they come from JSON
                object.__setattr__(self, entry.name, tuple(value))
        self._check()

    def _check(self) -> None:
        """Refuse values that make no codec."""
        if not self.dims or len(self.dims) != len(self.depths):
            raise InputError(
                f"dims {self.dims} and depths {self.depths} need one entry for each stage"
            )
        if min(self.dims) < 1:
            raise InputError(f"the dims of a stage must be at least 1, not {self.dims}")
        self._check_least("depths", "patch")
        # The rate takes 8 bits of the header.
        if not 2 <= self.channels <= 512 or self.channels % 2:
            raise InputError(f"channels must be even, from 2 to 512, not {self.channels}")
        _check_range("snr_range_db", self.snr_range_db, -math.inf)
        if self.cbr_range is not None:
            _check_range("cbr_range", self.cbr_range, 0.0)

    def _check_least(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if min(value if isinstance(value, tuple) else (value,)) < 1:
                raise InputError(f"{name} must be at least 1, not {value}")

    @property
    def stride(self) -> int:
        """Pixels a token of the last stage covers, each way."""
        return self.patch * 2 ** (len(self.dims) - 1)

    @property
    def max_cbr(self) -> float:
        """CBR when every feature channel is sent and nothing is padded."""
        return self.channels / (6 * self.stride**2)

    @property
    def served_cbr(self) -> tuple[float, float]:
        """Lowest and highest CBR that may be asked for."""
        if self.cbr_range is not None:
            return self.cbr_range
        lowest = 2 / (6 * self.stride**2) if self.rate_adaptive else self.max_cbr
        return lowest, self.max_cbr

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls: type[T], values: dict[str, Any]) -> T:
        """Inverse of `to_dict`, of what earlier versions wrote too.

        Raises:
            InputError: an entry is unknown, missing or of the wrong kind.
        """
        given = {cls.RENAMED.get(name, name): value for name, value in values.items()}
        given.pop("codec", None)
        known = {entry.name for entry in fields(cls)}
        for name, off in {**NO_MORE, **cls.EARLIER}.items():
            if name in given and name not in known and (off is None or given[name] == off):
                del given[name]
        try:
            return cls(**given)
        except TypeError as error:
            raise InputError(f"not a configuration of {cls.__name__}: {error}") from error


def check_heads(dims: Sequence[int], heads: Sequence[int]) -> None:
    """Refuse attention heads that do not divide the widths of the stages.

    Raises:
        InputError: so it is.
    """
    if len(dims) != len(heads):
        raise InputError(f"dims {dims} and heads {heads} need one entry for each stage")
    for dim, head in zip(dims, heads, strict=True):
        if head < 1 or dim < 1 or dim % head:
            raise InputError(f"a stage of width {dim} cannot have {head} heads")


def check_modnet(layers: int, ratio: float, narrowest: int) -> None:
    """Refuse a Channel ModNet that has no layers or no width.

    Raises:
        InputError: so it is.
    """
    if layers < 1:
        raise InputError(f"modnet_layers must be at least 1, not {layers}")
    if not 1 <= narrowest * ratio < math.inf:
        raise InputError(f"modnet_ratio {ratio} gives the ModNet no hidden width")


def _check_range(name: str, bounds: tuple[float, ...], above: float) -> None:
    if len(bounds) != 2 or not above < bounds[0] <= bounds[1] < math.inf:
        raise InputError(f"{name} must be a low and a high value, both finite, not {bounds}")


def channels_for_cbr(cbr: float, stride: int) -> int:
    """Even number of feature channels whose CBR without padding is at most `cbr`."""
    return max(2, 2 * math.floor(cbr * 3 * stride**2 * (1 + 1e-9)))
