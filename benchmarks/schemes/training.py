"""What training the weights of a curve had, from the record in their file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors

from witt.errors import InputError


def training_record(weights: Path) -> dict[str, Any]:
    """Plain values for a result file: steps, hours, machines and data, as the weights say.

    Raises:
        InputError: it is no weights file.
    """
    try:
        with safetensors.safe_open(weights, framework="pt") as file:
            training = json.loads((file.metadata() or {})["training"])
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{weights}: not the weights of a WITT model ({error})") from error
    hours: dict[str, float] = {}
    run: Any = training
    while isinstance(run, dict):  # each run names the one that it went on from
        device = run.get("config", {}).get("device", "a machine not named")
        machine = str(run.get("machine", device))
        hours[machine] = hours.get(machine, 0.0) + float(run.get("hours") or 0)
        run = run.get("before")
    return {
        "steps": training.get("total_steps", training.get("steps")),
        "hours": {machine: round(spent, 3) for machine, spent in hours.items() if spent},
        "channels": list(dict.fromkeys(training.get("config", {}).get("channel") or ())),
        "data": training.get("data"),
    }


def trained(record: dict[str, Any]) -> str:
    """A training record in words: "13,438 steps, 17 min on 1 NVIDIA H100 GPU; 784 photographs"."""
    steps = record.get("steps")
    told = [] if steps is None else [f"{steps:,} steps"]
    told += [
        f"{60 * spent:.0f} min on {machine}" if spent < 2 else f"{spent:.1f} h on {machine}"
        for machine, spent in (record.get("hours") or {}).items()
    ]
    data = record.get("data")
    return ", ".join(told or ["no training is on record"]) + (f"; {data}" if data else "")
