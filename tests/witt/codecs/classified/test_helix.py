"""The helix: what is received of it is the mean given the noise, and as good as the table says.

`python -m tests.witt.codecs.classified.test_helix` prints the table.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from witt.codecs.classified import helix

COUNT = 20_000


def both(x: Tensor, circles: int) -> Tensor:
    """The number of circles for each of x."""
    return torch.full_like(x, circles, dtype=torch.int64)


def error_db(power_db: float, circles: int, noise: float = 1.0, count: int = COUNT) -> float:
    """−10·log10 of the mean squared error of x from Laplace's distribution, of unit variance."""
    generator = torch.Generator().manual_seed(0)
    places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    x = torch.distributions.Laplace(0.0, math.sqrt(0.5)).icdf(places)
    power = torch.full_like(x, 10 ** (power_db / 10))
    hiss = torch.randn(count, 5, generator=generator, dtype=torch.float64) * math.sqrt(noise)
    numbers = helix.wind(x, power, both(x, circles)) + hiss
    variance = torch.full_like(numbers, noise)
    mean, _ = helix.unwind(numbers, variance, power, both(x, circles))
    return -10 * math.log10(float((mean - x).square().mean() / x.square().mean()))


@pytest.mark.parametrize("circles", [1, 2])
@pytest.mark.parametrize("power_db", [4, 8, 12, 18, 22, 26, 32])
def test_error_is_that_of_the_table(power_db: int, circles: int) -> None:
    expected = helix.GAIN_DB[circles - 1][helix.POWER_DB.index(power_db)]
    # A few in 100,000 are on a wrong turn, each with an error of (2π/ω)².
    assert error_db(power_db, circles, count=100_000) == pytest.approx(expected, abs=0.25)


@pytest.mark.parametrize("circles", [1, 2])
@pytest.mark.parametrize("power_db", [9, 11, 13, 15, 17, 19])
def test_between_the_entries_of_the_table_too(power_db: int, circles: int) -> None:
    power = torch.tensor([10 ** (power_db / 10)]).double()
    expected = 10 * math.log10(1 + float(helix.linear_equal(power, both(power, circles))))
    assert error_db(power_db, circles) > expected - 0.7


@pytest.mark.parametrize(
    ("power_db", "circles"), [(8, 1), (14, 1), (20, 1), (11, 2), (14, 2), (20, 2)]
)
def test_better_than_a_linear_one_also_in_twice_the_noise(power_db: int, circles: int) -> None:
    """As on a channel that fades."""
    linear = 10 * math.log10(1 + 10 ** (power_db / 10) / 2)
    assert error_db(power_db, circles, noise=2.0) > linear


@pytest.mark.parametrize(("circles", "power_db", "line"), [(1, 8.45, 0.5), (2, 14.0, 0.34)])
def test_power_is_shared_by_line_and_circles(circles: int, power_db: float, line: float) -> None:
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    power = torch.full_like(x, 10 ** (power_db / 10))
    squares = helix.wind(x, power, both(x, circles)).square()
    assert float(squares.sum(-1).mean()) == pytest.approx(float(power[0]), rel=0.02)
    assert float(squares[:, 0].mean()) == pytest.approx(line * float(power[0]), rel=0.02)
    for first in (1, 3):
        circle = squares[:, first : first + 2].sum(-1)
        torch.testing.assert_close(circle, circle[:1].expand_as(circle))
    assert bool(squares[:, 3:].any()) == (circles == 2)


@pytest.mark.parametrize("power_db", [6.0, 12.0, 20.0, 30.0])
def test_turns_are_apart_as_said(power_db: float) -> None:
    power = torch.tensor(10 ** (power_db / 10)).double()
    turn = 2 * math.pi / helix.shape(power, both(power, 1))[1][0]
    points = helix.wind(torch.stack((0 * turn, turn)), power.expand(2), both(power, 1).expand(2))
    apart = float((points[1] - points[0]).square().sum().sqrt())
    known = helix.PITCH + helix.PITCH_A_DB * min(power_db, helix.MOST_DB)
    assert apart == pytest.approx(known * 10 ** (max(power_db - helix.MOST_DB, 0) / 20), rel=1e-6)


