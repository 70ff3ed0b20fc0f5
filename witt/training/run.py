"""The state of a training run and the loop over its steps."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from witt.contract import Codec
from witt.errors import InputError
from witt.link.profiles import PROFILES
from witt.metrics.quality import BEST_MS_SSIM_DB, BEST_PSNR_DB
from witt.nn.swin import compile_blocks
from witt.store.making import to_values
from witt.store.weights import save_weights
from witt.training.checkpoint import WEIGHTS, write_checkpoint
from witt.training.config import TrainConfig
from witt.training.data import batches
from witt.training.gradient import Gradient
from witt.training.kept import Kept
from witt.training.monitor import Monitor
from witt.training.optimizer import load_states, optimizers
from witt.training.pictures import Pictures
from witt.training.processes import Processes
from witt.training.progress import Bar
from witt.training.published import detach_modnets
from witt.training.records import Records
from witt.training.schedule import Average, learning_rate_factor
from witt.training.signals import GracefulStop
from witt.training.soap import turn
from witt.training.validation import CentreCrops, mean, points, summary, validate
from witt.training.watch import FiniteWatch, StallWatch, all_finite


class Run:
    """A training run in a folder.

    ``config.json``, ``log.jsonl`` and ``checkpoint.pt`` are what it goes on from;
    ``weights.safetensors`` holds the averaged weights that were best in validation, or the last
    ones where there are no validation pictures.
    """

    def __init__(
        self,
        config: TrainConfig,
        out: Path,
        model: Codec,
        train: Pictures,
        val: CentreCrops | None = None,
        before: dict[str, Any] | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.config, self.out, self.model, self.train, self.val = config, out, model, train, val
        self.before = before  # the training record of the weights it started from
        self.processes = processes or Processes(next(model.parameters()).device)
        self.step, self.seconds, self.pixels = 0, 0.0, 0
        self.gradient = Gradient(config, model, self.processes)
        self.optimizers = self._optimizers()
        self.average = Average(model, config.ema)
        self.changes: list[str] = []  # in the pictures, since the checkpoint
        self.points = points(config)
        self.kept = Kept(out, None if val is None else val.content, list(map(str, self.points)))
        self.profile = PROFILES[config.profile]
        detach_modnets(model, self.profile)
        self.finite, self.stall = FiniteWatch(), StallWatch()
        figures = {"mse": ("psnr_db", BEST_PSNR_DB), "ms-ssim": ("ms_ssim_db", BEST_MS_SSIM_DB)}
        self.figure, self.best_db = figures.get(config.loss, ("loss_db", BEST_PSNR_DB))
        if config.compile:
            compile_blocks(model)

    # State

    def checkpoint(self) -> bool:
        """Write what `restore` needs, unless the weights are broken; whether they are whole."""
        if not all_finite(list(self.model.state_dict().values())):
            return False
        if not self.processes.first:
            return True
        write_checkpoint(
            self.out,
            {
                "config": self.config.to_dict(),
                "model_config": to_values(self.model),
                "model": self.model.state_dict(),
                "average": self.average.state,
                "optimizers": [o.state_dict() for o in self.optimizers],
                "step": self.step,
                "seconds": self.seconds,
                "pixels": self.pixels,
                "pictures": len(self.train),
                "content": self.content,
                "before": self.before,
            },
        )
        if self.val is None:
            self._save_weights()
        return True

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: the checkpoint is of another model or other pictures.
        """
        try:
            self.model.load_state_dict(state["model"])
            self.average.load(state["average"])
            load_states(self.optimizers, state["optimizers"])
        except (RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{self.out}: the checkpoint does not fit: {reason}") from error
        count = state.get("pictures", len(self.train))
        if count != len(self.train):
            raise InputError(
                f"{self.out}: the run had {count} training pictures, now there are "
                f"{len(self.train)}; start a new one with --init {self.out / WEIGHTS}"
            )
        self.step, self.seconds, self.pixels = state["step"], state["seconds"], state["pixels"]
        self.before = state.get("before")
        if self.processes.first:
            if state.get("content", self.content) != self.content:
                self.changes.append("the training pictures are not those that the run had before")
            change = self.kept.read()
            self.changes += [change] if change is not None else []

    @cached_property
    def content(self) -> str:
        """What the training pictures hold."""
        return self.train.content()

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        shares = []
        if self.config.steps is not None:
            shares.append(self.step / self.config.steps)
        if self.config.minutes is not None:
            shares.append(self.seconds / (60 * self.config.minutes))
        return max(shares)

    def _save_weights(
        self, validation: dict[str, float] | None = None, score: float | None = None
    ) -> None:
        live = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.state)
        training: dict[str, Any] = {
            "steps": self.step,
            "hours": round(self.seconds / 3600, 3),
            "machine": self.processes.machine,
            "config": self.config.to_dict(),
            "data_content": self.content,
            "validation": validation or {},
        }
        if validation and self.val is not None:
            training["score_db"], training["val_content"] = score, self.val.content
        if self.before is not None:
            for figure in ("steps", "hours"):
                total = f"total_{figure}"
                earlier = self.before.get(total, self.before.get(figure, 0))
                training[total] = round(training[figure] + earlier, 3)
            training["before"] = self.before
        save_weights(self.out / WEIGHTS, self.model, training)
        self.model.load_state_dict(live)
        self.kept.record = training

    # Training

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        config = self.config
        return optimizers(self.model, config.lr, config.muon_lr, soap_lr=config.soap_lr)

    def _images(self) -> AbstractContextManager[Iterator[Tensor]]:
        """The training crops from this step on."""
        config, ours = self.config, self.processes
        first = self.step * config.batch
        crops = (self.train, config.crop, config.batch, config.seed, first, config.workers)
        return closing(batches(*crops, ours.rank, ours.count))

    def _prepare(self, bar: Bar) -> None:
        """What there is to do before the first step; the clock of the run is on."""

    def _advance(self, stream: Iterator[Tensor]) -> tuple[float, str | None]:
        """The next step, or steps; returns what `train_step` does."""
        image = next(stream).to(self.processes.device).float() / 255
        done = self.train_step(image)
        self.pixels += self.config.batch * image.shape[2] * image.shape[3]
        return done

    def speed(self, images_per_s: float) -> dict[str, float]:
        """Figures of the log that say how fast it is."""
        return {"images_per_s": round(images_per_s, 2)}

    def train_step(self, image: Tensor) -> tuple[float, str | None]:
        """One update, by the batch of all processes.

        Args:
            image: (B, 3, crop, crop) in [0, 1], this process's part of the batch.

        Returns:
            The training figure in dB (NaN where the step was skipped), and what the user should
            be told, if anything.

        Raises:
            InputError: too many steps in a row were not finite.
        """
        config = self.config
        value, snr_db, received = self.gradient(image, self.step, self.progress)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        factor = learning_rate_factor(self.step, self.progress, config.warmup, config.flat)
        usable = math.isfinite(value) and bool(torch.isfinite(norm))
        if usable:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = factor * group["peak"]
                optimizer.step()
            turn(self.optimizers, self.step)
        self.model.zero_grad(set_to_none=True)
        self.step += 1
        if not usable:
            what = "gradient" if math.isfinite(value) else "loss"
            return math.nan, self.finite.bad(self.step, snr_db, what)
        self.finite.good()
        self.average.update(self.model, self.step)
        figure = min(self.best_db, -10 * math.log10(max(value, 1e-12)))
        if self.step <= config.warmup:
            return figure, None
        self.stall.look(self.step, received, image)
        return figure, self.stall.add(figure, self.step, self.progress, factor)

    def fit(self, bar: Bar, records: Records) -> int:
        """Train until the run is done or a signal ends it.

        Returns:
            0, or 128 and the number of the signal.

        Raises:
            InputError: training diverged, the folder cannot be written any more, or another
                process is gone.
        """
        ours = self.processes
        self.model.train()
        with GracefulStop() as stop, self._images() as stream:
            try:
                self._steps(stream, stop, bar, records)
            except RuntimeError as error:
                if not ours.lost(error):
                    raise
                self.checkpoint()  # the step that was broken off has changed nothing
                raise InputError(
                    f"another process was lost after step {self.step:,}; --resume goes on from "
                    "the last checkpoint, with any number of processes"
                ) from error
            # First, since the validation takes a while and may be broken off.
            whole = self.checkpoint()
            if whole and ours.first and not self.kept.scored:
                self._save_weights()
            if whole and not stop():
                self.validate(bar, records, stop)
        if not whole:
            bar.say("the weights are not finite any more; the last good checkpoint is kept")
        return stop.exit_code

    def _steps(
        self, stream: Iterator[Tensor], stop: GracefulStop, bar: Bar, records: Records
    ) -> None:
        """The loop; clock and signals are those of all processes, so that all do the same."""
        config, ours = self.config, self.processes
        started = time.monotonic() - self.seconds
        saved = validated = self.seconds
        self._prepare(bar)
        monitor = Monitor(self)
        number: int | None = None
        while self.progress < 1 and number is None:
            value, message = self._advance(stream)
            self.seconds, number = ours.agree(time.monotonic() - started, stop.received)
            if message is not None:
                bar.say(message)
                records.write({"step": self.step, "warning": message})
            monitor.step(value, bar, records)
            if self.val is not None and self.seconds - validated > 60 * config.val_minutes:
                self.validate(bar, records, stop)
                self.seconds, number = ours.agree(time.monotonic() - started, stop.received)
                validated = self.seconds
            if self.seconds - saved > 60 * config.save_minutes:
                self.checkpoint()
                saved = self.seconds
        stop.received = number
        monitor.flush(records)

    @torch.compiler.set_stance("force_eager")  # other shapes than the compiled ones
    def validate(self, bar: Bar, records: Records, stop: GracefulStop) -> None:
        """Score the averaged weights, and keep them where they are the best so far.

        Nothing is done where a signal comes, the weights are not finite, there are no pictures, or
        it is another process's to do.
        """
        if self.val is None or not self.processes.first:
            return
        if not all_finite(list(self.average.state.values())):
            return
        live = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.state)
        self.model.eval()
        with_ms_ssim = self.config.loss == "ms-ssim"
        scores = validate(
            self.model, self.val.batches, self.points, with_ms_ssim, stop, self.profile
        )
        self.model.load_state_dict(live)
        self.model.train()
        if scores is None:
            return
        score = mean(scores.ms_ssim or scores.psnr)
        entry = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "megapixels": round(self.pixels / 1e6, 2),
            "validation": scores.psnr,
            "score_db": score,
            "val_content": self.val.content,
        }
        if scores.ms_ssim:
            entry["validation_ms_ssim_db"] = scores.ms_ssim
        records.write(entry)
        records.scalars("validation", scores.ms_ssim or scores.psnr, self.step)
        finite, best = math.isfinite(score), self.kept.beaten(self.step, score)
        bar.say(summary(self.step, scores, self.points, best and finite))
        if best:
            self._save_weights(scores.psnr, score if finite else None)
