"""Looks after a run: steps that are not finite, and training that does not get anywhere."""

from __future__ import annotations

import torch
from torch import Tensor

from witt.errors import InputError

MOST_SKIPPED = 20  # steps in a row
STALL_STEPS = 600
STALL_SHARE = 0.1  # of the run, where that is longer: late progress is slow
STALL_DB = 0.05
STALL_LEARNING_RATE = 0.1  # of the peak; below, training is meant to come to rest
CONSTANT_STD = 0.1  # of the original's
MEASURE_EVERY = 20  # steps between looks at the reconstructions


class FiniteWatch:
    """Counts the steps that were skipped because loss or gradient was not finite."""

    def __init__(self, most: int = MOST_SKIPPED) -> None:
        self.most, self.in_a_row, self.total = most, 0, 0

    def good(self) -> None:
        """A step was finite."""
        self.in_a_row = 0

    def bad(self, step: int, snr_db: Tensor, what: str) -> str | None:
        """A step was not; the first time returns what to tell the user.

        Args:
            step: number of the step.
            snr_db: (B,) of its images.
            what: "loss" or "gradient".

        Raises:
            InputError: too many in a row.
        """
        self.in_a_row, self.total = self.in_a_row + 1, self.total + 1
        span = f"{float(snr_db.min()):.1f} to {float(snr_db.max()):.1f} dB"
        if self.in_a_row >= self.most:
            raise InputError(
                f"training diverged: the {what} was not finite in {self.in_a_row} steps in a row, "
                f"up to step {step} (SNR {span}); start again with a lower --lr and --muon-lr, "
                "a lower --clip or a longer --warmup; the last checkpoint is kept"
            )
        if self.total > 1:
            return None
        return (
            f"the {what} of step {step} (SNR {span}) is not finite: the step is skipped, "
            f"and training stops after {self.most} in a row"
        )


class StallWatch:
    """Tells when the training PSNR does not rise although the learning rate is still high.

    Over windows of 600 steps, or of a tenth of the run where that is more, the mean of the second
    half is compared with that of the first.

    Args:
        steps: length of a window, at least 2.
        share: of the run, its least length.
        every: steps between looks at the reconstructions.
    """

    def __init__(
        self,
        steps: int = STALL_STEPS,
        share: float = STALL_SHARE,
        every: int = MEASURE_EVERY,
    ) -> None:
        self.steps, self.share, self.every = steps, share, every
        self.warnings = 0
        self._values: list[float] = []
        self._constant: list[float] = []

    def look(self, step: int, received: Tensor, image: Tensor) -> None:
        """Every few steps: what share of the reconstructions is (nearly) one colour."""
        if step % self.every:
            return
        original = image.flatten(2).std(dim=2).mean(dim=1)
        spread = received.detach().flatten(2).std(dim=2).mean(dim=1)
        textured = original > 1 / 255
        constant = (spread < CONSTANT_STD * original)[textured]
        if len(constant):
            self._constant.append(float(constant.float().mean()))

    def add(self, value_db: float, step: int, progress: float, lr_factor: float) -> str | None:
        """A step's figure; at the end of a window without progress, what to tell the user.

        Args:
            value_db: training PSNR, or MS-SSIM in dB.
            step: steps done.
            progress: share of the run that is done.
            lr_factor: learning rate over its peak, which 1 means; below 0.1 nothing is told.
        """
        self._values.append(value_db)
        run = step / progress if progress > 0 else 0.0
        if len(self._values) < max(self.steps, self.share * run):
            return None
        half = len(self._values) // 2
        first, second = self._values[:half], self._values[half:]
        before, now = sum(first) / len(first), sum(second) / len(second)
        constant = bool(self._constant) and min(self._constant) > 0.9
        steps = len(self._values)
        self._values, self._constant = [], []
        if now - before >= STALL_DB or lr_factor <= STALL_LEARNING_RATE:
            return None
        self.warnings += 1
        found = f"training has stalled: {before:.2f} → {now:.2f} dB over the last {steps} steps"
        if constant:
            found += ", and the reconstructions are (nearly) constant pictures"
        if self.warnings > 1:
            return found
        if constant:
            return (
                f"{found}: the network sends nothing of the picture yet. Usual causes: too low a "
                "learning rate, a loss so small that Adam's epsilon drowns it, or too low an SNR; "
                "train at one high SNR first, then --init from it over the range"
            )
        return (
            f"{found}. Usual causes: a learning rate that is too high or too low (--lr, "
            "--muon-lr), a loss so small that Adam's epsilon drowns it, or an SNR range that is "
            "too low or too wide at the start"
        )


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no tensor holds NaN or infinity."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
