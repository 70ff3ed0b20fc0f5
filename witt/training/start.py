"""The model that a run starts from."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from numbers import Real
from typing import Any

import torch

from witt.codecs.feature_config import FeatureConfig, channels_for_cbr
from witt.codecs.features import FeatureCodec
from witt.contract import Codec, Preparation
from witt.errors import InputError
from witt.metrics.loss import ms_ssim_scales
from witt.nn.meta import without_values
from witt.registry import PRESETS, is_path
from witt.store.weights import load_weights, resolve
from witt.training.config import TrainConfig
from witt.training.masking import check_masking
from witt.training.pictures import Pictures
from witt.training.published import check_published

USUAL_CBR = ("1/48", "1/24", "1/16", "1/12", "1/8", "1/6", "1/4", "1/3", "1/2")
# Follow from --preset, --snr and --cbr.
FOLLOWS = ("name", "snr_range_db", "cbr_range")
# What --set may change of weights that are there already: it changes none of them.
ABILITIES = ("modulation",)
MUON_LR = 0.01
LR = 1e-3  # of AdamW
# From weights that are there: at the rates of a new network a run begins by unlearning
# (docs/trials.md).
FINE_TUNING_LR, FINE_TUNING_MUON_LR = 1e-4, 0.003


def base_codec(name: str, overrides: dict[str, Any], init: str | None) -> Codec:
    """The codec of a preset with its overrides, without values, or that of the weights of `init`.

    Raises:
        InputError: unknown preset, an override unknown or of the wrong kind, or no such weights.
    """
    if init is not None:
        codec: Codec = load_weights(resolve(init))[0]
        return codec
    _check_overrides(_without_values(name, {}), overrides, PRESETS.find(name))
    return _without_values(name, overrides)


def _without_values(name: str, overrides: dict[str, Any]) -> Codec:
    def make() -> Codec:
        codec = PRESETS.make(name, **overrides)
        if not isinstance(codec, Codec):
            raise InputError(f"preset {name}: makes {type(codec).__name__}, not a witt.Codec")
        return codec

    with torch.random.fork_rng(devices=[]):
        try:
            return without_values(make)
        except InputError:
            raise
        except Exception:  # one's own may look at its values
            return make()


def default_cbr(base: Codec) -> tuple[str, ...]:
    """CBRs to train for when none were asked for: all that the model is for, as text."""
    if base.served_cbr is None:
        return ("1/16",)
    low, high = base.served_cbr
    most = Fraction(high).limit_denominator(10_000)
    if isinstance(base, FeatureCodec):
        most = Fraction(base.config.channels, 6 * base.config.stride**2)
        high = min(high, float(most))
    if not isinstance(base, FeatureCodec) or base.config.rate_adaptive:
        usual = [text for text in USUAL_CBR if low * 0.999 <= Fraction(text) <= high * 1.001]
        if usual:
            return tuple(usual)
    return (str(most),)


def default_muon_lr(base: Codec, profile: str) -> float:
    """Peak learning rate of Muon where none was asked for."""
    own = base.muon_lr if profile == "ours" else None
    return MUON_LR if own is None else own


def default_learning_rates(base: Codec, profile: str, fine_tuning: bool) -> dict[str, float]:
    """Peak learning rates of AdamW and Muon where none were asked for, as entries of the settings.

    Args:
        base: of the model.
        profile: of the training.
        fine_tuning: whether it starts from weights that are there.
    """
    if fine_tuning:
        return {"lr": FINE_TUNING_LR, "muon_lr": FINE_TUNING_MUON_LR}
    return {"lr": LR, "muon_lr": default_muon_lr(base, profile)}


def feature_config(base: FeatureCodec, config: TrainConfig) -> FeatureConfig:
    """Sizes and abilities of the codec of features that a run without --init trains.

    A rate-adaptive preset gets the feature channels of the highest CBR asked for, another one
    those of the only CBR.

    Raises:
        InputError: the CBRs do not fit.
    """
    sizes = base.config
    if "channels" not in config.overrides and sizes.channels_follow_cbr:
        sizes = replace(sizes, channels=channels_for_cbr(max(config.cbr_values), sizes.stride))
    return _serving(sizes, config)


def _check_overrides(codec: Codec, overrides: dict[str, Any], factory: Any = None) -> None:
    """Refuse entries of --set that a codec does not have, or of another kind."""
    there = codec.plain_config()
    known = [name for name in there if name not in FOLLOWS]
    takes = inspect.signature(factory).parameters if factory is not None else {}
    if takes and not any(each.kind == each.VAR_KEYWORD for each in takes.values()):
        known = list(takes)
    for key, value in overrides.items():
        if key not in known:
            choices = f"choose from {', '.join(known)}" if known else "it takes none"
            raise InputError(f"--set {key}: unknown; {choices}")
        like = there.get(key)
        if like is None:
            continue
        if isinstance(like, bool):
            fits, kind = isinstance(value, bool), "true or false"
        elif isinstance(like, int):
            fits, kind = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        elif isinstance(like, tuple):
            fits = isinstance(value, (list, tuple)) and all(type(v) is int for v in value)
            kind = "whole numbers, as 48,96,192"
        elif isinstance(like, float):
            fits, kind = isinstance(value, Real) and not isinstance(value, bool), "a finite number"
            fits = fits and math.isfinite(value)
        else:
            fits, kind = isinstance(value, type(like)), f"of the kind of {like!r}"
        if not fits:
            raise InputError(f"--set {key}={value}: it must be {kind}")


def _serving(base: FeatureConfig, config: TrainConfig) -> FeatureConfig:
    """The model's configuration with what it is trained for, checked against what it can send."""
    cbrs = config.cbr_values
    least, stride = 2 / (6 * base.stride**2), base.stride
    for text, cbr in zip(config.cbr, cbrs, strict=True):
        if cbr < least * (1 - 1e-9):
            raise InputError(
                f"--cbr {text}: {base.name} sends at least {least:.4g} (one symbol a token)"
            )
        if channels_for_cbr(cbr, stride) > base.channels:
            raise InputError(
                f"--cbr {text}: {base.name} with {base.channels} feature channels sends at most "
                f"{base.max_cbr:.4g}"
            )
    if config.crop % stride:
        raise InputError(
            f"--crop {config.crop}: it must be a multiple of {stride}, the stride of {base.name}"
        )
    if config.loss == "ms-ssim" and config.profile == "ours":
        ms_ssim_scales(config.crop)  # refuses crops that are too small
    trained = replace(base, snr_range_db=(min(config.snr), max(config.snr)))
    if config.profile == "published":
        check_published(config, base.name, base.rate_adaptive and not base.published_rates)
        trained = replace(trained, sends_scale=True)  # its receiver undoes the power
    if base.rate_adaptive:
        return replace(trained, cbr_range=(min(cbrs), max(cbrs)))
    if len(set(cbrs)) > 1:
        raise InputError(
            f"{base.name} has one CBR, and --cbr asks for {len(set(cbrs))}: "
            "train one model for each, or --set rate_adaptive=true"
        )
    if channels_for_cbr(cbrs[0], stride) != base.channels:
        raise InputError(f"--cbr {config.cbr[0]}: these weights have {base.max_cbr:.4g} only")
    return trained


