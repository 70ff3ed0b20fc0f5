"""Checkpoints: all that a run needs to go on, in one file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from witt.errors import InputError

NAME = "checkpoint.pt"
WEIGHTS = "weights.safetensors"
LOG = "log.jsonl"
CONFIG = "config.json"
KEYS = frozenset(
    {
        "config",
        "model_config",
        "model",
        "average",
        "optimizers",
        "step",
        "seconds",
        "pixels",
    }
)


def write_checkpoint(out: Path, state: dict[str, Any]) -> None:
    """Write the checkpoint of a run's folder, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    temporary = out / f".{NAME}.{os.getpid()}.tmp"
    try:
        try:
            torch.save(state, temporary)
            os.replace(temporary, out / NAME)
        finally:
            temporary.unlink(missing_ok=True)
    # torch's writer makes a RuntimeError of a full disk.
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{out / NAME}: cannot be written: {reason}") from error


def read_checkpoint(out: Path) -> dict[str, Any]:
    """Read the checkpoint of a run's folder; nothing in it is executed.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = out / NAME
    if not path.is_file():
        raise InputError(f"{out}: no {NAME} to resume from; start a run without --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a checkpoint, or a damaged one") from error
    missing = KEYS - set(state) if isinstance(state, dict) else KEYS
    if missing:
        raise InputError(
            f"{path}: not a checkpoint of witt train (no {', '.join(sorted(missing))})"
        )
    return dict(state)


def refuse_existing_run(out: Path) -> None:
    """Keep what the user has.

    Raises:
        InputError: the folder already holds a run.
    """
    there = [name for name in (NAME, WEIGHTS, LOG, CONFIG) if (out / name).exists()]
    if there:
        raise InputError(
            f"{out}: already holds a run ({', '.join(there)}); "
            "continue it with --resume, or give another --out"
        )
