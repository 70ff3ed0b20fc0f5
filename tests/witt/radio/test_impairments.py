"""Clipping and oscillators against their closed forms."""

import math

import pytest
import torch

import channels
from witt.radio.impairments import clip, oscillator


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("level_db", [-3.0, 0.0, 3.0, 6.0])
def test_clipped_gaussian_samples(level_db: float) -> None:
    """Mean power 1 − e^(−A) for A the largest power; phases stay."""
    x = channels.complex_normal((1, 400_000), generator=seeded())[0]
    y = clip(x, level_db)
    most = 10 ** (level_db / 10)
    power = y.abs().square()
    assert float(power.max()) <= most * float(x.abs().square().mean()) * (1 + 1e-5)
    deviation = float(power.std()) / math.sqrt(len(x))
    assert float(power.mean()) == pytest.approx(1 - math.exp(-most), abs=5 * deviation + 2e-3)
    assert torch.allclose(y / y.abs(), x / x.abs(), atol=1e-5)


def test_an_oscillator_that_is_off_turns_evenly() -> None:
    turn = oscillator(1_000_000, 0.00123, 0.0, seeded())
    expected = torch.exp(2j * math.pi * (0.00123 * torch.tensor([0.0, 999_999.0]).double()))
    assert torch.allclose(turn[[0, -1]], expected, atol=1e-6)
    assert torch.allclose(turn.abs(), torch.ones(1).double())


@pytest.mark.parametrize("lag", [1, 100])
def test_phase_noise_has_a_lorentzian_line(lag: int) -> None:
    """E[e^(j(φ(n + k) − φ(n)))] = e^(−π Δf k), the transform of a line of width Δf."""
    width = 1e-3
    turn = oscillator(1_000_000, 0.0, width, seeded())
    products = (turn[lag:] * turn[:-lag].conj()).real
    chance = 4 * float(products.std()) * math.sqrt(2 * lag / len(turn))
    assert float(products.mean()) == pytest.approx(math.exp(-math.pi * width * lag), abs=chance)
