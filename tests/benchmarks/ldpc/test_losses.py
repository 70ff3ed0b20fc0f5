"""Losses of code blocks against the binomial law and the law of the gain. Without Sionna."""

import math

import numpy as np
import pytest
import torch

from benchmarks.ldpc.losses import Losses
from benchmarks.ldpc.modes import Blocks, Mode, parse_mode
from benchmarks.ldpc.table import Rate
from witt.link.conditions import Link

MODE = parse_mode("4qam-1/2")
BLOCKS = Blocks(24, 6144, 3072, 6144)
CLIFF_DB = 1.5


def half(link: Link, mode: Mode, snr_db: float, length: int) -> Rate:
    """Every eighth block is lost."""
    return Rate(250, 2000)


def cliff(link: Link, mode: Mode, snr_db: float, length: int) -> Rate:
    """All or nothing over AWGN; block fading is not to be looked up."""
    assert link.channel == "awgn"
    return Rate(100, 100) if snr_db < CLIFF_DB else Rate(0, 2000)


def reaches_cliff(snr_db: float) -> float:
    """P(|h|² ≥ t) of Rayleigh; the SNR is rounded to 0.5 dB, so the cliff is 0.25 dB early."""
    return math.exp(-(10 ** ((CLIFF_DB - 0.25 - snr_db) / 10)))


@pytest.mark.parametrize(
    "link", [Link(), Link("rayleigh"), Link("rayleigh", "block", 1), Link("rayleigh", "block", 64)]
)
def test_blocks_are_lost_independently(link: Link) -> None:
    losses = Losses(link, MODE, 3.0, BLOCKS, half)
    assert losses.survival(range(24)) == pytest.approx(0.875**24)
    assert losses.survival(range(5, 8)) == pytest.approx(0.875**3)
    assert losses.survival(range(0)) == 1
    lost = np.array([losses.draw([seed]).lost for seed in range(500)])
    sigma = math.sqrt(0.125 * 0.875 / lost.size)
    assert abs(lost.mean() - 0.125) < 4 * sigma
    # Neighbours know nothing of each other.
    joint = (lost[:, 1:] & lost[:, :-1]).mean()
    assert abs(joint - 0.125**2) < 4 * math.sqrt(3 * 0.125**2 / lost[:, 1:].size)


def test_the_rate_is_that_of_the_link_and_rated_length() -> None:
    asked: list[tuple[Link, Mode, float, int]] = []

    def note(link: Link, mode: Mode, snr_db: float, length: int) -> Rate:
        asked.append((link, mode, snr_db, length))
        return Rate(0, 2000)

    link = Link("rician", "block", 100)
    losses = Losses(link, MODE, 3.25, Blocks(2, 4000, 2000, 3072), note)
    losses.survival(range(2))
    losses.draw([1])
    assert set(asked) == {(link, MODE, 3.25, 3072)}


def test_seeds() -> None:
    losses = Losses(Link(), MODE, 3.0, BLOCKS, half)
    first = losses.draw([5, 6]).lost
    np.testing.assert_array_equal(first, losses.draw([5, 6]).lost)
    assert (first != losses.draw([5, 7]).lost).any()
    # What is lost at a low error rate is lost at a high one too.
    worse = Losses(Link(), MODE, 3.0, BLOCKS, lambda *_: Rate(1000, 2000)).draw([5, 6]).lost
    assert (worse >= first).all()
    assert worse.sum() > first.sum()


def test_one_gain_for_a_picture() -> None:
    link = Link("rayleigh", "block")
    losses = Losses(link, MODE, 5.0, BLOCKS, cliff)
    expected = reaches_cliff(5.0)
    # 20,000 gains are behind it.
    sigma = math.sqrt(expected * (1 - expected) / 20_000)
    assert abs(losses.survival(range(24)) - expected) < 4 * sigma
    assert losses.survival(range(3)) == losses.survival(range(24))
    arrived = [not losses.draw([seed]).lost.any() for seed in range(1000)]
    all_lost = [bool(losses.draw([seed]).lost.all()) for seed in range(1000)]
    assert abs(np.mean(arrived) - expected) < 4 * math.sqrt(expected * (1 - expected) / 1000)
    assert np.mean(arrived) + np.mean(all_lost) == 1  # all blocks share the fate


def test_the_gain_is_that_of_the_channel_with_the_same_seed() -> None:
    """So that JSCC and the digital chain meet the same fade: h is the first thing drawn."""
    link = Link("rayleigh", "block")
    for seed in range(50):
        h = link.module().sample_gain(1, 100, generator=torch.Generator().manual_seed(seed))
        snr_db = 5.0 + 20 * math.log10(float(h.abs()))
        if abs(snr_db - (CLIFF_DB - 0.25)) > 1e-3:
            drawn = Losses(link, MODE, 5.0, BLOCKS, cliff).draw([seed])
            assert bool(drawn.lost.all()) == (snr_db < CLIFF_DB - 0.25)


def test_a_gain_for_some_blocks() -> None:
    # 3072 symbols a block: two whole blocks share a gain.
    losses = Losses(Link("rayleigh", "block", 7000), MODE, 5.0, BLOCKS, cliff)
    assert losses.hold == 2
    one = losses.survival(range(1))
    assert losses.survival(range(2)) == one
    assert losses.survival(range(1, 3)) == pytest.approx(one**2)
    assert losses.survival(range(24)) == pytest.approx(one**12)
    lost = np.array([losses.draw([seed]).lost for seed in range(200)])
    np.testing.assert_array_equal(lost[:, ::2], lost[:, 1::2])
    spread = math.sqrt(one * (1 - one) / lost[:, ::2].size)
    assert abs(1 - lost.mean() - reaches_cliff(5.0)) < 4 * spread
    assert abs((~lost[:, ::2] & ~np.roll(lost[:, ::2], 1, axis=1)).mean() - one**2) < 8 * spread


def test_strong_line_of_sight_is_awgn() -> None:
    link = Link("rician", "block", None, 60.0)
    assert Losses(link, MODE, CLIFF_DB + 0.5, BLOCKS, cliff).survival(range(24)) == 1
    assert Losses(link, MODE, CLIFF_DB - 0.5, BLOCKS, cliff).survival(range(24)) == 0
