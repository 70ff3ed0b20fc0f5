"""What defines a model: its sizes, and the SNRs and rates it serves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from witt.errors import InputError

NO_MORE = frozenset(("stem", "linear_path", "uses_csi", "spreads"))


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and abilities of a WITT model; saved with every checkpoint and result.

    Args:
        name: preset this configuration started from.
        dims: feature width of each stage.
        depths: Swin blocks of each stage (the decoder mirrors them).
        heads: attention heads of each stage.
        network: "swin", or "cnn" for DeepJSCC's convolutions, where `depths` counts convolutions
            and `heads` and the ModNet's sizes mean nothing.
        window: side of the attention window, in tokens; for a CNN that of its kernels.
        patch: side of the first patch, in pixels; every later stage halves the map.
        channels: most real feature channels a token sends; two make one complex symbol.
        modnet_layers: factors in the Channel ModNet (7 in the paper).
        modnet_ratio: hidden width of the ModNet over the feature width (1.5 in the paper).
        modulation: use the Channel ModNets; without, their weights are there and unused.
        rate_adaptive: serve several CBRs by sending the first k feature channels.
        classes: of tokens, for a linear code that tells them apart, beside which the networks work
            (`witt.codecs.classified`); both are then those of its `refiner`. 0 for none.
        refiner_blocks: Swin blocks of that decoder at its widest map, as wide as the first stage;
            below it `depths` count, as in the encoder.
        smooth_channels: how many of the first features of that code are sent by their spatial
            frequencies.
        sends_scale: the power scale travels in the header (16 bits) and is undone.
        snr_range_db: SNRs the weights were trained for.
        cbr_range: CBRs the weights were trained for.
    """

    name: str
    dims: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    network: str = "swin"
    window: int = 8
    patch: int = 2
    channels: int = 96
    modnet_layers: int = 7
    modnet_ratio: float = 1.5
    modulation: bool = True
    rate_adaptive: bool = False
    classes: int = 0
    refiner_blocks: int = 6
    smooth_channels: int = 0
    sends_scale: bool = False
    snr_range_db: tuple[float, float] = (-2.0, 20.0)
    cbr_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for field in ("dims", "depths", "heads", "snr_range_db", "cbr_range"):
            value = getattr(self, field)
            if value is not None:  # lists when they come from JSON
                object.__setattr__(self, field, tuple(value))
        if not self.dims or not len(self.dims) == len(self.depths) == len(self.heads):
            raise InputError(
                f"dims {self.dims}, depths {self.depths} and heads {self.heads} "
                "need one entry for each stage"
            )
        for dim, heads in zip(self.dims, self.heads, strict=True):
            if heads < 1 or dim < 1 or dim % heads:
                raise InputError(f"a stage of width {dim} cannot have {heads} heads")
        if self.network not in ("swin", "cnn"):
            raise InputError(f"network must be swin or cnn, not {self.network!r}")
        if self.network == "cnn":
            self._check_cnn()
        if min(self.depths) < 1 or self.window < 1 or self.patch < 1 or self.modnet_layers < 1:
            raise InputError("depths, window, patch and modnet_layers must be at least 1")
        # The rate takes 8 bits of the header.
        if not 2 <= self.channels <= 512 or self.channels % 2:
            raise InputError(f"channels must be even, from 2 to 512, not {self.channels}")
        if self.classes and not self.smooth_channels < self.channels <= 3 * self.stride**2:
            raise InputError(
                f"classes need more than {self.smooth_channels} channels and at most "
                f"{3 * self.stride**2}, not {self.channels}"
            )
        if self.refiner_blocks < 1:
            raise InputError(f"refiner_blocks must be at least 1, not {self.refiner_blocks}")
        if self.smooth_channels < 0:
            raise InputError(f"smooth_channels must be 0 or more, not {self.smooth_channels}")
        if not 1 <= min(self.dims) * self.modnet_ratio < math.inf:
            raise InputError(f"modnet_ratio {self.modnet_ratio} gives the ModNet no hidden width")
        _check_range("snr_range_db", self.snr_range_db, -math.inf)
        if self.cbr_range is not None:
            _check_range("cbr_range", self.cbr_range, 0.0)

    def _check_cnn(self) -> None:
        if self.classes or not self.modulation:
            raise InputError("a CNN has no modulation and no classes")
        if self.window % 2 == 0:
            raise InputError(f"the kernels of a CNN have an odd side, not window {self.window}")

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
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of `to_dict`; abilities that there are no more are left out where they were off.

        Raises:
            InputError: an entry is unknown, missing or of the wrong kind.
        """
        try:
            values = dict(values)
            gone = {name for name in NO_MORE if not values.get(name)}
            return cls(**{name: value for name, value in values.items() if name not in gone})
        except TypeError as error:
            raise InputError(f"not a model configuration: {error}") from error


def _check_range(name: str, bounds: tuple[float, ...], above: float) -> None:
    if len(bounds) != 2 or not above < bounds[0] <= bounds[1] < math.inf:
        raise InputError(f"{name} must be a low and a high value, both finite, not {bounds}")


def channels_for_cbr(cbr: float, stride: int) -> int:
    """Even number of feature channels whose CBR without padding is at most `cbr`."""
    return max(2, 2 * math.floor(cbr * 3 * stride**2 * (1 + 1e-9)))


_PAPER = {"dims": (128, 192, 256, 320), "heads": (4, 6, 8, 10), "window": 8}
PRESETS: dict[str, ModelConfig] = {
    "witt_base": ModelConfig("witt_base", depths=(2, 2, 6, 2), **_PAPER),  # type: ignore[arg-type]
    "witt_small": ModelConfig("witt_small", depths=(2, 2, 2, 2), **_PAPER),  # type: ignore[arg-type]
    "witt_large": ModelConfig("witt_large", depths=(2, 2, 18, 2), **_PAPER),  # type: ignore[arg-type]
    "witt_cifar": ModelConfig(
        "witt_cifar", dims=(128, 256), depths=(2, 4), heads=(4, 8), window=2, channels=32
    ),
    "witt_light": ModelConfig(
        "witt_light",
        dims=(64, 128, 192),
        depths=(1, 1, 2),
        heads=(4, 8, 8),
        patch=4,
        channels=390,
        modnet_layers=3,
        modnet_ratio=1.0,
        rate_adaptive=True,
        classes=8,
        smooth_channels=6,
        sends_scale=True,
        cbr_range=(1 / 48, 1 / 8),
    ),
    "witt_cifar_light": ModelConfig(
        "witt_cifar_light",
        dims=(48, 64, 96),
        depths=(1, 1, 2),
        heads=(3, 4, 6),
        window=4,
        channels=192,
        modnet_layers=3,
        modnet_ratio=1.0,
        rate_adaptive=True,
        classes=8,
        smooth_channels=6,
        sends_scale=True,
        cbr_range=(1 / 12, 1 / 2),
    ),
    "deepjscc": ModelConfig(
        "deepjscc",
        dims=(16, 32),
        depths=(1, 3),
        heads=(1, 1),
        network="cnn",
        window=5,
        channels=6,
    ),
}


def preset(name: str, **overrides: Any) -> ModelConfig:
    """Configuration of a preset with some entries replaced.

    Args:
        name: one of `PRESETS`.
        **overrides: entries of `ModelConfig`; also ``cbr``, which sets ``channels``.

    Raises:
        InputError: unknown preset or entry; the message lists the choices.
    """
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}")
    config = PRESETS[name]
    cbr = overrides.pop("cbr", None)
    try:
        config = replace(config, **overrides)
    except TypeError as error:
        raise InputError(f"preset {name}: {error}") from error
    if cbr is not None:
        config = replace(config, channels=channels_for_cbr(_parse_cbr(cbr), config.stride))
        if config.cbr_range is not None:  # no more than what is there can be asked for
            low, high = config.cbr_range
            most = config.max_cbr
            config = replace(config, cbr_range=(min(low, most), min(high, most)))
    return config


def _parse_cbr(cbr: Any) -> float:
    """A positive number, or a fraction as text ("1/16")."""
    try:
        value = float(Fraction(cbr))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"cbr must be a number or a fraction like 1/16, not {cbr!r}") from error
    if value <= 0:
        raise InputError(f"cbr must be above 0, not {cbr!r}")
    return value
