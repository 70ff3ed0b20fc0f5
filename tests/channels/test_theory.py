"""Closed forms against numerical integration, limits, known values and Monte Carlo."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

import channels
from channels import theory

Curve = Callable[..., NDArray[np.float64]]

CURVES: list[Curve] = [
    theory.awgn_capacity,
    theory.rayleigh_ergodic_capacity,
    lambda s: theory.rician_ergodic_capacity(s, 6.0),
    lambda s: theory.rayleigh_outage_capacity(s, 0.1),
    theory.bpsk_ber_awgn,
    theory.qpsk_ber_awgn,
    theory.bpsk_ber_rayleigh,
    theory.qpsk_ber_rayleigh,
]
RISING = 4  # the first four are capacities


def mean_over(pdf: Curve, f: Curve, top: float) -> float:
    """E[f(t)] for t of the given density on [0, top]: Gauss-Legendre on each scale of t."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    edges = np.concatenate(([0.0], np.geomspace(1e-9, top, 30)))
    half, centre = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    t = centre + half * nodes
    return float((half * weights * pdf(t) * f(t)).sum())


@pytest.mark.parametrize(("snr_db", "bits"), [(0.0, 1.0), (10 * math.log10(3), 2.0)])
def test_awgn_capacity(snr_db: float, bits: float) -> None:
    assert theory.awgn_capacity(snr_db) == pytest.approx(bits, rel=1e-14)


# -27 dB is where the exact form gives way to the series.
@pytest.mark.parametrize("snr_db", [-60, -40, -27.1, -26.9, -20, -5, 0, 10, 30, 60])
def test_rayleigh_capacity_against_integration(snr_db: float) -> None:
    g = 10 ** (snr_db / 10)
    expected = mean_over(lambda t: np.exp(-t), lambda t: np.log1p(g * t), 60) / math.log(2)
    assert theory.rayleigh_ergodic_capacity(snr_db) == pytest.approx(expected, rel=1e-9)


def test_rayleigh_capacity_known_values() -> None:
    # e E1(1) = 0.596347362323194 (Gompertz' constant)
    expected = 0.596347362323194 / math.log(2)
    assert theory.rayleigh_ergodic_capacity(0.0) == pytest.approx(expected, rel=1e-13)
    # At high SNR the loss to AWGN is Euler's constant over ln 2: 0.83 bit ([TV] section 5.4.5).
    loss = theory.awgn_capacity(90.0) - theory.rayleigh_ergodic_capacity(90.0)
    assert loss == pytest.approx(np.euler_gamma / math.log(2), abs=1e-7)


@pytest.mark.parametrize("k_factor_db", [-10.0, 0.0, 6.0, 15.0])
@pytest.mark.parametrize("snr_db", [-30.0, 0.0, 10.0, 40.0])
def test_rician_capacity_against_integration(snr_db: float, k_factor_db: float) -> None:
    # SciPy's noncentral chi-squared of |h|^2, another route than the Rice density of |h|.
    g, k = 10 ** (snr_db / 10), 10 ** (k_factor_db / 10)
    law = stats.ncx2(df=2, nc=2 * k, scale=1 / (2 * (k + 1)))
    expected = mean_over(law.pdf, lambda t: np.log1p(g * t), 40.0) / math.log(2)
    assert theory.rician_ergodic_capacity(snr_db, k_factor_db) == pytest.approx(expected, rel=1e-8)


def test_rician_capacity_ends_at_rayleigh_and_awgn() -> None:
    snr_db = np.array([-10.0, 5.0, 25.0])
    weak, strong = (theory.rician_ergodic_capacity(snr_db, k) for k in (-100.0, 100.0))
    np.testing.assert_allclose(weak, theory.rayleigh_ergodic_capacity(snr_db), rtol=1e-9)
    np.testing.assert_allclose(strong, theory.awgn_capacity(snr_db), rtol=1e-9)


