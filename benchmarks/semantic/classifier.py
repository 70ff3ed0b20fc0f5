"""`python -m benchmarks.semantic.classifier`: train the classifier of the metric `accuracy`.

On clean pictures: it is to know what it sees, not what a channel does. Random crops (4 pixels to
each side, mirrored there) and mirror images, cross entropy with smoothed labels, SGD with Nesterov
momentum and one cycle of the learning rate; bfloat16 inside. The last 1,288 training pictures are
held out for choices; the test set gives one figure at the end.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.metrics.semantic.network import CIFAR_CLASSES, Classifier, load_network, save_network
from witt.pictures.sheets import TILE, read_labels, read_sheets
from witt.report import to_json

HELD_OUT = 1288
BATCH = 128
REACH = 4  # pixels that a crop may move
SMOOTHING = 0.1
WEIGHT_DECAY = 5e-4


def labelled(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, 32, 32) uint8 and their classes (n,) of CIFAR-10 sheets.

    Raises:
        InputError: the folder has none.
    """
    tiles, labels = read_sheets(folder, part), read_labels(folder, part)
    if tiles is None or labels is None:
        raise InputError(f"{folder}: has no CIFAR-10 sheets {part}_00.webp and {part}_labels.npy")
    return torch.from_numpy(tiles).permute(0, 3, 1, 2), torch.from_numpy(labels.astype(np.int64))


def augmented(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Random crops and mirror images of (B, 3, 32, 32) uint8, as floats in [0, 1]."""
    padded = F.pad(pictures.float() / 255, [REACH] * 4, mode="reflect")
    count = len(pictures)
    moves = torch.randint(2 * REACH + 1, (2, count, 1), generator=generator)
    mirror = torch.randint(2, (count, 1), generator=generator).bool()
    steps = torch.arange(TILE)
    rows, columns = moves[0] + steps, moves[1] + torch.where(mirror, TILE - 1 - steps, steps)
    each = torch.arange(count)[:, None, None]
    cut = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def accuracy(network: torch.nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Share of the pictures (n, 3, H, W) uint8 whose class is found."""
    network.eval()
    with torch.inference_mode():
        right = [
            network(part.float() / 255).argmax(dim=1) == true
            for part, true in zip(pictures.split(500), labels.split(500), strict=True)
        ]
    return float(torch.cat(right).double().mean())


def batches(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of one epoch, shuffled, in whole batches."""
    order = torch.randperm(count, generator=generator)
    yield from order[: count - count % BATCH].split(BATCH)


def train(
    pictures: Tensor, labels: Tensor, held: tuple[Tensor, Tensor], epochs: int, lr: float, seed: int
) -> tuple[Classifier, list[dict[str, float]]]:
    """A trained classifier, and its log: an entry an epoch."""
    torch.manual_seed(seed)  # of the weights at the start
    generator = torch.Generator().manual_seed(seed)
    network = Classifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    steps = epochs * (len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.25, anneal_strategy="linear",
        cycle_momentum=False,
    )  # fmt: skip
    log, started = [], time.process_time()
    for epoch in range(1, epochs + 1):
        network.train()
        losses = []
        for index in batches(len(pictures), generator):
            with torch.autocast("cpu", torch.bfloat16):
                scores = network(augmented(pictures[index], generator))
            loss = F.cross_entropy(scores.float(), labels[index], label_smoothing=SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        entry = {
            "epoch": epoch,
            "loss": round(float(np.mean(losses)), 4),
            "held_out_accuracy": round(accuracy(network, *held), 4),
            "core_minutes": round((time.process_time() - started) / 60, 2),
        }
        click.echo(to_json(entry, indent=None))
        log.append(entry)
    return network, log


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder of CIFAR-10 sheets."
)
@click.option("--epochs", type=click.IntRange(min=1), default=30, show_default=True)
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), default=0.1, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True,
    help="File for the weights, .safetensors; its log is beside it, .log.jsonl.",
)  # fmt: skip
def command(data: Path, epochs: int, lr: float, seed: int, out: Path) -> None:
    """Train the classifier of the metric `accuracy` on CIFAR-10, on one core."""
    torch.set_num_threads(1)
    try:
        ensure_writable_folder(out.parent)
        pictures, labels = labelled(data, "train")
        if len(pictures) < HELD_OUT + BATCH or int(labels.max()) >= len(CIFAR_CLASSES):
            raise InputError(
                f"{data}: {len(pictures)} training pictures with labels up to {int(labels.max())}; "
                f"at least {HELD_OUT + BATCH} of {len(CIFAR_CLASSES)} classes are needed"
            )
        held = pictures[-HELD_OUT:], labels[-HELD_OUT:]
        network, log = train(
            pictures[:-HELD_OUT], labels[:-HELD_OUT], held, epochs, lr, seed
        )  # fmt: skip
        told = shlex.join(["python", "-m", "benchmarks.semantic.classifier", *sys.argv[1:]])
        training = {
            "command": told.replace(str(data), "cifar10").replace(str(out), out.name),
            "pictures": len(pictures) - HELD_OUT,
            "core_minutes": log[-1]["core_minutes"],
        }
        save_network(out, network, training)
        kept, _ = load_network(out, Classifier())  # as it is in the file, in half precision
        training["held_out_accuracy"] = round(accuracy(kept, *held), 4)
        training["test_accuracy"] = round(accuracy(kept, *labelled(data, "test")), 4)
        save_network(out, kept, training)
        lines = "".join(to_json(entry, indent=None) + "\n" for entry in log)
        write_text(out.with_suffix(".log.jsonl"), lines)
    except InputError as error:
        raise click.ClickException(str(error)) from error
    click.echo(to_json(training))


if __name__ == "__main__":
    command()
