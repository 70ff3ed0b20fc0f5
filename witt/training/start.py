"""The model that a run starts from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from numbers import Real
from typing import Any, cast

import torch
from torch import nn

from witt.codecs.config import PRESETS, ModelConfig, channels_for_cbr, preset
from witt.codecs.model import WITT
from witt.errors import InputError
from witt.nn.layers import ModNet, init_steady
from witt.store.weights import load_weights, resolve
from witt.training.classes import start_classes
from witt.training.config import TrainConfig
from witt.training.loss import ms_ssim_scales
from witt.training.pictures import Pictures
from witt.training.published import check_published
from witt.training.weighting import weigh_for_ms_ssim

USUAL_CBR = ("1/48", "1/24", "1/16", "1/12", "1/8", "1/6", "1/4", "1/3", "1/2")
# Follow from --preset, --snr and --cbr.
FOLLOWS = ("name", "network", "snr_range_db", "cbr_range")
# What --set may change of weights that are there already: it changes none of them.
ABILITIES = ("modulation",)
# The start of the published networks, and the learning rate of Muon on them: with the published
# start, weights of 0.02 throughout, they are 1.2 to 2.5 dB behind at equal steps.
BRANCHES = 0.3
OPEN_GATES = 2.0  # before the sigmoid
MUON_LR, MUON_LR_PUBLISHED = 0.01, 0.005
LR = 1e-3  # of AdamW
# From weights that are there: at the rates of a new network a run begins by unlearning
# (docs/trials.md).
FINE_TUNING_LR, FINE_TUNING_MUON_LR = 1e-4, 0.003


def base_config(name: str, overrides: dict[str, Any], init: str | None) -> ModelConfig:
    """The preset with its overrides, or what the weights of `init` hold.

    Raises:
        InputError: unknown preset, an override unknown or of the wrong kind, or no such weights.
    """
    if init is not None:
        return load_weights(resolve(init))[0].config
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}")
    _check_overrides(PRESETS[name], overrides)
    return preset(name, **overrides)


def default_cbr(base: ModelConfig) -> tuple[str, ...]:
    """CBRs to train for when none were asked for: all that the model is for, as text."""
    low, high = base.served_cbr
    if base.rate_adaptive:
        high = min(high, base.max_cbr)
        usual = [text for text in USUAL_CBR if low * 0.999 <= Fraction(text) <= high * 1.001]
        if usual:
            return tuple(usual)
    return (str(Fraction(base.channels, 6 * base.stride**2)),)


def default_muon_lr(base: ModelConfig, profile: str) -> float:
    """Peak learning rate of Muon where none was asked for."""
    ours = base.network == "swin" and not base.classes and profile == "ours"
    return MUON_LR_PUBLISHED if ours else MUON_LR


def default_learning_rates(base: ModelConfig, profile: str, fine_tuning: bool) -> dict[str, float]:
    """Peak learning rates of AdamW and Muon where none were asked for, as entries of the settings.

    Args:
        base: of the model.
        profile: of the training.
        fine_tuning: whether it starts from weights that are there.
    """
    if fine_tuning:
        return {"lr": FINE_TUNING_LR, "muon_lr": FINE_TUNING_MUON_LR}
    return {"lr": LR, "muon_lr": default_muon_lr(base, profile)}


def start_steady(model: WITT) -> None:
    """Weights from which the paper's network learns: features keep their size, gates are open."""
    for end in (model.encoder, model.decoder):
        init_steady(end, BRANCHES)
        for factor in cast(ModNet, end.modnet).bm_list:
            first, *_, last, _ = cast("list[nn.Linear]", list(cast(nn.Sequential, factor)))
            nn.init.constant_(last.bias, OPEN_GATES)
            if not model.config.rate_adaptive:  # told the SNR in dB, not in tens of dB
                with torch.no_grad():
                    first.weight.mul_(0.1)


