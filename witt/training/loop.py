"""`witt train` as a function: from a configuration to weights, a log and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from witt.codecs.features import FeatureCodec
from witt.errors import InputError
from witt.files import write_text
from witt.metrics.loss import ms_ssim_scales
from witt.report import to_json
from witt.store.making import from_values
from witt.training.checkpoint import CONFIG, WEIGHTS, read_checkpoint, refuse_existing_run
from witt.training.config import TrainConfig, uses_bf16
from witt.training.folder import sole_run
from witt.training.gpu.run import DeviceRun, takes
from witt.training.pictures import Sets, open_sets
from witt.training.processes import Processes, joined
from witt.training.progress import Bar, duration
from witt.training.records import Records
from witt.training.run import Run
from witt.training.start import initial_model, prepare, training_before
from witt.training.validation import centre_crops


def train(
    config: TrainConfig,
    out: str | Path,
    resume: bool = False,
    *,
    tensorboard: bool | None = None,
    terminal: bool | None = None,
    again: str | None = None,
) -> int:
    """What `witt train` does.

    Args:
        config: of the run; when resuming, from `continued`.
        out: its folder.
        resume: go on from the checkpoint in it.
        tensorboard: write TensorBoard files; None does where it is installed.
        terminal: draw a progress bar; None does on a terminal.
        again: the command that goes on with it, for where it is interrupted.

    Returns:
        Exit code: 0, or 128 and the number of the signal that ended the run.

    Raises:
        InputError: something given cannot be used, another run has the folder, or training
            diverged.
    """
    out = Path(out)
    with joined(config.device) as processes, sole_run(out, processes):
        with processes.alike():
            processes.check(config.batch, config.accumulate)
            run, sets = _begin(config, out, resume, processes)
        with processes.alike():
            counts = sorted(set(processes.gather(len(sets.train))))
            if len(counts) > 1:
                raise InputError(f"--data: the machines have {counts} pictures, not the same ones")
        silent = not processes.first
        figure = {"mse": "PSNR", "ms-ssim": "MS-SSIM"}.get(config.loss, "Loss, −10·log10,")
        with (
            Bar(figure, terminal=terminal, silent=silent) as bar,
            Records(out, tensorboard, run.step, silent=silent) as records,
        ):
            code = _carry_out(run, sets, bar, records, again)
        processes.gather(None)  # what the first one has written is there for all that follows
        return code


def _begin(config: TrainConfig, out: Path, resume: bool, processes: Processes) -> tuple[Run, Sets]:
    """The run as it starts, or as its checkpoint has it, and its pictures."""
    state = read_checkpoint(out) if resume else None
    if state is None:
        refuse_existing_run(out)
        model = initial_model(config)
    else:
        limit = limit_reached(config, state)
        if limit is not None:
            raise InputError(f"{out}: the run is done; raise {limit} to go on")
        model = from_values(state["model_config"])
    sets = open_sets(config.data, config.val, config.data_share)
    if state is None:
        prepare(model, config, sets.train, click.echo if processes.first else (lambda _: None))
    model.to(processes.device)
    val = centre_crops(sets.val, config.loss == "ms-ssim") if sets.val is not None else None
    before = training_before(config) if state is None else None
    kind = DeviceRun if takes(config, model, processes, sets.train) else Run
    run = kind(config, out, model, sets.train, val, before, processes)
    if state is not None:
        run.restore(state)
    return run, sets


def limit_reached(config: TrainConfig, state: dict[str, Any]) -> str | None:
    """The option that says that the run of a checkpoint is done, None where it is not."""
    if config.steps is not None and state["step"] >= config.steps:
        return "--steps"
    if config.minutes is not None and state["seconds"] >= 60 * config.minutes:
        return "--minutes"
    return None


def _carry_out(run: Run, sets: Sets, bar: Bar, records: Records, again: str | None) -> int:
    if run.processes.first:
        write_text(run.out / CONFIG, to_json(run.config.to_dict()) + "\n")
    left_out = run.val and run.val.note
    for note in (*sets.notes, left_out, *_introduction(run), *run.changes, records.note):
        if note is not None:
            bar.say(note)
    if run.step:
        records.write({"step": run.step, "seconds": round(run.seconds, 1), "resumed": True})
        for change in run.changes:
            records.write({"step": run.step, "warning": change})
    else:
        run.checkpoint()  # whatever happens, there is something to resume
    try:
        code = run.fit(bar, records)
    except InputError:
        bar.say(run.kept.line(run.step))
        raise
    if code:
        again = again or f"witt train --resume --out {run.out}"
        bar.say(f"stopped at step {run.step:,}; go on with: {again}")
    else:
        bar.say(
            f"done: {run.step:,} steps, {run.pixels / 1e6:.1f} megapixels, "
            f"{duration(run.seconds)}; weights in {run.out / WEIGHTS}"
        )
    bar.say(run.kept.line(run.step))
    return code


def _introduction(run: Run) -> list[str]:
    config, model = run.config, run.model
    parameters = sum(p.numel() for p in model.parameters())
    ends = ":".join if config.snr_is_range else ",".join
    snrs = ends(f"{value:g}" for value in config.snr)
    if config.snr_first is not None:
        snrs = ":".join(f"{value:g}" for value in config.snr_first) + f", then {snrs}"
    lines = [
        f"{model.name}, {parameters / 1e6:.1f} M parameters, on "
        f"{next(model.parameters()).device}; {len(run.train)} training pictures; "
        f"SNR {snrs} dB, CBR {','.join(config.cbr)}, "
        f"{','.join(config.channel)}, profile {config.profile}"
    ]
    if run.step:
        lines.append(f"going on from step {run.step:,} ({run.seconds / 60:.1f} minutes)")
    count = run.processes.count
    if count > 1:
        lines.append(f"{count} processes, {config.batch // count} images each")
    if uses_bf16(config, run.processes.device) and isinstance(model, FeatureCodec):
        lines.append("the networks compute in bfloat16")
    if config.masks:
        lines.append(
            f"masked: {config.mask:.0%} of the tokens; noise on the pixels: {config.mask_noise:g}"
        )
    if config.loss == "ms-ssim" and config.profile == "published":
        lines.append("loss: 1 − MS-SSIM with the published 4 scales")
    elif config.loss == "ms-ssim":
        lines.append(f"loss: 1 − MS-SSIM with {ms_ssim_scales(config.crop)} of its 5 scales")
    elif config.loss != "mse":
        lines.append(f"loss: {config.loss}; validation is by PSNR")
    if config.compile and not run.step:
        lines.append("the first step compiles the network, which takes minutes on a CPU")
    return lines
