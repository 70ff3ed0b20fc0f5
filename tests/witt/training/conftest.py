"""Small pictures and a model that trains in a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from witt.training.config import TrainConfig

TINY = {"dims": (8, 12, 16), "depths": (1, 1, 2), "heads": (1, 1, 2), "window": 4, "patch": 2,
        "channels": 24, "classes": 3, "smooth_channels": 2}  # fmt: skip


def smooth(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    """A picture with structure: smoothed noise that fills the range of 8 bits."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    surface = noise.cumsum(0).cumsum(1)
    surface -= surface.min()
    return (surface / surface.max() * 255).round().astype(np.uint8)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two workers of pytest share two cores."""
    torch.set_num_threads(1)


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    """Makes a picture from a seed and a size."""
    return smooth


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of five pictures, some of them nested."""
    folder = tmp_path / "photos"
    (folder / "nested").mkdir(parents=True)
    for i in range(5):
        where = folder / "nested" if i % 2 else folder
        Image.fromarray(smooth(i)).save(where / f"{i}.png")
    return folder


@pytest.fixture
def settings(photos: Path) -> Callable[..., TrainConfig]:
    """Makes a configuration of a tiny run, with some settings replaced."""

    def make(**changes: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "preset": "witt_light",
            "data": (str(photos),),
            "snr": (0, 10),
            "cbr": ("1/48", "1/16"),
            "steps": 6,
            "batch": 3,
            "crop": 32,
            "workers": 0,
            "device": "cpu",
            "overrides": TINY,
        }
        return TrainConfig(**{**values, **changes})

    return make


@pytest.fixture
def sheets(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A folder like CIFAR-10's (40 training, 8 test pictures), and its training pictures."""
    folder = tmp_path / "cifar"
    folder.mkdir()
    rng = np.random.default_rng(7)
    tiles = rng.integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)
    for split, part, count in (("train", tiles[:40], 40), ("test", tiles[40:], 8)):
        per_sheet = 32  # a row of sheets of 8 tiles
        for number in range(-(-len(part) // per_sheet)):
            sheet = np.zeros((128, 256, 3), np.uint8)
            for i, tile in enumerate(part[number * per_sheet : (number + 1) * per_sheet]):
                top, left = 32 * (i // 8), 32 * (i % 8)
                sheet[top : top + 32, left : left + 32] = tile
            Image.fromarray(sheet).save(folder / f"{split}_{number:02}.webp", lossless=True)
        np.save(folder / f"{split}_labels.npy", np.zeros(count, np.uint8))
    return folder, tiles[:40]
