"""Where a gain jumps, found by dynamic programming."""

import numpy as np
import pytest

from witt.radio.jumps import means, noise_of_differences, pieces


def noisy(levels: list[complex], each: int, n0: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    count = each * len(levels)
    both = rng.standard_normal((2, count)) * np.sqrt(n0 / 2)
    return np.repeat(np.array(levels), each) + both[0] + 1j * both[1]


def test_jumps_are_found_where_they_are() -> None:
    numbers = pieces(noisy([1, 1j, -1, 0.2], 40, 0.05), np.ones(160), 0.05)
    assert numbers.tolist() == np.repeat(range(4), 40).tolist()


def test_noise_alone_is_rarely_cut() -> None:
    """At most one of 100 rows of 200 values."""
    cut = [pieces(noisy([1], 200, 1.0, seed), np.ones(200), 1.0).max() > 0 for seed in range(100)]
    assert sum(cut) <= 1


def test_the_least_cost_of_all_ways() -> None:
    """Against all 2^9 ways to cut 10 values, with weights."""
    h, weight = noisy([0, 2, 1], 4, 0.3, 5)[:10], np.array([1, 4, 1, 1, 2, 1, 1, 3, 1, 1.0])

    def cost(cuts: int) -> float:
        numbers = np.cumsum([0] + [cuts >> bit & 1 for bit in range(9)])
        mean, _, _ = means(h, weight, numbers)
        spread = float((weight * np.abs(h - mean) ** 2).sum())
        return spread + 2.5 * np.log(10) * 0.3 * (numbers[-1] + 1)

    found = pieces(h, weight, 0.3)
    mine = sum(1 << bit for bit in range(9) if found[bit + 1] > found[bit])
    assert cost(mine) == pytest.approx(min(cost(cuts) for cuts in range(512)))


def test_noise_from_differences_does_not_mind_jumps() -> None:
    h = noisy([1, -1, 1j, 3], 500, 0.2)
    assert noise_of_differences(h, np.ones(2000)) == pytest.approx(0.2, rel=0.1)


def test_a_value_is_not_in_the_mean_of_the_others() -> None:
    h, weight = np.array([1, 3, 10, 5.0 + 0j]), np.array([1, 2, 1, 1.0])
    mean, others, left = means(h, weight, np.array([0, 0, 0, 1]))
    assert mean.tolist() == [4.25, 4.25, 4.25, 5]
    assert others[:3] == pytest.approx([16 / 3, 5.5, 7 / 3])
    assert left.tolist() == [3, 2, 3, 0]
