"""What several test files share: a tiny model and small pictures."""

import os
from pathlib import Path

# Before PyTorch is imported: processes beside each other share the cores. With a thread for each
# core in each of them the threads wait for one another, and the tests take three times as long.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // int(workers), 1)))

import numpy as np
import pytest
import torch

import witt


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of a tiny model with all the abilities of witt_light; untrained."""
    # Seeded without touching the generator of the process.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = witt.create_model(
            "witt_light", dims=(16, 24, 32), depths=(1, 1, 1), heads=(1, 1, 2)
        )
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    training = {"steps": 7, "hours": 0.5, "config": {"channel": ["awgn"], "data": ["photos"]}}
    witt.save_weights(path, model, training)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A smooth picture of 48 by 40 pixels, as a PNG file."""
    y, x = np.mgrid[0:40, 0:48]
    pixels = np.stack([5 * x, 6 * y, 3 * (x + y) % 256], axis=2).astype(np.uint8)
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    witt.write_png(path, pixels)
    return path