@pytest.mark.parametrize(
    ("channel", "capacity"),
    [
        (channels.AWGN(), theory.awgn_capacity),
        (channels.Rayleigh(), theory.rayleigh_ergodic_capacity),
        (channels.Rician(3.0), lambda s: theory.rician_ergodic_capacity(s, 3.0)),
    ],
    ids=["awgn", "rayleigh", "rician"],
)
@pytest.mark.parametrize("snr_db", [-3.0, 10.0])
def test_capacity_against_the_channel(
    channel: channels.Channel, capacity: Curve, snr_db: float
) -> None:
    x = torch.zeros((1, 200_000), dtype=torch.complex128)
    _, h, noise_var = channel(x, snr_db, generator=torch.Generator().manual_seed(3))
    rate = torch.log2(1 + h.abs().square() / noise_var)
    # A constant gain has no spread: rounding alone is left.
    sigma = rate.std().item() / math.sqrt(rate.numel()) if channel.fading else 1e-13
    assert abs(rate.mean().item() - float(capacity(snr_db))) < 4 * sigma


@pytest.mark.parametrize("outage", [0.01, 0.1, 0.5])
def test_outage_rate_is_missed_by_that_share_of_blocks(outage: float) -> None:
    blocks = 100_000
    x = torch.zeros((blocks, 1), dtype=torch.complex128)
    generator = torch.Generator().manual_seed(4)
    _, h, noise_var = channels.Rayleigh(coherence=None)(x, 7.0, generator=generator)
    rate = float(theory.rayleigh_outage_capacity(7.0, outage))
    missed = (torch.log2(1 + h.abs().square() / noise_var) < rate).double().mean().item()
    assert abs(missed - outage) < 4 * math.sqrt(outage * (1 - outage) / blocks)


@pytest.mark.parametrize("outage", [-0.1, 1.0, math.nan])
def test_bad_outage_is_refused(outage: float) -> None:
    with pytest.raises(ValueError, match=f"outage must be.*{outage}"):
        theory.rayleigh_outage_capacity(10.0, outage)


@pytest.mark.parametrize("k_factor_db", [math.nan, math.inf])
def test_bad_k_factor_is_refused(k_factor_db: float) -> None:
    with pytest.raises(ValueError, match=f"k_factor_db must be.*{k_factor_db}"):
        theory.rician_ergodic_capacity(10.0, k_factor_db)


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 9.0])
def test_error_rates_are_gaussian_tails(snr_db: float) -> None:
    g = 10 ** (snr_db / 10)
    assert theory.bpsk_ber_awgn(snr_db) == pytest.approx(stats.norm.sf(math.sqrt(2 * g)))
    assert theory.qpsk_ber_awgn(snr_db) == pytest.approx(stats.norm.sf(math.sqrt(g)))


def test_bpsk_error_rate_known_value() -> None:
    # The 9.6 dB at which textbooks put BPSK's 1e-5.
    assert theory.bpsk_ber_awgn(9.5879) == pytest.approx(1e-5, rel=1e-3)


@pytest.mark.parametrize(
    ("faded", "still"),
    [
        (theory.bpsk_ber_rayleigh, theory.bpsk_ber_awgn),
        (theory.qpsk_ber_rayleigh, theory.qpsk_ber_awgn),
    ],
    ids=["bpsk", "qpsk"],
)
@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 15.0, 40.0])
def test_rayleigh_error_rates_average_the_awgn_ones(
    faded: Curve, still: Curve, snr_db: float
) -> None:
    mean = mean_over(lambda t: np.exp(-t), lambda t: still(snr_db + 10 * np.log10(t)), 60)
    assert faded(snr_db) == pytest.approx(mean, rel=1e-9)


def test_rayleigh_error_rates_keep_their_digits_at_high_snr() -> None:
    assert theory.bpsk_ber_rayleigh(160.0) == pytest.approx(1e-16 / 4, rel=1e-12)
    assert theory.qpsk_ber_rayleigh(160.0) == pytest.approx(1e-16 / 2, rel=1e-12)


@pytest.mark.parametrize("index", range(len(CURVES)))
def test_shapes_limits_and_order(index: int) -> None:
    curve = CURVES[index]
    snr_db = np.linspace(-40, 12, 27)
    values = curve(snr_db)
    assert values.shape == snr_db.shape
    assert values.dtype == np.float64
    assert np.all(np.diff(values) > 0 if index < RISING else np.diff(values) < 0)
    assert curve(snr_db.reshape(3, 9)).shape == (3, 9)
    assert isinstance(curve(5), float)
    assert curve(5) == pytest.approx(curve([5.0])[0])
    low, high, missing = curve([-math.inf, math.inf, math.nan])
    assert (low, high) == ((0.0, math.inf) if index < RISING else (0.5, 0.0))
    assert math.isnan(missing)
