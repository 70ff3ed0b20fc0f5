"""`witt import-weights`: weights of the published WITT code as a weights file of ours.

The names and shapes are those that the published network gives its parameters (WITT, arXiv
2211.00937, and SwinJSCC's sizes of it); the arithmetic of the presets is the same, so that the
imported model computes what the published one does. Nothing of a file is executed.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from witt.codecs.config import ModelConfig, preset
from witt.codecs.meta import meta_model
from witt.codecs.model import WITT
from witt.errors import InputError, one_line

IMPORTABLE = ("witt_base", "witt_cifar", "witt_small", "witt_large")
CHANNELS_KEY = "encoder.head_list.weight"  # (C, D): the one size that a preset does not fix
NAMED = 20

# Recomputed for every picture size, or of the loss: no weights, whatever size they have.
IGNORED = re.compile(r"(.*\.)?(attn_mask|relative_position_index)|distortion_loss\..*")
# Ours to theirs.
RENAMED = (
    (re.compile(r"\.head\."), ".head_list."),
    (re.compile(r"\.modnet\.sm_list\."), ".sm_list."),
    (re.compile(r"\.modnet\.bm_list\.(\d+)\."), r".bm_list.\1.fc."),
)


def published_name(name: str) -> str:
    """What the published code calls a parameter of ours."""
    for ours, theirs in RENAMED:
        name = ours.sub(theirs, name)
    return name


def unwrapped(loaded: Any) -> dict[str, Tensor]:
    """The bare state dict in what a file holds: nesting and the ``module.`` of DDP undone.

    Raises:
        InputError: it holds no state dict, an entry is no tensor, or two have one name.
    """
    while isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not loaded:
        raise InputError(f"no state dict, but {type(loaded).__name__}: names and tensors expected")
    state: dict[str, Tensor] = {}
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"no state dict: {key!r} is {type(value).__name__}, not a tensor")
        name = key.removeprefix("module.")
        if name in state:
            raise InputError(f"{name} is there with and without module. in front")
        state[name] = value
    return state


def imported_config(
    state: Mapping[str, Tensor], name: str, *, modulation: bool = True
) -> ModelConfig:
    """Configuration of the model that a bare published state dict is for.

    Args:
        state: from `unwrapped`.
        name: preset, one of `IMPORTABLE`; the feature channels are those of the state dict.
        modulation: whether the network uses its Channel ModNet.

    Raises:
        InputError: unknown preset, or the feature channels cannot be told or served.
    """
    if name not in IMPORTABLE:
        raise InputError(f"unknown preset {name!r}; choose one of {', '.join(IMPORTABLE)}")
    head = state.get(CHANNELS_KEY)
    if head is None or head.ndim != 2:
        found = "missing" if head is None else f"of shape {tuple(head.shape)}"
        raise InputError(
            f"{CHANNELS_KEY} is {found}: it has a row for each feature channel, (C, D); "
            "these are no weights of the published WITT"
        )
    # The published receiver undoes the power normalisation, and these weights expect it.
    return preset(name, channels=head.shape[0], modulation=modulation, sends_scale=True)


def convert(state: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """A bare published state dict as one of `WITT(config)`, in float32.

    Masks, relative position indices and the loss's tensors are left out.

    Args:
        state: from `unwrapped`.
        config: from `imported_config`.

    Raises:
        InputError: a key is missing, not known or of another shape, or its values are not
            finite; each is named.
    """
    shapes = {name: tensor.shape for name, tensor in meta_model(config).state_dict().items()}
    theirs = {published_name(name): name for name in shapes}
    ours = {key: tensor for key, tensor in state.items() if not IGNORED.fullmatch(key)}
    problems = [f"missing {key}" for key in theirs if key not in ours]
    problems += [f"not known {key}" for key in ours if key not in theirs]
    for key, tensor in ours.items():
        found = tuple(tensor.shape)
        expected = tuple(shapes[theirs[key]]) if key in theirs else found
        if found != expected:
            problems.append(f"{key} of shape {found}, not {expected}")
        elif not tensor.isfinite().all():
            problems.append(f"{key} with values that are not finite")
    if problems:
        more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        listed = "; ".join(problems[:NAMED]) + more
        raise InputError(f"not the weights of {config.name}: {listed}")
    return {name: ours[key].detach().cpu().float().contiguous() for key, name in theirs.items()}


def read_published(path: Path) -> dict[str, Tensor]:
    """The bare state dict of a file that ``torch.save`` wrote; nothing in it is executed.

    Raises:
        InputError: it is missing, damaged, or holds more than tensors and plain values.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a weights file of PyTorch, or one that holds more than tensors, which "
            "is not unpickled: save model.state_dict()"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        # torch's messages are paragraphs.
        reason = one_line(error).partition(". ")[0]
        raise InputError(f"{path}: cannot be read as weights of PyTorch: {reason}") from error
    try:
        return unwrapped(loaded)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def import_published(path: Path, name: str, *, modulation: bool = True) -> WITT:
    """The model of a published weights file, in float32, on the CPU, in evaluation mode.

        model = import_published(Path("published.model"), "witt_base")

    Args:
        path: written by the published code.
        name: preset, one of `IMPORTABLE`.
        modulation: False for weights trained without the Channel ModNet, which hold it unused.

    Raises:
        InputError: as `read_published`, `imported_config` and `convert`.
    """
    state = read_published(path)
    try:
        config = imported_config(state, name, modulation=modulation)
        weights = convert(state, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    model = WITT(config)
    model.load_state_dict(weights)
    return model.eval()
