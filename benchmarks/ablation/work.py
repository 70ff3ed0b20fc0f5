"""One run of an ablation: train it, or what is left of it, and measure the weights it ends with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.ablation.plan import PETA, Task
from witt.contract import Codec
from witt.device import pick_device
from witt.errors import InputError
from witt.link.profiles import PROFILES, Profile
from witt.store.making import from_values
from witt.training.checkpoint import CONFIG, LOG, NAME, read_checkpoint
from witt.training.config import TrainConfig, continued
from witt.training.loop import limit_reached, train
from witt.training.pictures import open_sets
from witt.training.validation import Point, centre_crops, points, validate

ROUNDS = 3  # of which the fastest tells how long a picture takes


class Job(NamedTuple):
    """A run as plain values, which another process or machine can be told.

    key: what tells it apart in the result file.
    config: its settings, as of `TrainConfig.to_dict`.
    step_flops: operations of a step.
    folder: where it is trained.
    again: the command that goes on with it, for where it is interrupted.
    threads: of PyTorch; None leaves them.
    """

    key: dict[str, Any]
    config: dict[str, Any]
    step_flops: float
    folder: str
    again: str
    threads: int | None = None


class Outcome(NamedTuple):
    """What came of a run.

    code: 0, or 128 and the number of the signal that ended it.
    row: for the result file, None where it is not finished.
    failed: why it cannot be finished, None where nothing is wrong.
    """

    code: int
    row: dict[str, Any] | None
    failed: str | None = None


def job_of(task: Task, folder: Path, again: str, threads: int | None = None) -> Job:
    """A task as a job in a folder."""
    settings = task.config.to_dict()
    return Job(task.key, settings, task.preset.step_flops, str(folder), again, threads)


def carry_out(job: Job) -> Outcome:
    """Train in the folder, from its checkpoint where there is one, and measure.

    Raises:
        InputError: training diverged, or the folder holds another run.
    """
    config, folder = TrainConfig.from_dict(job.config), Path(job.folder)
    resume = (folder / NAME).is_file()
    if resume:
        stored = TrainConfig.from_dict(read_checkpoint(folder)["config"])
        if (stored.steps, stored.minutes) != (config.steps, config.minutes):
            raise InputError(f"{folder}: holds a run of another length; choose another --out")
        asked = config.to_dict()
        config = continued(stored, {k: v for k, v in asked.items() if v is not None})
    else:
        for name in (CONFIG, LOG):  # of a run that was killed before its first checkpoint
            (folder / name).unlink(missing_ok=True)
    if not resume or limit_reached(config, read_checkpoint(folder)) is None:
        code = train(config, folder, resume, tensorboard=False, again=job.again)
        if code:
            return Outcome(code, None)
    return Outcome(0, {**job.key, **measured(config, folder, job.step_flops)})


def measured(config: TrainConfig, folder: Path, step_flops: float) -> dict[str, Any]:
    """What the averaged weights of the last step do, and what they took, as plain values.

    Raises:
        InputError: there is no checkpoint, or no validation picture.
    """
    state = read_checkpoint(folder)
    device = pick_device(config.device)
    model: Codec = from_values(state["model_config"])
    model.load_state_dict(state["average"])
    model.to(device).eval()
    sets = open_sets(config.data, config.val)
    if sets.val is None:
        raise InputError("say what to measure on: --val DIR")
    crops, at = centre_crops(sets.val, with_ms_ssim=False), points(config)
    profile = PROFILES[config.profile]
    scores = validate(model, crops.batches, at, with_ms_ssim=False, profile=profile)
    if scores is None:
        raise InputError(f"{folder}: the validation was broken off")
    seconds = picture_seconds(model, crops.batches[0], at[:1], profile)
    return {
        "steps": state["step"],
        "pictures": state["step"] * config.batch,
        "seconds": round(state["seconds"], 1),
        "petaflop": float(f"{state['step'] * step_flops / PETA:.6g}"),
        "psnr_db": [{**p._asdict(), "psnr_db": scores.psnr[str(p)]} for p in at],
        "picture_ms": float(f"{1e3 * seconds:.4g}"),
        "picture_size": list(crops.batches[0].shape[2:]),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
    }


def picture_seconds(model: Codec, batch: Tensor, at: Sequence[Point], profile: Profile) -> float:
    """Time to send, receive and compare a picture of a batch (B, 3, H, W): of the fastest round."""
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        validate(model, [batch], at, with_ms_ssim=False, profile=profile)
        taken.append(time.perf_counter() - started)
    return min(taken) / len(batch)
