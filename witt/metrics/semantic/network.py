"""The convolutional network of the semantic metrics, and how it is kept in a file.

    image ─► ×2, −1 ─► 3×3 ─► block ─► block ─► block ─► regions ─► mean ─► linear ─► classes
    (B, 3, H, W)                ↓2       ↓2       ↓2     (B, C, H/8, W/8)

A block is two 3×3 convolutions with batch normalisation and ReLU, the second beside a shortcut (He
et al., Deep Residual Learning, arXiv 1512.03385); a maximum behind its first halves the sides.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.errors import InputError
from witt.files import write_bytes
from witt.report import to_json

SHIPPED = Path(__file__).parents[1] / "data"
FORMAT = "witt-semantic-1"
STRIDE = 8
# Channels of the stem and of the blocks.
Widths = tuple[int, int, int, int]
OF_CLASSIFIER: Widths = (24, 48, 96, 192)
OF_ENCODER: Widths = (16, 32, 64, 128)
CIFAR_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

M = TypeVar("M", bound=nn.Module)


class Block(nn.Module):
    """(B, C, H, W) to (B, C', H/2, W/2), rounded down."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = F.relu(self.first_norm(F.max_pool2d(self.first(x), 2)))
        return x + F.relu(self.second_norm(self.second(x)))


class Encoder(nn.Module):
    """A picture (B, 3, H, W) in [0, 1], sides of at least 8, to regions (B, C, H/8, W/8)."""

    def __init__(self, widths: Widths = OF_ENCODER) -> None:
        super().__init__()
        self.width = widths[-1]
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(Block(*pair) for pair in itertools.pairwise(widths))

    def stages(self, image: Tensor) -> list[Tensor]:
        """What each block gives: (B, C, H/2, W/2), (B, C', H/4, W/4), (B, C'', H/8, W/8)."""
        x = (image * 2 - 1).contiguous(memory_format=torch.channels_last)
        x = F.relu(self.stem(x))
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.stages(image)[-1]


class Classifier(nn.Module):
    """Scores of the classes of a picture, (B, classes)."""

    def __init__(self, classes: int = len(CIFAR_CLASSES)) -> None:
        super().__init__()
        self.encoder = Encoder(OF_CLASSIFIER)
        self.head = nn.Linear(self.encoder.width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        scores: Tensor = self.head(self.encoder(image).mean(dim=(2, 3)))
        return scores


def save_network(path: Path, network: nn.Module, training: dict[str, Any]) -> None:
    """Write a network in half precision, with how it was trained.

    Raises:
        InputError: a weight is not finite in half precision, or the file cannot be written.
    """
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    if bad := [name for name, value in state.items() if not value.isfinite().all()]:
        raise InputError(f"{path}: not written, since {bad[0]} is not finite in half precision")
    metadata = {"format": FORMAT, "training": to_json(training, indent=None)}
    write_bytes(path, safetensors.torch.save(state, metadata))


@torch.inference_mode(False)  # whatever it is wanted for first
def load_network(path: Path, network: M) -> tuple[M, dict[str, Any]]:
    """Fill a network from a file of `save_network`: float32, in evaluation mode, on the CPU.

    Returns:
        The network, and how it was trained.

    Raises:
        InputError: missing, damaged, or of another network.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("format") != FORMAT:
            raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
        network.load_state_dict(
            {
                name: value.float() if value.is_floating_point() else value
                for name, value in state.items()
            }
        )
        training: dict[str, Any] = json.loads(metadata["training"])
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            f"{path}: not the weights of a {type(network).__name__} of a semantic metric ({reason})"
        ) from error
    return network.eval().to(memory_format=torch.channels_last), training
