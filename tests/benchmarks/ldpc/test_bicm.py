"""What QAM with a bit interleaver carries, against closed forms and Monte Carlo."""

import math

import numpy as np
import pytest

from benchmarks.ldpc.bicm import bicm_capacity
from channels import theory


def test_4qam_is_two_binary_channels() -> None:
    """1 - E log2(1 + exp(-2 sqrt(2 snr) (sqrt(2 snr) + z) ...)) by Monte Carlo, 4 sigma."""
    snr = 10 ** (3 / 10)
    noise = np.random.default_rng(0).standard_normal(400_000)
    # One axis: x = 1, noise variance 1 / snr; LLR = 2 snr y.
    rates = 1 - np.log2(1 + np.exp(-2 * snr * (1 + noise / math.sqrt(snr))))
    sigma = rates.std() / math.sqrt(len(rates))
    assert bicm_capacity(2, 3.0, False) == pytest.approx(2 * rates.mean(), abs=8 * sigma)


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("fades", [False, True])
def test_it_is_under_shannons_and_grows_to_all_bits(bits: int, fades: bool) -> None:
    shannon = theory.rayleigh_ergodic_capacity if fades else theory.awgn_capacity
    rates = [bicm_capacity(bits, float(snr_db), fades) for snr_db in range(-10, 40, 2)]
    assert rates == sorted(rates)
    for snr_db, rate in zip(range(-10, 40, 2), rates, strict=True):
        assert 0 < rate < float(shannon(float(snr_db)))
    assert rates[-1] == pytest.approx(bits, abs=0.1 if fades else 1e-6)


def test_fading_is_the_mean_over_the_gains() -> None:
    power = np.random.default_rng(0).exponential(size=3000)
    rates = np.array([bicm_capacity(4, float(10 + 10 * np.log10(one)), False) for one in power])
    sigma = rates.std() / math.sqrt(len(rates))
    assert bicm_capacity(4, 10.0, True) == pytest.approx(rates.mean(), abs=4 * sigma)