def _check_whole(codec: Codec, config: TrainConfig) -> None:
    """Refuse settings that a codec which is not one of features cannot be trained with."""
    for cbr in config.cbr_values:
        codec.check_cbr(cbr)
    if config.loss == "ms-ssim" and config.profile == "ours":
        ms_ssim_scales(config.crop)  # refuses crops that are too small
    if config.profile == "published":
        check_published(config, codec.name, len(set(config.cbr)) > 1)


def initial_model(config: TrainConfig) -> Codec:
    """The model of a new run, checked against its settings, before any picture is read.

    Raises:
        InputError: the settings do not fit, or the weights of --init cannot be read or do not fit.
    """
    model = _new(config) if config.init is None else _fine_tuned(config, config.init)
    check_masking(model, config)
    return model


def _new(config: TrainConfig) -> Codec:
    """The codec that a run without --init starts from."""
    base = base_codec(config.preset, config.overrides, None)
    sizes = feature_config(base, config) if isinstance(base, FeatureCodec) else None
    # The layers start themselves from the global generator, whose state is put back after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            made = PRESETS.make(config.preset, **config.overrides) if sizes is None else None
            model: Codec = type(base)(sizes) if made is None else made  # type: ignore[call-arg]
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"no model of these sizes: {str(error).splitlines()[0]}") from error
        if config.profile == "ours":
            model.initialise()
    if sizes is None:
        _check_whole(model, config)
    return model


def _fine_tuned(config: TrainConfig, init: str) -> Codec:
    """The codec of the weights that a run starts from."""
    stored: Codec = load_weights(resolve(init))[0]
    if stored.name != config.preset and stored.name != _name_of(config.preset):
        raise InputError(f"--preset {config.preset}: {init} holds {stored.name}")
    _check_fixed(stored, config.overrides)
    if not isinstance(stored, FeatureCodec):
        _check_whole(stored, config)
        return stored
    abilities = {name: v for name, v in config.overrides.items() if name in ABILITIES}
    model = type(stored)(_serving(replace(stored.config, **abilities), config))
    model.load_state_dict(stored.state_dict())
    return model


def _name_of(preset: str) -> str:
    """What the codec of one's own preset calls itself."""
    return _without_values(preset, {}).name if is_path(preset) else preset


def _check_fixed(stored: Codec, overrides: dict[str, Any]) -> None:
    """Refuse what --set would change of weights that are there."""
    _check_overrides(stored, overrides)
    for name, value in overrides.items():
        has = stored.plain_config()[name]
        if name not in ABILITIES and has != (tuple(value) if isinstance(has, tuple) else value):
            raise InputError(
                f"--set {name}: the weights of --init fix it ({has}); only "
                f"{', '.join(ABILITIES)} can be set"
            )


def training_before(config: TrainConfig) -> dict[str, Any] | None:
    """Training record of the weights that a run starts from, if any."""
    return None if config.init is None else load_weights(resolve(config.init))[1]


def set_trained(codec: Codec, config: TrainConfig) -> None:
    """Let a codec say what a run trains it for, if it can be trained so.

    Raises:
        InputError: it cannot.
    """
    check_masking(codec, config)
    if not isinstance(codec, FeatureCodec):
        _check_whole(codec, config)
        return
    sizes = _serving(codec.config, config)
    codec.config = sizes
    codec.served_cbr, codec.snr_range_db = sizes.served_cbr, sizes.snr_range_db


def prepare(
    model: Codec,
    config: TrainConfig,
    pictures: Pictures,
    say: Callable[[str], None],
    new: bool | None = None,
) -> None:
    """Let a codec take what does not come from gradients from the training pictures.

    Args:
        model: new, or with the weights of --init.
        config: of the run.
        pictures: to train on.
        say: told what takes a minute.
        new: whether the weights are new; None is where there is no --init.
    """
    scales = ms_ssim_scales(config.crop) if config.loss == "ms-ssim" else 0
    new = config.init is None if new is None else new
    job = Preparation(pictures, new, config.seed, config.loss, scales)
    model.prepare(job, say)
