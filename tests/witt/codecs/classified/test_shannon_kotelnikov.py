"""The mapping: its estimate is the mean given the noise, and as good as the table says.

`python -m tests.witt.codecs.classified.test_shannon_kotelnikov` prints the table.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from witt.codecs.classified import shannon_kotelnikov

COUNT = 20_000


def both(x: Tensor, pairs: int) -> Tensor:
    """The number of pairs for each of x."""
    return torch.full_like(x, pairs, dtype=torch.int64)


def error_db(power_db: float, pairs: int, noise: float = 1.0, count: int = COUNT) -> float:
    """−10·log10 of the mean squared error of x from Laplace's distribution, of unit variance."""
    generator = torch.Generator().manual_seed(0)
    quantiles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    x = torch.distributions.Laplace(0.0, math.sqrt(0.5)).icdf(quantiles)
    power = torch.full_like(x, 10 ** (power_db / 10))
    noise_sample = torch.randn(count, 5, generator=generator, dtype=torch.float64) * math.sqrt(
        noise
    )
    numbers = shannon_kotelnikov.modulate(x, power, both(x, pairs)) + noise_sample
    variance = torch.full_like(numbers, noise)
    mean, _ = shannon_kotelnikov.mmse_estimate(numbers, variance, power, both(x, pairs))
    return -10 * math.log10(float((mean - x).square().mean() / x.square().mean()))


@pytest.mark.parametrize("pairs", [1, 2])
@pytest.mark.parametrize("power_db", [4, 8, 12, 18, 22, 26, 32])
def test_error_is_that_of_the_table(power_db: int, pairs: int) -> None:
    expected = shannon_kotelnikov.SDR_DB[pairs - 1][shannon_kotelnikov.POWER_DB.index(power_db)]
    # A few in 100,000 are on a wrong arm, each with an error of (2π/ω)².
    assert error_db(power_db, pairs, count=100_000) == pytest.approx(expected, abs=0.25)


@pytest.mark.parametrize("pairs", [1, 2])
@pytest.mark.parametrize("power_db", [9, 11, 13, 15, 17, 19])
def test_between_the_entries_of_the_table_too(power_db: int, pairs: int) -> None:
    power = torch.tensor([10 ** (power_db / 10)]).double()
    expected = 10 * math.log10(
        1 + float(shannon_kotelnikov.equivalent_linear_power(power, both(power, pairs)))
    )
    assert error_db(power_db, pairs) > expected - 0.7


@pytest.mark.parametrize(
    ("power_db", "pairs"), [(8, 1), (14, 1), (20, 1), (11, 2), (14, 2), (20, 2)]
)
def test_better_than_a_linear_one_also_in_twice_the_noise(power_db: int, pairs: int) -> None:
    """As on a channel that fades."""
    linear = 10 * math.log10(1 + 10 ** (power_db / 10) / 2)
    assert error_db(power_db, pairs, noise=2.0) > linear


@pytest.mark.parametrize(("pairs", "power_db", "linear"), [(1, 8.45, 0.5), (2, 14.0, 0.34)])
def test_power_is_shared_by_linear_dimension_and_pairs(
    pairs: int, power_db: float, linear: float
) -> None:
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    power = torch.full_like(x, 10 ** (power_db / 10))
    squares = shannon_kotelnikov.modulate(x, power, both(x, pairs)).square()
    assert float(squares.sum(-1).mean()) == pytest.approx(float(power[0]), rel=0.02)
    assert float(squares[:, 0].mean()) == pytest.approx(linear * float(power[0]), rel=0.02)
    for first in (1, 3):
        pair = squares[:, first : first + 2].sum(-1)
        torch.testing.assert_close(pair, pair[:1].expand_as(pair))
    assert bool(squares[:, 3:].any()) == (pairs == 2)


@pytest.mark.parametrize("power_db", [6.0, 12.0, 20.0, 30.0])
def test_arms_are_apart_as_said(power_db: float) -> None:
    power = torch.tensor(10 ** (power_db / 10)).double()
    period = 2 * math.pi / shannon_kotelnikov.curve_parameters(power, both(power, 1))[1][0]
    points = shannon_kotelnikov.modulate(
        torch.stack((0 * period, period)), power.expand(2), both(power, 1).expand(2)
    )
    apart = float((points[1] - points[0]).square().sum().sqrt())
    known = shannon_kotelnikov.ARM_DISTANCE + shannon_kotelnikov.ARM_DISTANCE_PER_DB * min(
        power_db, shannon_kotelnikov.MAX_ARM_DB
    )
    assert apart == pytest.approx(
        known * 10 ** (max(power_db - shannon_kotelnikov.MAX_ARM_DB, 0) / 20), rel=1e-6
    )


