"""What is sent is the strongest, with the power that an independent optimiser finds too."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from witt.codecs.classified import shannon_kotelnikov
from witt.codecs.classified.allocation import MAX_EXPANDED_SHARE, Allocation, allocate

VARIANCE = (4.0, 0.01, 9.0, 0.25, 1.0)
COUNT = (2, 3, 1, 4, 2)
NOISES = (1e-3, 0.05, 0.4, 2.0, 30.0)


def row(values: tuple[float, ...]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def solve(
    budget: float,
    noise: float,
    variance: tuple[float, ...] = VARIANCE,
    count: tuple[float, ...] = COUNT,
) -> Allocation:
    """`allocate` for one picture, all of it linear."""
    return allocate(row(variance), row(count), row((budget,))[0], row((noise,))[0], expansion=False)


def total_error(
    found: Allocation,
    noise: float,
    variance: tuple[float, ...] = VARIANCE,
    count: tuple[float, ...] = COUNT,
) -> float:
    """Σ v·σ²/(p + σ²) of all that is sent, and v of each that is not."""
    error = found.number_sent * row(variance) * noise / (found.power + noise)
    return float((error + (row(count) - found.number_sent) * row(variance)).sum())


def least_error(strengths: np.ndarray, power: float, noise: float) -> float:
    """The smallest error of these coefficients under a power limit, by SLSQP.

    In amplitudes, p = q²: where the best power is 0 there is then no bound to stop at. From several
    starts, since that is no longer convex.
    """

    def error(q: np.ndarray) -> tuple[float, np.ndarray]:
        below = q**2 + noise
        value = float((strengths * noise / below).sum())
        return value, -2 * q * strengths * noise / below**2

    limit = {"type": "eq", "fun": lambda q: (q**2).sum() - power, "jac": lambda q: 2 * q}
    starts = [strengths**0.25, strengths, np.eye(len(strengths))[0] + 1e-3]
    results = [
        minimize(
            error,
            start * np.sqrt(power / (start**2).sum()),
            jac=True,
            method="SLSQP",
            constraints=limit,
            options={"ftol": 1e-13, "maxiter": 60},
        )
        for start in starts
    ]
    return min(float(result.fun) for result in results if result.success)


def test_the_strongest_are_taken() -> None:
    """9, 4, 4, 1, 1, 0.25 × 4, 0.01 × 3: of the last kind only some."""
    assert solve(4, 0.1).number_sent.tolist() == [[2, 0, 1, 0, 1]]
    assert solve(7, 0.1).number_sent.tolist() == [[2, 0, 1, 2, 2]]
    assert solve(100, 0.1).number_sent.tolist() == [list(COUNT)]


def test_of_equal_kinds_the_earlier_is_taken() -> None:
    found = solve(5, 0.1, variance=(1.0, 2.0, 1.0, 2.0, 1.0), count=(2, 1, 2, 1, 2))
    assert found.number_sent.tolist() == [[2, 1, 1, 1, 0]]
    many = 5000  # as many frequencies as a picture may have; an unstable sort would mix them
    even = torch.ones(1, many, dtype=torch.float64)
    found = allocate(even, even, row((2000.0,))[0], row((0.1,))[0])
    assert torch.equal(found.number_sent[0], (torch.arange(many) < 2000).double())


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("budget", [1, 4, 7, 12])
def test_half_a_unit_of_power_each(budget: int, noise: float) -> None:
    found = solve(budget, noise)
    assert found.number_sent.sum() == budget
    assert float((found.number_sent * found.power).sum()) == pytest.approx(budget / 2, rel=1e-12)
    assert bool((found.power >= 0).all())
    assert bool((found.power[found.number_sent == 0] == 0).all())


def test_more_places_than_coefficients_are_power_for_those_there_are() -> None:
    found = solve(30, 0.1)
    assert float((found.number_sent * found.power).sum()) == pytest.approx(15, rel=1e-12)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("budget", [4, 7, 12])
def test_no_other_powers_are_better(budget: int, noise: float) -> None:
    found = solve(budget, noise)
    each = np.sort(np.repeat(VARIANCE, COUNT))[::-1][:budget].copy()
    rest = sum(v * n for v, n in zip(VARIANCE, COUNT, strict=True)) - each.sum()
    expected = least_error(each, budget / 2, noise) + rest
    assert total_error(found, noise) == pytest.approx(expected, rel=1e-7)


def test_in_much_noise_the_weak_get_no_power() -> None:
    """The cases above hold both kinds of solution: all get some, and only the strongest do."""
    powered = [int((solve(12, noise).power > 0).sum()) for noise in NOISES]
    assert powered[0] == 5
    assert powered == sorted(powered, reverse=True)
    assert powered[-1] == 1


@pytest.mark.parametrize("noise", NOISES)
def test_kinds_of_which_there_are_none_change_nothing(noise: float) -> None:
    """A class without tokens in the picture, be it the strongest or in between."""
    with_none = solve(7, noise, variance=(20.0, *VARIANCE, 2.0), count=(0, *COUNT, 0))
    without = solve(7, noise)
    for found, expected in zip(with_none[:2], without[:2], strict=True):
        torch.testing.assert_close(found[:, 1:-1], expected)
        assert found[0, 0] == found[0, -1] == 0
    torch.testing.assert_close(with_none[3:], without[3:])


# A small part of a coefficient more, as the derivative of the total error.
STEP = 1e-6


@pytest.mark.parametrize("kind", [0, 2, 4])
def test_water_level_and_bandwidth_price_are_what_one_more_costs(kind: int) -> None:
    """One more of a kind that is sent, instead of one of the weakest: 2·s·√v − s² + price.

    Of it 2·s·√v − s² is its own error and the power that it takes, the price of bandwidth what the
    other loses.
    """
    budget, noise = 7, 0.02
    found = solve(budget, noise)
    assert (
        0 < found.number_sent[0, 3] < COUNT[3]
    )  # the weakest sent are of this kind, with v = 0.25
    assert found.bandwidth_price > 0
    more = tuple(n + STEP * (i == kind) for i, n in enumerate(COUNT))
    after = total_error(solve(budget, noise, count=more), noise, count=more)
    measured = (after - total_error(found, noise)) / STEP
    water_level = found.water_level
    expected = float(
        2 * water_level * VARIANCE[kind] ** 0.5 - water_level**2 + found.bandwidth_price
    )
    assert measured == pytest.approx(expected, rel=1e-5)


def test_water_level_is_the_price_of_power() -> None:
    """dD/dP = −s²/σ²: the error saved for a little more power, by a SLSQP of its own."""
    budget, noise = 7, 0.4
    each = np.sort(np.repeat(VARIANCE, COUNT))[::-1][:budget].copy()
    step = 1e-2
    low, high = (least_error(each, budget / 2 + d, noise) for d in (-step, step))
    water_level = float(solve(budget, noise).water_level)
    assert (low - high) / (2 * step) == pytest.approx(water_level**2 / noise, rel=1e-3)


def test_places_cost_nothing_where_all_are_sent() -> None:
    assert float(solve(12, 1e-3).bandwidth_price) == 0
    assert float(solve(11, 1e-3).bandwidth_price) > 0


def test_each_picture_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    variance = torch.rand(4, 9, generator=generator, dtype=torch.float64) + 0.01
    count = torch.randint(0, 6, (4, 9), generator=generator)
    budget, noise = torch.tensor([3, 10, 17, 40]), torch.tensor([0.01, 1.0, 0.1, 9.0])
    together = allocate(variance, count, budget, noise)
    for i in range(4):
        alone = allocate(*(x[i : i + 1] for x in (variance, count, budget, noise)))
        for one, all_of_them in zip(alone, together, strict=True):
            assert torch.equal(one[0], all_of_them[i])


class TestExpansion:
    """With bandwidth expansion allowed; the error is that of the table of `shannon_kotelnikov`."""

    VARIANCE = tuple(1000 * 0.85**i for i in range(60))
    COUNT = (1,) * 60

    def found(self, budget: float, noise: float, expansion: bool = True) -> Allocation:
        at = row((budget,))[0], row((noise,))[0]
        return allocate(row(self.VARIANCE), row(self.COUNT), *at, expansion=expansion)

    def error(self, found: Allocation, noise: float) -> float:
        power = found.power / noise
        equivalent = shannon_kotelnikov.equivalent_linear_power(power.clamp_min(1), found.pairs)
        power = torch.where(found.pairs > 0, equivalent, power)
        return total_error(found._replace(power=power * noise), noise, self.VARIANCE, self.COUNT)

    @pytest.mark.parametrize("noise", [0.01, 0.4, 2.0])
    @pytest.mark.parametrize("budget", [20, 40])
    def test_dimensions_and_power_are_used_up(self, budget: int, noise: float) -> None:
        found = self.found(budget, noise)
        each, expanded = row(self.COUNT), found.pairs > 0
        assert float((found.number_sent + 2 * each * found.pairs).sum()) == budget
        assert float((found.number_sent * found.power).sum()) == pytest.approx(
            budget / 2, rel=1e-12
        )
        assert bool((found.number_sent[expanded] == each[expanded]).all())
        assert float((each * expanded * (1 + 2 * found.pairs)).sum()) <= MAX_EXPANDED_SHARE * budget

    @pytest.mark.parametrize("noise", [0.01, 0.1, 0.4, 2.0])
    def test_no_other_choice_of_kinds_is_much_better(self, noise: float) -> None:
        """Of all sets of strong kinds, each with the best common price of power; within 10 %.

        A mapping has to be better by `COST_MARGIN` to be taken, and the prices are not iterated to
        the end.
        """
        budget, strengths = 40, np.array(self.VARIANCE)
        found = self.error(self.found(budget, noise), noise)
        errors = []
        prices = np.geomspace(1e-4, 1e4, 400)
        best = {
            pairs: shannon_kotelnikov.least_cost(
                torch.from_numpy(strengths[:, None] * prices), pairs
            )[1].numpy()
            for pairs in (1, 2)
        }
        for two, one in itertools.product(range(7), range(7)):
            number, numbers = two + one, 5 * two + 3 * one
            if numbers > MAX_EXPANDED_SHARE * budget:
                continue
            linear, left = strengths[number:][: budget - numbers], strengths[number:]
            rest = left.sum() - linear.sum()
            pairs = torch.tensor([2] * two + [1] * one)
            for share in np.linspace(0.02, 0.75, 25) if number else [0.0]:
                # Of theirs each gets what is best at one price.
                powers = noise * np.concatenate((best[2][:two], best[1][two:number]))
                index = np.abs(powers.sum(0) - share * budget / 2).argmin() if number else 0
                power = powers[:, index]
                if power.sum() > budget / 2 * 0.99:
                    continue
                equivalent = shannon_kotelnikov.equivalent_linear_power(
                    torch.from_numpy(power / noise), pairs
                ).numpy()
                error = (strengths[:number] / (1 + equivalent)).sum() + rest
                level = _water_filling(linear, budget / 2 - power.sum(), noise)
                errors.append(error + level)
        assert found <= 1.1 * min(errors)
        linear = self.error(self.found(budget, noise, expansion=False), noise)
        assert found <= linear * (0.85 if noise == 0.1 else 1.0)


def _water_filling(variance: np.ndarray, power: float, noise: float) -> float:
    """The least error of a linear code, by bisection for the level."""
    low, high = 0.0, 1e6
    for _ in range(200):
        level = (low + high) / 2
        powers = np.clip(np.sqrt(variance * noise) * level - noise, 0, None)
        low, high = (level, high) if powers.sum() < power else (low, level)
    return float((variance * noise / (powers + noise)).sum())
