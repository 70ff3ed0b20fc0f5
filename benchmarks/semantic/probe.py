"""`python -m benchmarks.semantic.probe`: what a linear classifier makes of an encoder's features.

The usual test of a self-supervised encoder: its features stay as they are, and a logistic
regression on them tells the classes of CIFAR-10. Trained on 11,000 training pictures, tested on the
1,288 others that are held out; the test set is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.semantic.classifier import HELD_OUT, labelled
from witt.errors import InputError
from witt.metrics.semantic.network import Encoder, load_network

DECAY = 1e-3  # of the squared weights
STEPS = 200


def features(encoder: Encoder, pictures: Tensor) -> Tensor:
    """The mean over the places of each stage, side by side: (n, C) of pictures (n, 3, H, W)."""
    with torch.inference_mode():
        parts = [
            torch.cat([stage.mean(dim=(2, 3)) for stage in encoder.stages(part.float() / 255)], 1)
            for part in pictures.split(500)
        ]
    return torch.cat(parts).clone()


def linear_probe(
    train: tuple[Tensor, Tensor], held: tuple[Tensor, Tensor], decay: float = DECAY
) -> float:
    """Accuracy on held-out features of a logistic regression.

    Args:
        train, held: features (n, C) and classes (n,).
        decay: of its squared weights.
    """
    (x, labels), (y, true) = train, held
    mean, spread = x.mean(dim=0), x.std(dim=0).clamp_min(1e-6)
    x, y = (x - mean) / spread, (y - mean) / spread
    layer = nn.Linear(x.shape[1], int(labels.max()) + 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(x), labels) + decay * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return float((layer(y).argmax(dim=1) == true).double().mean())


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder of CIFAR-10 sheets."
)
@click.argument("weights", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(data: Path, weights: Sequence[Path]) -> None:
    """Accuracy of a linear classifier on the features of encoders.

    WEIGHTS are files of python -m benchmarks.semantic.encoder.
    """
    torch.set_num_threads(1)
    try:
        pictures, labels = labelled(data, "train")
        if len(pictures) <= HELD_OUT:
            raise InputError(f"{data}: {len(pictures)} training pictures; {HELD_OUT} are held out")
        for path in weights:
            found = features(load_network(path, Encoder())[0], pictures)
            train = found[:-HELD_OUT], labels[:-HELD_OUT]
            right = linear_probe(train, (found[-HELD_OUT:], labels[-HELD_OUT:]))
            click.echo(f"{path.name:40} {right:.3f}")
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
