"""Weights files: safetensors with the model's configuration, a format version and a hash."""

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

from witt.config import ModelConfig
from witt.errors import InputError
from witt.files import write_bytes
from witt.model import WITT

FORMAT = "witt-1"
SHIPPED = Path(__file__).parent / "weights"


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
    path: str | Path, model: WITT, training: dict[str, Any], *, dtype: torch.dtype = torch.float16
) -> None:
    """Write a model, atomically.

    Args:
        path: the file, ``.safetensors``.
        model: what to store.
        training: how it was trained: plain values, shown by `witt info`.
        dtype: of the stored tensors; float32 keeps every bit of weights that come from elsewhere.

    Raises:
        InputError: a weight is not finite in this precision: the training has diverged.
    """
    state = {n: t.detach().cpu().to(dtype).contiguous() for n, t in model.state_dict().items()}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            precision = {torch.float16: "half precision", torch.float32: "float32"}.get(
                dtype, dtype
            )
            raise InputError(f"{path}: not written, since {name} is not finite in {precision}")
    metadata = {
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "training": json.dumps(training),
    }
    metadata["sha256"] = _digest(state, metadata)
    write_bytes(path, safetensors.torch.save(state, metadata))


@torch.inference_mode(False)  # gradients may be wanted later
def load_weights(path: str | Path) -> tuple[WITT, dict[str, Any]]:
    """Read a weights file.

    Args:
        path: written by `save_weights`; only safetensors is read, never a pickle.

    Returns:
        The model in float32, in evaluation mode, on the CPU; and how it was trained.

    Raises:
        InputError: missing, cut short, changed, of another format version or no WITT weights.
    """
    path = Path(path)
    if not os.path.isfile(path):  # Path.is_file raises for names that no file can have
        raise InputError(f"{path}: no such weights file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file, or a damaged one ({error})") from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path}: weights of format {metadata.get('format')!r}, this version reads {FORMAT!r}"
        )
    if metadata.get("sha256") != _digest(state, metadata):
        raise InputError(f"{path}: the weights do not match their hash: the file is damaged")
    try:
        config = ModelConfig.from_dict(json.loads(metadata["config"]))
        training = json.loads(metadata["training"])
        model = WITT(config)
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        # A wholly different network would list every tensor.
        reason = shorten(str(error), width=200)
        raise InputError(f"{path}: not the weights of a WITT model ({reason})") from error
    return model.eval(), training


def shipped() -> dict[str, Path]:
    """Weights files that come with the package, by name."""
    return {p.stem: p for p in sorted(SHIPPED.glob("*.safetensors"))}


def load(name_or_path: str | Path = "witt_light") -> WITT:
    """A trained model, from the weights that are shipped or from a file; no network is needed.

    Args:
        name_or_path: name of shipped weights ("witt_light") or path of a weights file.

    Raises:
        InputError: no such weights, or a damaged file.
    """
    return load_weights(resolve(name_or_path))[0]


def resolve(name_or_path: str | Path) -> Path:
    """Path of shipped weights by name, or of a file.

    Raises:
        InputError: neither; the message lists the names.
    """
    files = shipped()
    if str(name_or_path) in files:
        return files[str(name_or_path)]
    if not os.path.isfile(name_or_path):
        names = ", ".join(files) or "none"
        raise InputError(f"{name_or_path}: no such weights file, nor shipped weights ({names})")
    return Path(name_or_path)
