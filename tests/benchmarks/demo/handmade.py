"""Small photographs."""

import numpy as np

from benchmarks.demo.pictures import Photograph


def photograph(seed: int, height: int = 64, width: int = 96) -> Photograph:
    """Smooth colours, other ones for each seed."""
    y, x = np.mgrid[0:height, 0:width]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = [128 + 60 * np.sin(x / 9 + phase[c]) + 50 * np.cos(y / 7 - phase[c]) for c in range(3)]
    return Photograph(np.stack(waves, axis=2).clip(0, 255).astype(np.uint8), f"{seed}.png")
