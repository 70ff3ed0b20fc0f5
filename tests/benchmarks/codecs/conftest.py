"""Pictures for the codecs."""

import numpy as np
import pytest

from witt.pictures.images import Pixels


def make_picture(seed: int, height: int = 80, width: int = 112) -> Pixels:
    """Smooth colours, edges and a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for _ in range(3):
        fx, fy, phase = random.uniform(0.02, 0.2, 3)
        wave = 90 * np.sin(fx * x + phase) + 60 * np.cos(fy * y)
        planes.append(128 + wave * 0.6 + 40 * ((x + y) % 37 < 12))
    noisy = np.stack(planes, -1) + random.normal(0, 4, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture
def pixels() -> Pixels:
    return make_picture(1)


@pytest.fixture
def others() -> Pixels:
    """Of the same size."""
    return make_picture(2)