@pytest.mark.parametrize("pairs", [1, 2])
@pytest.mark.parametrize("power_db", [6.0, 13.0])
def test_mean_and_variance_given_what_was_received(power_db: float, pairs: int) -> None:
    """Against quadrature of the density, with unequal noise on the numbers."""
    power = torch.tensor(10 ** (power_db / 10)).double()
    number = both(power, pairs)
    amplitudes, frequencies = (
        x.tolist() for x in shannon_kotelnikov.curve_parameters(power, number)
    )
    noise = np.array([0.7, 1.2, 2.0, 0.8, 1.5])
    generator = np.random.default_rng(0)
    for _ in range(5):
        got = generator.normal(size=5) * 2.0

        def density(x: float, got: np.ndarray = got) -> float:
            curve = [amplitudes[0] * x]
            for amplitude, frequency in zip(amplitudes[1:], frequencies, strict=True):
                curve += [amplitude * math.cos(frequency * x), amplitude * math.sin(frequency * x)]
            off = ((got - np.array(curve)) ** 2 / noise)[: 1 + 2 * pairs]
            return math.exp(-off.sum() / 2 - math.sqrt(2) * math.sqrt(x**2 + 0.05))

        whole, first, second = (
            quad(lambda x, n=n: x**n * density(x), -12, 12, limit=500)[0] for n in range(3)
        )
        mean, variance = shannon_kotelnikov.mmse_estimate(
            torch.from_numpy(got)[None], torch.from_numpy(noise)[None], power[None], number[None]
        )
        assert float(mean) == pytest.approx(first / whole, abs=2e-4)
        assert float(variance) == pytest.approx(second / whole - (first / whole) ** 2, abs=5e-4)


@pytest.mark.parametrize("pairs", [1, 2])
def test_without_noise_x_comes_back(pairs: int) -> None:
    x = torch.linspace(-11.9, 11.9, 997, dtype=torch.float64)
    for power_db in (6.0, 15.0, 30.0):
        power = torch.full_like(x, 10 ** (power_db / 10))
        numbers = shannon_kotelnikov.modulate(x, power, both(x, pairs))
        mean, variance = shannon_kotelnikov.mmse_estimate(
            numbers, 0 * numbers, power, both(x, pairs)
        )
        torch.testing.assert_close(mean, x, rtol=0, atol=5e-3)
        assert float(variance.max()) < 1e-6


def test_each_comes_back_as_it_does_alone() -> None:
    """With one pair or two, in one call: as on a GPU, where all have the same shapes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, generator=generator, dtype=torch.float64)
    power = 4 + 60 * torch.rand(50, generator=generator, dtype=torch.float64)
    pairs = torch.randint(1, 3, (50,), generator=generator)
    noise_sample = torch.randn(50, 5, generator=generator, dtype=torch.float64)
    numbers = shannon_kotelnikov.modulate(x, power, pairs) + noise_sample
    together = shannon_kotelnikov.mmse_estimate(numbers, torch.ones_like(numbers), power, pairs)
    same_shapes = shannon_kotelnikov._mmse_estimate(numbers, torch.ones_like(numbers), power, pairs)
    for found, one in zip(together, same_shapes, strict=True):
        torch.testing.assert_close(found, one, rtol=0, atol=2e-3)
        assert not torch.equal(found, found.flip(0))


@pytest.mark.parametrize(("pairs", "within"), [(1, 0.02), (2, 0.04)])
def test_best_power_is_where_the_cost_is_least(pairs: int, within: float) -> None:
    distortion_weight = torch.logspace(1, 5, 40, dtype=torch.float64)
    cost, power = shannon_kotelnikov.least_cost(distortion_weight, pairs)
    every = torch.logspace(0.45, 3.2, 4000, dtype=torch.float64)
    costs = (
        distortion_weight[:, None]
        / (1 + shannon_kotelnikov.equivalent_linear_power(every, both(every, pairs)))
        + every
    )
    torch.testing.assert_close(cost, costs.min(1).values, rtol=within, atol=0)
    equivalent = shannon_kotelnikov.equivalent_linear_power(power, both(power, pairs))
    torch.testing.assert_close(cost, distortion_weight / (1 + equivalent) + power)


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_()
    power = torch.tensor([4.0, 10.0, 30.0, 100.0]).double()
    pairs = torch.tensor([1, 2, 2, 1])
    received = (shannon_kotelnikov.modulate(x.detach(), power, pairs) + 0.3).requires_grad_()
    ones = torch.ones(4, 5).double()

    def back(numbers: Tensor) -> tuple[Tensor, Tensor]:
        return shannon_kotelnikov.mmse_estimate(numbers, ones, power, pairs)

    assert torch.autograd.gradcheck(
        lambda value: shannon_kotelnikov.modulate(value, power, pairs), x
    )
    assert torch.autograd.gradcheck(back, received)


if __name__ == "__main__":
    for pairs in (1, 2):
        for power_db in shannon_kotelnikov.POWER_DB:
            print(pairs, power_db, round(error_db(power_db, pairs, count=200_000), 2))
