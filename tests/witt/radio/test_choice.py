"""The table of error rates: whole, plausible, and true where it is measured again."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

import channels
from witt.radio.blocks import LEVELS, MODES, level_for, mode_for, uses_of
from witt.radio.choice import TABLE, required_snr
from witt.radio.error_rates import LONG_LENGTHS, Case, Point, cases, fit, lost

LONG = [8, 30, 64, 200, 256, 700, 1024, 2500, 4096, 20_000]
both = pytest.mark.parametrize("fades", [False, True], ids=["awgn", "rayleigh"])


def test_every_curve_is_there_once() -> None:
    found = [
        Case(
            "short" if "uses" in each else "long",
            each["uses"] if "uses" in each else each["mode"],
            each["k"],
            each["channel"] == "rayleigh",
        )
        for each in json.loads(TABLE.read_text(encoding="utf-8"))["curves"]
    ]
    assert found == cases()


def test_curves_are_those_of_their_points() -> None:
    for each in json.loads(TABLE.read_text(encoding="utf-8"))["curves"]:
        points = [
            Point(float(snr), int(count.split("/")[1]), int(count.split("/")[0]))
            for snr, count in each["errors_of_blocks"].items()
        ]
        required, decade, deviation = fit(points)
        assert required == pytest.approx(each["required_db"], abs=2e-3)
        assert decade == pytest.approx(each["decade_db"], abs=2e-3)
        assert 2 * deviation == pytest.approx(each["margin_db"], abs=5e-3)
        # Carried on by little more than a decade.
        assert min(p.errors / p.blocks for p in points if p.blocks >= 100) < 0.011


@both
def test_no_code_beats_the_channel(fades: bool) -> None:
    capacity = channels.theory.rayleigh_ergodic_capacity if fades else channels.theory.awgn_capacity
    for uses in LEVELS:
        for k in (80, 96, 140, 176):
            snr_db = required_snr("short", uses, k, fades)
            assert k / uses < capacity(snr_db - 0.5)
    for index, mode in enumerate(MODES):
        for k in LONG:
            snr_db = required_snr("long", index, k, fades)
            assert k / uses_of(k, mode) < capacity(snr_db - 0.3)
    # And the longest is near it: within 4 dB, 5 where it fades.
    longest = LONG_LENGTHS[-1]
    for index, mode in enumerate(MODES[:12]):
        snr_db = required_snr("long", index, longest, fades)
        assert longest / uses_of(longest, mode) > capacity(snr_db - (5 if fades else 4))


@both
def test_required_snr_falls_with_length_and_redundancy(fades: bool) -> None:
    for k in (80, 110, 176):
        levels = [required_snr("short", uses, k, fades) for uses in LEVELS]
        assert levels == sorted(levels, reverse=True)
    for uses in LEVELS:
        lengths = [required_snr("short", uses, k, fades) for k in (60, 80, 90, 110, 130, 176)]
        assert lengths == sorted(lengths)
    for index in range(len(MODES)):
        targets = [required_snr("long", index, 1024, fades, t) for t in (0.1, 0.01, 1e-3, 1e-4)]
        assert targets == sorted(targets)


@both
def test_the_choice_is_the_cheapest_that_reaches_the_target(fades: bool) -> None:
    for snr_db in np.arange(-10, 30, 0.7):
        uses = level_for(96, snr_db, fades)
        reached = [n for n in LEVELS if required_snr("short", n, 96, fades) <= snr_db]
        assert uses == (reached[0] if reached else LEVELS[-1])
        mode = mode_for(700, snr_db, fades)
        reached = [i for i in range(16) if required_snr("long", i, 700, fades) <= snr_db]
        assert mode == MODES[reached[-1] if reached else 0]


def test_a_step_at_least_every_few_db() -> None:
    """Over AWGN, for blocks of 1,024 bits, from -5 to 20 dB."""
    required = [required_snr("long", i, 1024, False) for i in range(len(MODES))]
    assert required[0] < -5
    assert required[-1] > 20
    assert max(np.diff(required)) < 2.6
    assert np.mean(np.diff(required)) < 2


def test_a_block_longer_than_any_short_one() -> None:
    with pytest.raises(ValueError, match="176 bits at most, got 177"):
        level_for(177, 10, False)


def test_fit_of_a_curve_that_is_known() -> None:
    """Rates of 10^(-3 - (snr - 5) / 0.4), exactly."""
    snrs = [4.2, 4.4, 4.6, 4.8]
    points = [Point(s, 10**6, round(10**6 * 10 ** (-3 - (s - 5) / 0.4))) for s in snrs]
    required, decade, deviation = fit([Point(3.0, 100, 90), *points])
    assert required == pytest.approx(5, abs=2e-3)
    assert decade == pytest.approx(0.4, abs=2e-3)
    assert 0 < deviation < 0.01


def test_fit_knows_how_sure_it_is() -> None:
    """Of many simulations of one curve, 95 in 100 are within two standard deviations."""
    rng = np.random.default_rng(0)
    snrs = np.array([4.25, 4.4, 4.55, 4.7])
    rates = 10 ** (-3 - (snrs - 5) / 0.5)
    inside = 0
    for _ in range(100):
        errors = rng.binomial(3000, rates)
        required, _, deviation = fit(
            [Point(*p) for p in zip(snrs, [3000] * 4, errors, strict=True)]
        )
        inside += abs(required - 5) < 2 * deviation
    assert 88 <= inside <= 100


def measured(case: Case, blocks: int) -> int:
    """Blocks lost at the SNR that the table wants."""
    snr_db = required_snr(case.kind, case.choice, case.k, case.fades)
    generator = torch.Generator().manual_seed(case.k)
    batch = min(100, blocks)
    return sum(lost(case, snr_db, batch, generator) for _ in range(blocks // batch))


def allowed(blocks: int, cases: int = 1) -> int:
    """More are lost with a probability of 1 in 10,000 if each is with 1 in 1,000."""
    return int(stats.binom.ppf(1 - 1e-4 / cases, blocks, 1e-3))


@both
@pytest.mark.parametrize(
    ("kind", "choice", "k"),
    [("short", 216, 96), ("short", 648, 130), ("long", 3, 150), ("long", 8, 700)],
)
def test_one_in_a_thousand_is_lost(kind: str, choice: int, k: int, fades: bool) -> None:
    assert measured(Case(kind, choice, k, fades), 1000) <= allowed(1000)


@pytest.mark.slow
@both
def test_one_in_a_thousand_is_lost_everywhere(fades: bool) -> None:
    """Every level and mode, at lengths between those of the table."""
    every = [Case("short", uses, 96, fades) for uses in LEVELS] + [
        Case("long", index, k, fades) for index in range(len(MODES)) for k in (40, 500)
    ]
    errors = {case: measured(case, 5000) for case in every}
    assert max(errors.values()) <= allowed(5000, len(every)), errors
    total = 5000 * len(every)
    assert sum(errors.values()) <= 1e-3 * total
