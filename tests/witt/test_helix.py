"""The helix: what is received of it is the mean given the noise, and as good as the table says.

`python -m tests.witt.test_helix` prints the table.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from witt import helix

COUNT = 20_000


def error_db(power_db: float, noise: float = 1.0, count: int = COUNT) -> float:
    """−10·log10 of the mean squared error of x from Laplace's distribution, of unit variance."""
    generator = torch.Generator().manual_seed(0)
    places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    x = torch.distributions.Laplace(0.0, math.sqrt(0.5)).icdf(places)
    power = torch.full_like(x, 10 ** (power_db / 10))
    hiss = torch.randn(count, 3, generator=generator, dtype=torch.float64) * math.sqrt(noise)
    numbers = helix.wind(x, power) + hiss
    mean, _ = helix.unwind(numbers, torch.full_like(numbers, noise), power)
    return -10 * math.log10(float((mean - x).square().mean() / x.square().mean()))


@pytest.mark.parametrize("power_db", [4, 8, 12, 18, 22, 26, 32])
def test_error_is_that_of_the_table(power_db: int) -> None:
    expected = helix.GAIN_DB[helix.POWER_DB.index(power_db)]
    # A few in 20,000 are on a wrong turn, each with an error of (2π/ω)².
    assert error_db(power_db) == pytest.approx(expected, abs=0.25)


@pytest.mark.parametrize("power_db", [8, 14, 20])
def test_better_than_a_linear_one_also_in_twice_the_noise(power_db: int) -> None:
    """As on a channel that fades."""
    linear = 10 * math.log10(1 + 10 ** (power_db / 10) / 2)
    assert error_db(power_db, noise=2.0) > linear


def test_power_is_shared_by_line_and_circle() -> None:
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    numbers = helix.wind(x, torch.tensor(7.0).double())
    assert float(numbers.square().sum(-1).mean()) == pytest.approx(7.0, rel=0.02)
    circle = numbers[:, 1:].square().sum(-1)
    torch.testing.assert_close(circle, torch.full_like(circle, 3.5))


@pytest.mark.parametrize("power_db", [6.0, 12.0, 20.0, 30.0])
def test_turns_are_apart_as_said(power_db: float) -> None:
    power = torch.tensor(10 ** (power_db / 10)).double()
    turn = 2 * math.pi / helix.angular_speed(power)
    here, next_turn = helix.wind(torch.stack((0 * turn, turn)), power.expand(2))
    apart = float((next_turn - here).square().sum().sqrt())
    known = helix.PITCH + helix.PITCH_A_DB * min(power_db, helix.MOST_DB)
    assert apart == pytest.approx(known * 10 ** (max(power_db - helix.MOST_DB, 0) / 20), rel=1e-6)


@pytest.mark.parametrize("power_db", [6.0, 13.0])
def test_mean_and_variance_given_what_was_received(power_db: float) -> None:
    """Against quadrature of the density, with unequal noise on the three."""
    power = torch.tensor(10 ** (power_db / 10)).double()
    omega, g = float(helix.angular_speed(power)), math.sqrt(float(power) / 2)
    noise = np.array([0.7, 1.2, 2.0])
    generator = np.random.default_rng(0)
    for _ in range(5):
        got = generator.normal(size=3) * 2.0

        def density(x: float, got: np.ndarray = got) -> float:
            sent = g * np.array([x, math.cos(omega * x), math.sin(omega * x)])
            prior = -math.sqrt(2) * math.sqrt(x**2 + 0.05)
            return math.exp(-((got - sent) ** 2 / noise).sum() / 2 + prior)

        whole, first, second = (
            quad(lambda x, n=n: x**n * density(x), -12, 12, limit=500)[0] for n in range(3)
        )
        mean, variance = helix.unwind(
            torch.from_numpy(got)[None], torch.from_numpy(noise)[None], power[None]
        )
        assert float(mean) == pytest.approx(first / whole, abs=2e-4)
        assert float(variance) == pytest.approx(second / whole - (first / whole) ** 2, abs=5e-4)


def test_without_noise_x_comes_back() -> None:
    x = torch.linspace(-11.9, 11.9, 997, dtype=torch.float64)
    for power_db in (6.0, 15.0, 30.0):
        power = torch.full_like(x, 10 ** (power_db / 10))
        numbers = helix.wind(x, power)
        mean, variance = helix.unwind(numbers, torch.zeros_like(numbers), power)
        torch.testing.assert_close(mean, x, rtol=0, atol=5e-3)
        assert float(variance.max()) < 1e-6


def test_best_power_is_where_the_cost_is_least() -> None:
    worth = torch.logspace(1, 5, 40, dtype=torch.float64)
    cost, power = helix.best(worth)
    every = torch.logspace(0.45, 3.2, 4000, dtype=torch.float64)
    costs = worth[:, None] / (1 + helix.linear_equal(every)) + every
    torch.testing.assert_close(cost, costs.min(1).values, rtol=0.02, atol=0)
    torch.testing.assert_close(cost, worth / (1 + helix.linear_equal(power)) + power)


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_()
    power = torch.tensor([4.0, 10.0, 30.0, 100.0]).double()
    received = (helix.wind(x.detach(), power) + 0.3).requires_grad_()
    ones = torch.ones(4, 3).double()

    def back(numbers: Tensor) -> tuple[Tensor, Tensor]:
        return helix.unwind(numbers, ones, power)

    assert torch.autograd.gradcheck(lambda value: helix.wind(value, power), x)
    assert torch.autograd.gradcheck(back, received)


if __name__ == "__main__":
    for power_db in helix.POWER_DB:
        print(power_db, round(error_db(power_db, count=200_000), 2))
