"""A codec of two matrices, which trains in no time, photographs, and invented result files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

CODEC = '''
import torch
from torch import nn
from torch.nn import functional as F

import channels
from witt import Codec, Encoded, Header


class Linear(Codec):
    """Patches of 4×4 pixels (48 values) to `width` values, and back."""

    def __init__(self, width: int = 8, broken: bool = False) -> None:
        super().__init__()
        self.there = nn.Linear(48, width, bias=False)
        self.back = nn.Linear(width, 48, bias=False)
        self.broken = broken

    def encode(self, image, snr_db, cbr=None):
        if self.broken:
            raise RuntimeError("out of order")
        values = self.there(F.pixel_unshuffle(image, 4).movedim(1, -1)).flatten(1)
        x, _ = channels.normalise_power(torch.view_as_complex(values.unflatten(1, (-1, 2))))
        return Encoded(x, Header.of(image, snr_db))

    def decode(self, symbols, header, noise_var=None):
        height, width = header.size
        values = torch.view_as_real(symbols).flatten(1)
        tokens = self.back(values.unflatten(1, (height // 4, width // 4, -1)))
        return 0.5 + F.pixel_shuffle(tokens.movedim(-1, 1), 4)
'''


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two workers of pytest share two cores."""
    torch.set_num_threads(1)


@pytest.fixture
def linear(tmp_path: Path) -> str:
    """The name of the codec."""
    path = tmp_path / "linear.py"
    path.write_text(CODEC)
    return f"{path}:Linear"


@pytest.fixture
def options() -> list[str]:
    """For `witt train`: tiny runs on the CPU."""
    return ["--crop", "16", "--batch", "2", "--workers", "0", "--device", "cpu"]


@pytest.fixture
def invented(tmp_path: Path) -> Callable[..., Path]:
    """Writes a result file from the mean PSNR of each preset and seed."""

    def write(scores: dict[str, list[float]], cost: dict[str, float] | None = None) -> Path:
        rows: list[dict[str, Any]] = [
            {
                "preset": name,
                "seed": seed,
                "share": 1.0,
                "budget": {"kind": "petaflops", "amount": 2.0},
                "run": 0,
                "steps": 100,
                "pictures": 6400,
                "seconds": 90.0,
                "petaflop": 2.0,
                "picture_ms": 1.5,
                "psnr_db": [
                    {"channel": "awgn", "snr_db": float(x), "cbr": "1/3", "psnr_db": y + x - 7}
                    for x in (1, 4, 7, 10, 13)
                ],
            }
            for name, values in scores.items()
            for seed, y in enumerate(values)
        ]
        costs = cost or {}
        presets = {
            n: {"kflop_per_pixel": costs.get(n, 60.0), "parameters": 2e6, "cbr": ["1/3"]}
            for n in scores
        }
        document = {
            "format": "witt-ablation-1",
            "version": "0",
            "data": {"names": ["a"], "pictures": 9, "content": "x"},
            "validation": {"names": ["cifar10"], "pictures": 4, "content": "y"},
            "settings": {},
            "presets": presets,
            "runs": [],
            "rows": rows,
        }
        path = tmp_path / "results.json"
        path.write_text(json.dumps(document))
        return path

    return write
