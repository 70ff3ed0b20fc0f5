"""What is measured of a received picture."""

import math

import numpy as np
import pytest
import torch

from benchmarks.schemes.scheme import Sent
from benchmarks.sweep.measure import measure
from witt.metrics.metric import DEFAULT, make_metrics
from witt.metrics.published import ms_ssim_published

BOTH = make_metrics(DEFAULT)
RNG = np.random.default_rng(3)


def noisy(original: np.ndarray, deviation: float) -> np.ndarray:
    noise = deviation * np.random.default_rng(1).normal(size=original.shape)
    return np.clip(original + np.round(noise), 0, 255).astype(np.uint8)


def test_psnr_of_a_known_error() -> None:
    original = RNG.integers(10, 240, (100, 120, 3), dtype=np.uint8)
    row = measure(original, Sent(original + 5, 2250, {}), BOTH).row
    assert row["psnr_db"] == pytest.approx(20 * math.log10(255 / 5))
    assert (row["channel_uses"], row["cbr"]) == (2250, 2250 / 36000)
    assert 0 < row["ms_ssim"] < 1
    assert row["ms_ssim_db"] == pytest.approx(-10 * math.log10(1 - row["ms_ssim"]))


def test_nothing_sent_is_nan() -> None:
    original = np.zeros((40, 40, 3), np.uint8)
    row, variant, _ = measure(original, Sent(None, 7, {}), BOTH)
    assert all(math.isnan(value) for value in list(row.values())[:4])
    assert (row["channel_uses"], variant) == (7, None)


def test_a_perfect_picture_has_finite_figures() -> None:
    original = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    row = measure(original, Sent(original.copy(), 1, {}), BOTH).row
    assert list(row.values())[:4] == [100.0, 1.0, 60.0, 60.0]


def test_without_ms_ssim() -> None:
    original = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    sent = Sent(noisy(original, 5), 1, {})
    row, variant, _ = measure(original, sent, make_metrics(["psnr"]))
    assert row["psnr_db"] > 30
    assert list(row) == ["psnr_db", "channel_uses", "cbr"]
    assert variant is None


def test_published_ms_ssim_by_its_formula() -> None:
    """Another way to the same value: plain convolutions of scipy, in double precision."""
    from scipy.ndimage import convolve1d

    y, x = np.mgrid[0:120, 0:131]
    waves = [120 + 80 * np.sin(x / (4 + c)) * np.cos(y / 7) for c in range(3)]
    original = np.stack(waves, axis=2).astype(np.uint8)
    received = noisy(original, 12)

    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(plane: np.ndarray) -> np.ndarray:
        both = convolve1d(convolve1d(plane, window, axis=0), window, axis=1)
        return both[5:-5, 5:-5]

    def halve(plane: np.ndarray) -> np.ndarray:
        """Mean of 2×2, of what is there at an odd edge."""
        rows = np.add.reduceat(plane, np.arange(0, plane.shape[0], 2), axis=0)
        both = np.add.reduceat(rows, np.arange(0, plane.shape[1], 2), axis=1)
        ones = np.ones(plane.shape)
        count = np.add.reduceat(
            np.add.reduceat(ones, np.arange(0, plane.shape[0], 2), axis=0),
            np.arange(0, plane.shape[1], 2),
            axis=1,
        )
        return both / count

    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363])
    weights /= weights.sum()
    planes = [(received[..., c] / 255, original[..., c] / 255) for c in range(3)]
    product, contrast = 1.0, []
    for _ in range(4):
        values = []
        for a, b in planes:
            cov = blur(a * b) - blur(a) * blur(b)
            spread = blur(a * a) - blur(a) ** 2 + blur(b * b) - blur(b) ** 2
            cs = np.maximum((2 * cov + 0.0009) / (spread + 0.0009), 0)
            light = (2 * blur(a) * blur(b) + 1e-4) / (blur(a) ** 2 + blur(b) ** 2 + 1e-4)
            values.append((np.mean(cs), np.mean(light * cs)))
        contrast.append(np.mean(values, axis=0))
        planes = [(halve(a), halve(b)) for a, b in planes]
    for scale in range(3):
        product *= contrast[scale][0] ** weights[scale] * contrast[3][1] ** weights[3]

    def tensor(picture: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255

    value = float(ms_ssim_published(tensor(received), tensor(original)))
    assert value == pytest.approx(product, abs=2e-5)
    assert 0.5 < value < 0.999
