"""A run without a folder to resume from: what `witt.fit` and `witt adapt-model` do."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from witt.contract import Codec
from witt.training.checkpoint import LOG
from witt.training.config import TrainConfig
from witt.training.pictures import Pictures
from witt.training.processes import Processes
from witt.training.progress import Bar
from witt.training.records import Records
from witt.training.run import Run
from witt.training.validation import CentreCrops


class Brief(NamedTuple):
    """What a run has left.

    run: with its averaged weights, which the model does not have yet.
    log: its lines.
    code: 0, or 128 and the number of the signal that ended it.
    """

    run: Run
    log: list[dict[str, Any]]
    code: int


def train_briefly(
    config: TrainConfig,
    codec: Codec,
    pictures: Pictures,
    val: CentreCrops | None = None,
    before: dict[str, Any] | None = None,
    figure: str = "dB",
) -> Brief:
    """Train a codec where it is.

    Args:
        config: of the run.
        codec: is changed; it has the last weights then.
        pictures: to train on.
        val: to validate on.
        before: the training record of the weights it has.
        figure: name of what the bar shows.

    Raises:
        InputError: training diverged.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        run = Run(config, out, codec, pictures, val, before, Processes(codec.device))
        with Bar(figure) as bar, Records(out, False, 0) as records:
            code = run.fit(bar, records)
        lines = (out / LOG).read_text(encoding="utf-8").splitlines() if (out / LOG).exists() else []
    return Brief(run, [json.loads(line) for line in lines], code)
