"""Weights files: safetensors with the model's configuration, a format version and a hash.

A folder stands for the file in it: that of a run of `witt train`, or of `save_pretrained`, which
has its configuration beside it and neither a training record nor a hash.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from textwrap import shorten
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from witt.errors import InputError, one_line
from witt.files import write_bytes
from witt.report import to_json
from witt.store.making import from_values, to_values

FORMAT = "witt-1"
SHIPPED = Path(__file__).parents[1] / "weights"
# In the folder of a run of `witt train`, and in one that `save_pretrained` wrote.
RUN_FILE, PRETRAINED_FILE, PRETRAINED_CONFIG = (
    "weights.safetensors",
    "model.safetensors",
    "config.json",
)


def _digest(state: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """SHA-256 over configuration, training and, in the order of their names, the tensors."""
    sha = hashlib.sha256()
    for entry in ("config", "training"):
        sha.update(metadata.get(entry, "").encode() + b"\n")
    for name in sorted(state):
        tensor = state[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def save_weights(
    path: str | Path, model: Any, training: dict[str, Any], *, dtype: torch.dtype = torch.float16
) -> None:
    """Write a model, atomically.

    Args:
        path: the file, ``.safetensors``.
        model: the codec to store.
        training: how it was trained: plain values, shown by `witt info`.
        dtype: of the stored tensors; float32 keeps every bit of weights that come from elsewhere.

    Raises:
        InputError: a weight is not finite in this precision: the training has diverged.
    """
    state = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in ((n, t.detach()) for n, t in model.state_dict().items())
    }
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            precision = {torch.float16: "half precision", torch.float32: "float32"}.get(
                dtype, dtype
            )
            raise InputError(f"{path}: not written, since {name} is not finite in {precision}")
    metadata = {
        "format": FORMAT,
        "config": to_json(to_values(model), indent=None),
        "training": to_json(training, indent=None),
    }
    metadata["sha256"] = _digest(state, metadata)
    write_bytes(path, safetensors.torch.save(state, metadata))


def stored_dtype(path: str | Path) -> torch.dtype:
    """The precision that a weights file keeps, as `save_weights` takes it.

    Raises:
        InputError: it is no safetensors file.
    """
    path = _file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file, or a damaged one ({error})") from error
    return torch.float32 if kinds & {"F32", "F64", "BF16"} else torch.float16


@torch.inference_mode(False)  # gradients may be wanted later
def load_weights(path: str | Path) -> tuple[Any, dict[str, Any]]:
    """Read a weights file.

    Args:
        path: written by `save_weights` or `save_pretrained`, or the folder that it is in; only
            safetensors is read, never a pickle.

    Returns:
        The model in float32, in evaluation mode, on the CPU; and how it was trained, which
        `save_pretrained` does not keep.

    Raises:
        InputError: missing, cut short, changed, of another format version or no WITT weights.
    """
    path = _file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file, or a damaged one ({error})") from error
    beside = path.with_name(PRETRAINED_CONFIG)
    if metadata.get("format") == "pt" and beside.is_file():
        metadata = {"config": _text(beside), "training": "{}"}
    elif metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: weights of format {metadata.get('format')!r}, this version reads {FORMAT!r}"
        )
    elif metadata.get("sha256") != _digest(state, metadata):
        raise InputError(f"{path}: the weights do not match their hash: the file is damaged")
    try:
        training = json.loads(metadata["training"])
        model = from_values(json.loads(metadata["config"]))
        model.load_state_dict(
            {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
        )
    except (KeyError, ValueError, RuntimeError) as error:
        # A wholly different network would list every tensor.
        reason = shorten(str(error), width=200)
        raise InputError(f"{path}: not the weights of a WITT model ({reason})") from error
    return model.eval(), training


def _file(path: str | Path) -> Path:
    """The weights file that a path means.

    Raises:
        InputError: there is none.
    """
    path = Path(path)
    if os.path.isfile(path):  # Path.is_file raises for names that no file can have
        return path
    if not os.path.isdir(path):
        raise InputError(f"{path}: no such weights file")
    if (path / RUN_FILE).is_file():
        return path / RUN_FILE
    if (path / PRETRAINED_FILE).is_file() and (path / PRETRAINED_CONFIG).is_file():
        return path / PRETRAINED_FILE
    raise InputError(
        f"{path}: no such weights file: the folder has neither {RUN_FILE} (of witt train) nor "
        f"{PRETRAINED_CONFIG} and {PRETRAINED_FILE} (of save_pretrained)"
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from error


def shipped() -> dict[str, Path]:
    """Weights files that come with the package, by name."""
    return {p.stem: p for p in sorted(SHIPPED.glob("*.safetensors"))}


def load(name_or_path: str | Path = "witt_light") -> Any:
    """A trained model, from the weights that are shipped or from a file; no network is needed.

    Args:
        name_or_path: name of shipped weights ("witt_light"), or as of `load_weights`.

    Raises:
        InputError: no such weights, or a damaged file.
    """
    return load_weights(resolve(name_or_path))[0]


def resolve(name_or_path: str | Path) -> Path:
    """Path of shipped weights by name, or of the file that a path means.

    Raises:
        InputError: neither; the message lists the names.
    """
    files = shipped()
    if str(name_or_path) in files:
        return files[str(name_or_path)]
    if not os.path.exists(name_or_path):
        names = ", ".join(files) or "none"
        raise InputError(f"{name_or_path}: no such weights file, nor shipped weights ({names})")
    return _file(name_or_path)
