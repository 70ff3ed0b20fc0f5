"""The state of a training run and the loop over its steps."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from witt.config import channels_for_cbr
from witt.errors import InputError
from witt.model import WITT
from witt.profiles import PROFILES
from witt.training.batch import run_batch
from witt.training.checkpoint import WEIGHTS, write_checkpoint
from witt.training.config import CHANNELS, TrainConfig
from witt.training.data import batches
from witt.training.loss import LOSS_SCALE
from witt.training.optimizer import optimizers
from witt.training.pace import Pace
from witt.training.pictures import Pictures
from witt.training.progress import Bar
from witt.training.published import detach_modnets
from witt.training.records import Records
from witt.training.schedule import Average, learning_rate_factor
from witt.training.signals import GracefulStop
from witt.training.validation import Point, Scores, points, validate
from witt.training.watch import FiniteWatch, StallWatch, all_finite
from witt.weights import save_weights


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
        model: WITT,
        train: Pictures,
        val: Sequence[Tensor] = (),
        before: dict[str, Any] | None = None,
    ) -> None:
        self.config, self.out, self.model, self.train, self.val = config, out, model, train, val
        self.before = before  # the training record of the weights it started from
        self.step, self.seconds, self.pixels = 0, 0.0, 0
        self.rates = [channels_for_cbr(c, model.config.stride) for c in config.cbr_values]
        self.over = [CHANNELS[name]() for name in config.channel]
        self.optimizers = optimizers(model, config.lr, config.muon_lr)
        self.average = Average(model, config.ema)
        self.history: list[dict[str, Any]] = []
        self.points = points(config)
        self.profile = PROFILES[config.profile]
        detach_modnets(model, self.profile)
        self.finite, self.stall = FiniteWatch(), StallWatch()
        self.figure = "psnr_db" if config.loss == "mse" else "ms_ssim_db"
        if config.compile:
            for module in model.modules():
                if type(module).__name__ == "SwinTransformerBlock":
                    module.compile()

    # State

    def checkpoint(self) -> bool:
        """Write what `restore` needs, unless the weights are broken; whether it was written."""
        if not all_finite(list(self.model.state_dict().values())):
            return False
        write_checkpoint(
            self.out,
            {
                "config": self.config.to_dict(),
                "model_config": self.model.config.to_dict(),
                "model": self.model.state_dict(),
                "average": self.average.state,
                "optimizers": [o.state_dict() for o in self.optimizers],
                "step": self.step,
                "seconds": self.seconds,
                "pixels": self.pixels,
                "history": self.history,
                "pictures": len(self.train),
                "before": self.before,
            },
        )
        if not self.val:
            self._save_weights({})
        return True

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: the checkpoint is of another model or other pictures.
        """
        try:
            self.model.load_state_dict(state["model"])
            self.average.load(state["average"])
            for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(stored)
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
        self.history = state["history"]
        self.before = state.get("before")

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        shares = []
        if self.config.steps is not None:
            shares.append(self.step / self.config.steps)
        if self.config.minutes is not None:
            shares.append(self.seconds / (60 * self.config.minutes))
        return max(shares)

    def _save_weights(self, validation: dict[str, float]) -> None:
        live = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.state)
        training: dict[str, Any] = {
            "steps": self.step,
            "hours": round(self.seconds / 3600, 3),
            "config": self.config.to_dict(),
            "validation": validation,
        }
        if self.before is not None:
            for figure in ("steps", "hours"):
                total = f"total_{figure}"
                earlier = self.before.get(total, self.before.get(figure, 0))
                training[total] = round(training[figure] + earlier, 3)
            training["before"] = self.before
        save_weights(self.out / WEIGHTS, self.model, training)
        self.model.load_state_dict(live)

    # Training

    def train_step(self, image: Tensor) -> tuple[float, str | None]:
        """One update.

        Args:
            image: (B, 3, crop, crop) in [0, 1].

        Returns:
            The training figure in dB (NaN where the step was skipped), and what the user should
            be told, if anything.

        Raises:
            InputError: too many steps in a row were not finite.
        """
        config = self.config
        received, snr_db, loss = run_batch(
            config, self.model, image, self.rates, self.over, self.step
        )
        (loss * LOSS_SCALE[config.loss]).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        factor = learning_rate_factor(self.step, self.progress, config.warmup)
        value = loss.item()
        usable = math.isfinite(value) and bool(torch.isfinite(norm))
        if usable:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = factor * group["peak"]
                optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self.step += 1
        if not usable:
            what = "gradient" if math.isfinite(value) else "loss"
            return math.nan, self.finite.bad(self.step, snr_db, what)
        self.finite.good()
        self.average.update(self.model, self.step)
        figure = -10 * math.log10(max(value, 1e-12))
        if self.step <= config.warmup:
            return figure, None
        self.stall.look(self.step, received, image)
        return figure, self.stall.add(figure, self.step, self.progress, factor)

    def fit(self, bar: Bar, records: Records) -> int:
        """Train until the run is done or a signal ends it.

        Returns:
            0, or 128 and the number of the signal.

        Raises:
            InputError: training diverged, or the folder cannot be written any more.
        """
        config = self.config
        device = next(self.model.parameters()).device
        stream = batches(
            self.train,
            config.crop,
            config.batch,
            config.seed,
            self.step * config.batch,
            config.workers,
        )
        pace = Pace(self)
        started = time.monotonic() - self.seconds
        saved = validated = self.seconds
        self.model.train()
        with GracefulStop() as stop, closing(stream):
            while self.progress < 1 and not stop():
                image = next(stream).to(device).float() / 255
                value, message = self.train_step(image)
                self.pixels += image.shape[0] * image.shape[2] * image.shape[3]
                self.seconds = time.monotonic() - started
                if message is not None:
                    bar.say(message)
                    records.write({"step": self.step, "warning": message})
                pace.step(value, bar, records)
                if self.val and self.seconds - validated > 60 * config.val_minutes:
                    self.validate(bar, records, stop)
                    validated = self.seconds = time.monotonic() - started
                if self.seconds - saved > 60 * config.save_minutes:
                    self.checkpoint()
                    saved = self.seconds
            pace.flush(records)
            # First, since the validation takes a while and may be broken off.
            whole = self.checkpoint()
            if self.val and whole and not stop() and self.validate(bar, records, stop):
                self.checkpoint()
            if whole and not (self.out / WEIGHTS).exists():
                self._save_weights({})
        if not whole:
            bar.say("the weights are not finite any more; the last good checkpoint is kept")
        return stop.exit_code

    @torch.compiler.set_stance("force_eager")  # other shapes than the compiled ones
    def validate(self, bar: Bar, records: Records, stop: GracefulStop) -> bool:
        """Score the averaged weights, and keep them where they are the best so far.

        Returns:
            Whether it was done: not when a signal came, or the weights are not finite.
        """
        if not all_finite(list(self.average.state.values())):
            return False
        live = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.state)
        self.model.eval()
        with_ms_ssim = self.config.loss == "ms-ssim"
        scores = validate(self.model, self.val, self.points, with_ms_ssim, stop, self.profile)
        self.model.load_state_dict(live)
        self.model.train()
        if scores is None:
            return False
        earlier = [entry["score_db"] for entry in self.history if self._comparable(entry)]
        score = _mean(scores.ms_ssim or scores.psnr)
        entry = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "megapixels": round(self.pixels / 1e6, 2),
            "validation": scores.psnr,
            "score_db": score,
        }
        if scores.ms_ssim:
            entry["validation_ms_ssim_db"] = scores.ms_ssim
        self.history.append(entry)
        records.write(entry)
        records.scalars("validation", scores.ms_ssim or scores.psnr, self.step)
        best = score >= max(earlier, default=-math.inf)
        bar.say(_summary(self.step, scores, self.points, best))
        if best:
            self._save_weights(scores.psnr)
        return True

    def _comparable(self, entry: dict[str, Any]) -> bool:
        return "score_db" in entry and set(entry["validation"]) == set(map(str, self.points))


def _mean(scores: dict[str, float]) -> float:
    return round(sum(scores.values()) / len(scores), 4)


def _summary(step: int, scores: Scores, at: Sequence[Point], best: bool) -> str:
    """What a validation found: the means in one line, then each point, a line for a channel."""
    first = f"step {step:,}: validation PSNR {_mean(scores.psnr):.2f} dB"
    if scores.ms_ssim:
        first += f", MS-SSIM {_mean(scores.ms_ssim):.2f} dB"
    lines = [first + (", the best so far" if best else "")]
    for channel in dict.fromkeys(point.channel for point in at):
        each = [
            f"{point.snr_db:g} dB {point.cbr} {scores.psnr[str(point)]:.2f}"
            for point in at
            if point.channel == channel
        ]
        lines.append(f"  {channel}: " + " | ".join(each))
    return "\n".join(lines)
