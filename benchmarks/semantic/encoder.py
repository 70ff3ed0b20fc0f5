"""`python -m benchmarks.semantic.encoder`: train the encoder of the metric `feature-distance`.

By self-distillation of views and regions (`benchmarks.semantic.distillation`), on pieces of
photographs, with or without a lens (`benchmarks.semantic.lens`). Trainings are compared at equal
processor time, since a lens costs some. The teacher's encoder is kept.
"""

from __future__ import annotations

import copy
import math
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from benchmarks.semantic.distillation import (
    Centre,
    Distilled,
    cross_entropy,
    follow,
    matches,
    probabilities,
    region_loss,
)
from benchmarks.semantic.lens import Lens
from benchmarks.semantic.views import PIECE, cut_pieces, random_views
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.metrics.semantic.network import save_network
from witt.pictures.finding import find_images
from witt.pictures.images import read_image
from witt.report import to_json

BATCH = 64
LR, WEIGHT_DECAY, LENS_LR = 1e-3, 0.04, 1e-3
WARM_UP = 0.05  # of the time
TEACHER_MOMENTUM = 0.99  # at the start; 1 at the end
MOST_GRADIENT = 3.0
PIECES = 16  # of each photograph
LOG_STEPS = 50


class Training:
    """Student, teacher, centres and lens, and one step of all of them.

    Args:
        bound: of the lens; 0 for none.
        seed: of the weights at the start.
    """

    def __init__(self, bound: float, seed: int) -> None:
        torch.manual_seed(seed)
        self.student = Distilled().to(memory_format=torch.channels_last)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.view_centre, self.region_centre = Centre(), Centre()
        self.lens = Lens(bound) if bound else None
        trained = [p for p in self.student.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, LR, weight_decay=WEIGHT_DECAY)
        self.lens_optimizer = (
            None if self.lens is None
            else torch.optim.Adam(self.lens.parameters(), LENS_LR, maximize=True)
        )  # fmt: skip

    def step(self, views: tuple[Tensor, Tensor], done: float) -> dict[str, float]:
        """One step on two views (B, 3, 32, 32) of the same pieces, at a share of the training.

        The lens changes what the student sees of the first half of the batch; the student has to
        do without a lens too, as it will be used.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = LR * min(done / WARM_UP, (1 + math.cos(math.pi * done)) / 2)
        seen = [self._through_lens(view) for view in views]
        with torch.autocast("cpu", torch.bfloat16):
            theirs = [self.teacher(view) for view in views]
            mine = [self.student(view) for view in seen]
        of_views: list[Tensor] = []
        of_regions: list[Tensor] = []
        sure: list[Tensor] = []
        for (regions, view, each), (other, their_view, their_each) in zip(
            mine, reversed(theirs), strict=True
        ):
            target = probabilities(their_view.float(), self.view_centre.value)
            of_views.append(cross_entropy(view.float(), target).mean())
            targets = probabilities(their_each.float(), self.region_centre.value)
            matched = matches(regions.float(), other.float())
            of_regions.append(region_loss(each.float(), targets, matched).mean())
            sure.append(-(target * target.clamp_min(1e-12).log()).sum(dim=-1).mean())
        loss = sum(of_views + of_regions, torch.zeros(())) / 2
        self._descend(loss)
        follow(self.teacher, self.student, momentum_at(done))
        self.view_centre.update(torch.cat([view for _, view, _ in theirs]).float())
        self.region_centre.update(torch.cat([each for _, _, each in theirs]).float())
        return {
            "view_loss": _mean(of_views),
            "region_loss": _mean(of_regions),
            "target_entropy": _mean(sure),
        }

    def _through_lens(self, view: Tensor) -> Tensor:
        if self.lens is None:
            return view
        half = len(view) // 2
        return torch.cat([self.lens(view[:half]), view[half:]])

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.lens_optimizer is not None:
            self.lens_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), MOST_GRADIENT)
        self.optimizer.step()
        if self.lens_optimizer is not None:
            self.lens_optimizer.step()  # uphill


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).detach().mean())


def momentum_at(done: float) -> float:
    """Of the teacher, at a share of the training: a cosine from 0.99 to 1."""
    return 1 - (1 - TEACHER_MOMENTUM) * (1 + math.cos(math.pi * done)) / 2


def train(
    pieces: Tensor, minutes: float, bound: float, seed: int
) -> tuple[Distilled, list[dict[str, float]]]:
    """The teacher after so many minutes of processor time, and a log."""
    generator = torch.Generator().manual_seed(seed)
    training = Training(bound, seed)
    log: list[dict[str, float]] = []
    steps, started = 0, time.process_time()
    while (spent := (time.process_time() - started) / 60) < minutes:
        index = torch.randint(len(pieces), (BATCH,), generator=generator)
        views = tuple(random_views(pieces[index], generator) for _ in range(2))
        told = training.step((views[0], views[1]), spent / minutes)
        steps += 1
        if steps % LOG_STEPS == 0:
            rounded = {key: round(value, 4) for key, value in told.items()}
            log.append({"step": steps, "core_minutes": round(spent, 2), **rounded})
            click.echo(to_json(log[-1], indent=None))
    return training.teacher, log


def pieces_of(data: Path, seed: int) -> Tensor:
    """Random pieces (n, 3, 64, 64) uint8 of the pictures of a folder.

    Raises:
        InputError: there is none so large, or one cannot be read.
    """
    generator, found = torch.Generator().manual_seed(seed), find_images([data])
    # In one piece: thousands of small tensors between large ones take gigabytes.
    pieces = torch.zeros((len(found) * PIECES, 3, PIECE, PIECE), dtype=torch.uint8)
    count = 0
    for each in found:
        cut = cut_pieces(read_image(each.path).pixels, PIECES, generator)
        pieces[count : count + len(cut)] = cut
        count += len(cut)
    if not count:
        raise InputError(f"{data}: no picture has {PIECE}x{PIECE} pixels")
    return pieces[:count]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder of photographs."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0), default=5, show_default=True,
    help="Processor time of the training; 0 writes the untrained network, to compare with.",
)  # fmt: skip
@click.option(
    "--lens", "bound", type=click.FloatRange(0, 1), default=0, show_default=True,
    help="Most that an adversarial lens changes a value of a picture in [0, 1]; 0 trains without.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True,
    help="File for the weights, .safetensors; its log is beside it, .log.jsonl.",
)  # fmt: skip
def command(data: Path, minutes: float, bound: float, seed: int, out: Path) -> None:
    """Train the encoder of the metric `feature-distance` on photographs, on one core."""
    torch.set_num_threads(1)
    try:
        ensure_writable_folder(out.parent)
        pieces = pieces_of(data, seed)
        teacher, log = train(pieces, minutes, bound, seed)
        told = shlex.join(["python", "-m", "benchmarks.semantic.encoder", *sys.argv[1:]])
        training: dict[str, Any] = {
            "command": told.replace(str(data), data.name).replace(str(out), out.name),
            "pieces": len(pieces),
            "core_minutes": minutes,
            "last": log[-1] if log else None,
        }
        save_network(out, teacher.encoder, training)
        lines = "".join(to_json(entry, indent=None) + "\n" for entry in log)
        write_text(out.with_suffix(".log.jsonl"), lines)
    except InputError as error:
        raise click.ClickException(str(error)) from error
    click.echo(to_json(training))


if __name__ == "__main__":
    command()