@pytest.mark.parametrize("circles", [1, 2])
@pytest.mark.parametrize("power_db", [6.0, 13.0])
def test_mean_and_variance_given_what_was_received(power_db: float, circles: int) -> None:
    """Against quadrature of the density, with unequal noise on the numbers."""
    power = torch.tensor(10 ** (power_db / 10)).double()
    number = both(power, circles)
    amplitudes, speeds = (x.tolist() for x in helix.shape(power, number))
    noise = np.array([0.7, 1.2, 2.0, 0.8, 1.5])
    generator = np.random.default_rng(0)
    for _ in range(5):
        got = generator.normal(size=5) * 2.0

        def density(x: float, got: np.ndarray = got) -> float:
            curve = [amplitudes[0] * x]
            for amplitude, speed in zip(amplitudes[1:], speeds, strict=True):
                curve += [amplitude * math.cos(speed * x), amplitude * math.sin(speed * x)]
            off = ((got - np.array(curve)) ** 2 / noise)[: 1 + 2 * circles]
            return math.exp(-off.sum() / 2 - math.sqrt(2) * math.sqrt(x**2 + 0.05))

        whole, first, second = (
            quad(lambda x, n=n: x**n * density(x), -12, 12, limit=500)[0] for n in range(3)
        )
        mean, variance = helix.unwind(
            torch.from_numpy(got)[None], torch.from_numpy(noise)[None], power[None], number[None]
        )
        assert float(mean) == pytest.approx(first / whole, abs=2e-4)
        assert float(variance) == pytest.approx(second / whole - (first / whole) ** 2, abs=5e-4)


@pytest.mark.parametrize("circles", [1, 2])
def test_without_noise_x_comes_back(circles: int) -> None:
    x = torch.linspace(-11.9, 11.9, 997, dtype=torch.float64)
    for power_db in (6.0, 15.0, 30.0):
        power = torch.full_like(x, 10 ** (power_db / 10))
        numbers = helix.wind(x, power, both(x, circles))
        mean, variance = helix.unwind(numbers, 0 * numbers, power, both(x, circles))
        torch.testing.assert_close(mean, x, rtol=0, atol=5e-3)
        assert float(variance.max()) < 1e-6


def test_each_comes_back_as_it_does_alone() -> None:
    """With one circle or two, in one call: as on a GPU, where all have the same shapes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, generator=generator, dtype=torch.float64)
    power = 4 + 60 * torch.rand(50, generator=generator, dtype=torch.float64)
    circles = torch.randint(1, 3, (50,), generator=generator)
    hiss = torch.randn(50, 5, generator=generator, dtype=torch.float64)
    numbers = helix.wind(x, power, circles) + hiss
    together = helix.unwind(numbers, torch.ones_like(numbers), power, circles)
    same_shapes = helix._unwind(numbers, torch.ones_like(numbers), power, circles)
    for found, one in zip(together, same_shapes, strict=True):
        torch.testing.assert_close(found, one, rtol=0, atol=2e-3)
        assert not torch.equal(found, found.flip(0))


@pytest.mark.parametrize(("circles", "within"), [(1, 0.02), (2, 0.04)])
def test_best_power_is_where_the_cost_is_least(circles: int, within: float) -> None:
    worth = torch.logspace(1, 5, 40, dtype=torch.float64)
    cost, power = helix.best(worth, circles)
    every = torch.logspace(0.45, 3.2, 4000, dtype=torch.float64)
    costs = worth[:, None] / (1 + helix.linear_equal(every, both(every, circles))) + every
    torch.testing.assert_close(cost, costs.min(1).values, rtol=within, atol=0)
    alike = helix.linear_equal(power, both(power, circles))
    torch.testing.assert_close(cost, worth / (1 + alike) + power)


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_()
    power = torch.tensor([4.0, 10.0, 30.0, 100.0]).double()
    circles = torch.tensor([1, 2, 2, 1])
    received = (helix.wind(x.detach(), power, circles) + 0.3).requires_grad_()
    ones = torch.ones(4, 5).double()

    def back(numbers: Tensor) -> tuple[Tensor, Tensor]:
        return helix.unwind(numbers, ones, power, circles)

    assert torch.autograd.gradcheck(lambda value: helix.wind(value, power, circles), x)
    assert torch.autograd.gradcheck(back, received)


if __name__ == "__main__":
    for circles in (1, 2):
        for power_db in helix.POWER_DB:
            print(circles, power_db, round(error_db(power_db, circles, count=200_000), 2))
