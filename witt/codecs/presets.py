"""The presets that `witt train --preset` and `witt.create_model` know: sizes by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from functools import cache
from typing import Any

from witt.codecs.backbones import FRAMES, backbone_configs
from witt.codecs.classified.codec import ClassifiedCodec
from witt.codecs.classified.config import ClassifiedConfig
from witt.codecs.deepjscc import DeepJSCC, DeepJSCCConfig
from witt.codecs.dynamic import DynamicConfig, DynamicWITT
from witt.codecs.feature_config import FeatureConfig, channels_for_cbr
from witt.codecs.features import FeatureCodec
from witt.codecs.swinjscc import SwinJSCC, SwinJSCCConfig
from witt.codecs.witt import WITT, WITTConfig
from witt.errors import InputError
from witt.registry import PRESETS

_PAPER = {"dims": (128, 192, 256, 320), "heads": (4, 6, 8, 10), "window": 8}
_SIZES = {"small": (2, 2, 2, 2), "base": (2, 2, 6, 2), "large": (2, 2, 18, 2)}  # of SwinJSCC
_LIGHT = {
    "depths": (1, 1, 2),
    "modnet_layers": 3,
    "modnet_ratio": 1.0,
    "rate_adaptive": True,
    "classes": 8,
    "smooth_channels": 6,
    "sends_scale": True,
}
CONFIGS: dict[str, FeatureConfig] = {
    "witt_base": WITTConfig("witt_base", depths=(2, 2, 6, 2), **_PAPER),  # type: ignore[arg-type]
    "witt_small": WITTConfig("witt_small", depths=(2, 2, 2, 2), **_PAPER),  # type: ignore[arg-type]
    "witt_large": WITTConfig("witt_large", depths=(2, 2, 18, 2), **_PAPER),  # type: ignore[arg-type]
    "witt_cifar": WITTConfig("witt_cifar", (128, 256), (2, 4), (4, 8), window=2, channels=32),
    "witt_light": ClassifiedConfig(
        "witt_light",
        dims=(64, 128, 192),
        heads=(4, 8, 8),
        patch=4,
        channels=390,
        cbr_range=(1 / 48, 1 / 8),
        **_LIGHT,  # type: ignore[arg-type]
    ),
    "witt_cifar_light": ClassifiedConfig(
        "witt_cifar_light",
        dims=(48, 64, 96),
        heads=(3, 4, 6),
        window=4,
        channels=192,
        cbr_range=(1 / 12, 1 / 2),
        **_LIGHT,  # type: ignore[arg-type]
    ),
    **{
        f"swinjscc_{size}": SwinJSCCConfig(
            f"swinjscc_{size}",
            depths=depths,
            cbr_range=(1 / 48, 1 / 8),
            **_PAPER,  # type: ignore[arg-type]
        )
        for size, depths in _SIZES.items()
    },
    "deepjscc": DeepJSCCConfig("deepjscc", dims=(16, 32), depths=(1, 3), channels=6),
    **backbone_configs(),
    **{
        f"{frame}_dynamic": DynamicConfig(f"{frame}_dynamic", **FRAMES[frame].sizes)
        for frame in FRAMES
    },
}
CODECS: dict[type[FeatureConfig], type[FeatureCodec]] = {
    WITTConfig: WITT,
    DynamicConfig: DynamicWITT,
    SwinJSCCConfig: SwinJSCC,
    ClassifiedConfig: ClassifiedCodec,
    DeepJSCCConfig: DeepJSCC,
}


def preset(name: str, **overrides: Any) -> Any:
    """Configuration of one of our presets with some entries replaced.

    Args:
        name: one of `CONFIGS`.
        **overrides: entries of the preset's configuration; also ``cbr``, which sets ``channels``.

    Raises:
        InputError: unknown preset or entry; the message lists the choices.
    """
    if name not in CONFIGS:
        raise InputError(f"unknown preset {name!r}; choose one of {', '.join(CONFIGS)}")
    config = CONFIGS[name]
    cbr = overrides.pop("cbr", None)
    known = [entry.name for entry in fields(config)]
    for key in overrides:
        if key not in known:
            raise InputError(f"preset {name} has no {key}: choose from {', '.join(known)}, cbr")
    config = replace(config, **overrides)
    if cbr is not None:
        config = replace(config, channels=channels_for_cbr(_parse_cbr(cbr), config.stride))
        if config.cbr_range is not None:  # no more than what is there can be asked for
            low, high = config.cbr_range
            most = config.max_cbr
            config = replace(config, cbr_range=(min(low, most), min(high, most)))
    return config


def create_model(name: str, **overrides: Any) -> Any:
    """New codec of a preset, with random weights.

    Args:
        name: one of `witt.PRESETS`, a package's, or "file.py:make" of one's own.
        **overrides: arguments of the preset: of ours entries of its configuration
            (``rate_adaptive=False``, …), or ``cbr``, which sets the number of feature channels.

    Raises:
        InputError: unknown preset or entry.
    """
    return PRESETS.make(name, **overrides)


def codec_of(config: FeatureConfig) -> FeatureCodec:
    """A codec of ours, with random weights, of a configuration."""
    return CODECS[type(config)](config)


@cache
def _factory(name: str) -> Callable[..., FeatureCodec]:
    def make(**overrides: Any) -> FeatureCodec:
        return codec_of(preset(name, **overrides))

    make.__name__ = name
    make.__doc__ = f"A new {name}; arguments as of `preset`."
    return make


def __getattr__(name: str) -> Callable[..., FeatureCodec]:
    """The function that makes a codec of each preset, by its name."""
    if name in CONFIGS:
        return _factory(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _parse_cbr(cbr: Any) -> float:
    """A positive number, or a fraction as text ("1/16")."""
    try:
        value = float(Fraction(cbr))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"cbr must be a number or a fraction like 1/16, not {cbr!r}") from error
    if value <= 0:
        raise InputError(f"cbr must be above 0, not {cbr!r}")
    return value
