"""What weights.safetensors holds, and what a validation has to beat to replace it."""

from __future__ import annotations

import math
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from witt.errors import InputError
from witt.store.weights import load_weights
from witt.training.checkpoint import WEIGHTS


class Kept:
    """The weights file of a run, which says itself what it holds: a checkpoint may be older.

    Args:
        out: the run's folder.
        content: `content_hash` of the validation pictures, None without any.
        points: names of the conditions of a validation.
    """

    def __init__(self, out: Path, content: str | None, points: Collection[str]) -> None:
        self.path, self.content, self.points = out / WEIGHTS, content, set(points)
        self.record: dict[str, Any] | None = None  # of the training, as the file has it
        self.last: tuple[int, float] | None = None  # validated step, and its score

    def read(self) -> str | None:
        """Look at the file of a run that is resumed; what the user should know of it, if anything.

        One that is missing or damaged leaves nothing to beat.
        """
        with suppress(InputError):
            self.record = load_weights(self.path)[1]
        if self.content is None or not self.scored or self.to_beat is not None:
            return None
        return (
            f"the score of {WEIGHTS} is not known to be of these validation pictures: it counts no "
            "more, and the next validation replaces the file"
        )

    @property
    def scored(self) -> bool:
        """Whether the file is there and was validated."""
        return bool(self.record and self.record.get("validation")) and self.path.exists()

    @property
    def to_beat(self) -> float | None:
        """Score of the file in dB, where it is finite and of the same pictures and conditions."""
        record = self.record or {}
        same = self.content is not None and record.get("val_content") == self.content
        if not same or set(record["validation"]) != self.points or not self.scored:
            return None
        score: float | None = record["score_db"]
        return score

    def beaten(self, step: int, score: float) -> bool:
        """Note a validation; whether the file is to hold it. A score that is not finite beats none.

        Args:
            step: steps done.
            score: in dB.
        """
        self.last = step, score
        return self.to_beat is None or (math.isfinite(score) and score >= self.to_beat)

    def line(self, step: int) -> str:
        """Which step the file holds, and why where it is not the last.

        Args:
            step: the last one.
        """
        if self.record is None:
            return f"there is no {WEIGHTS} yet"
        held, score = self.record["steps"], self.record.get("score_db")
        text = f"{WEIGHTS} holds step {held:,}"
        if score is not None:
            text += f" ({score:.2f} dB in validation)"
        if held == step:
            return f"{text}, the last"
        if self.last is None or self.last[0] != step:
            why = "was not validated"
        elif math.isfinite(self.last[1]):
            why = f"scored {self.last[1]:.2f} dB"
        else:
            why = "has no finite score"
        return f"{text}, not the last: step {step:,} {why}"