def model_config(config: TrainConfig) -> ModelConfig:
    """Sizes and abilities of the model that a run without --init trains.

    A rate-adaptive preset gets the feature channels of the highest CBR asked for, another one
    those of the only CBR.

    Raises:
        InputError: as `base_config`, or the CBRs do not fit.
    """
    base = base_config(config.preset, config.overrides, None)
    if "channels" not in config.overrides and not base.classes:
        base = replace(base, channels=channels_for_cbr(max(config.cbr_values), base.stride))
    return _serving(base, config)


def _check_overrides(there: ModelConfig, overrides: dict[str, Any]) -> None:
    known = [entry.name for entry in fields(ModelConfig) if entry.name not in FOLLOWS]
    for key, value in overrides.items():
        if key not in known:
            raise InputError(f"--set {key}: unknown; choose from {', '.join(known)}")
        like = getattr(there, key)
        if isinstance(like, bool):
            fits, kind = isinstance(value, bool), "true or false"
        elif isinstance(like, int):
            fits, kind = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        elif isinstance(like, tuple):
            fits = isinstance(value, (list, tuple)) and all(type(v) is int for v in value)
            kind = "whole numbers, as 48,96,192"
        else:
            fits, kind = isinstance(value, Real) and not isinstance(value, bool), "a finite number"
            fits = fits and math.isfinite(value)
        if not fits:
            raise InputError(f"--set {key}={value}: it must be {kind}")


def _serving(base: ModelConfig, config: TrainConfig) -> ModelConfig:
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
        check_published(config, base)
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


def initial_model(config: TrainConfig) -> WITT:
    """The model of a new run, checked against its settings, before any picture is read.

    Raises:
        InputError: as `model_config`, or the weights of --init cannot be read or do not fit.
    """
    if config.init is not None:
        stored, _ = load_weights(resolve(config.init))
        if config.preset != stored.config.name:
            raise InputError(f"--preset {config.preset}: {config.init} holds {stored.config.name}")
        model = WITT(_serving(_with_abilities(stored.config, config), config))
        model.load_state_dict(stored.state_dict())
        return model
    sizes = model_config(config)
    # The layers start themselves from the global generator, whose state is put back after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            model = WITT(sizes)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"no model of these sizes: {str(error).splitlines()[0]}") from error
        if sizes.network == "swin" and not sizes.classes and config.profile == "ours":
            start_steady(model)
    return model


def _with_abilities(there: ModelConfig, config: TrainConfig) -> ModelConfig:
    """The configuration of weights, with what may be replaced of it."""
    _check_overrides(there, config.overrides)
    for name, value in config.overrides.items():
        has = getattr(there, name)
        if name not in ABILITIES and has != (tuple(value) if isinstance(has, tuple) else value):
            raise InputError(
                f"--set {name}: the weights of --init fix it ({has}); only "
                f"{', '.join(ABILITIES)} can be set"
            )
    abilities = {name: v for name, v in config.overrides.items() if name in ABILITIES}
    return replace(there, **abilities)


def training_before(config: TrainConfig) -> dict[str, Any] | None:
    """Training record of the weights that a run starts from, if any."""
    return None if config.init is None else load_weights(resolve(config.init))[1]


def start_code(
    model: WITT, config: TrainConfig, pictures: Pictures, say: Callable[[str], None]
) -> None:
    """Set what the code of classes takes from the training pictures.

    These are its classes and, for MS-SSIM, what errors count.

    Args:
        model: new, or with the weights of --init, whose classes stay.
        config: of the run.
        pictures: some of them are looked at.
        say: told what takes a minute.
    """
    if model.code is None:
        return
    usual_cbr = model.config.served_cbr[1] / 2
    if config.init is None:
        say("making the classes of tokens from the training pictures …")
        start_classes(model.code, pictures, usual_cbr, config.seed)
    if config.loss == "ms-ssim" and not model.code.log_weight.any():
        say("weighing the errors in each class for MS-SSIM …")
        scales = ms_ssim_scales(config.crop)
        weigh_for_ms_ssim(model.code, pictures, usual_cbr, scales, config.seed)
