"""SoftCast: closed-form error for its own statistics, and what its header holds."""

import math

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from benchmarks.schemes.softcast import SoftCast, allocate, analyse, synthesise
from channels import theory
from witt.link.conditions import Link
from witt.pictures.images import Pixels


def picture(side: int = 96, seed: int = 0) -> Pixels:
    """Grey noise with a spectrum falling as 1/f, as photographs have."""
    rng = np.random.default_rng(seed)
    u = np.arange(side)
    amplitude = 12 * side / (1 + np.hypot(u[:, None], u)) / 8
    waves = rng.standard_normal((3, side, side)) * amplitude
    field = scipy.fft.idctn(waves, axes=(1, 2), norm="ortho")
    return np.clip(field + 128, 0, 255).round().astype(np.uint8).transpose(1, 2, 0)


def test_the_transform_is_orthonormal_and_inverts() -> None:
    pixels = picture()
    coefficients = analyse(pixels)
    energy = ((pixels / 255 - 0.5) ** 2).sum()
    assert (coefficients**2).sum() == pytest.approx(energy)
    np.testing.assert_array_equal(synthesise(coefficients), pixels)


def chunks(coefficients: NDArray[np.float64], power: NDArray[np.float64]) -> None:
    for value in np.unique(power[0]):
        inside = coefficients[0][power[0] == value]
        assert (inside**2).mean() == pytest.approx(value, rel=2**0.125 - 1 + 1e-9)


def test_the_header_gives_the_power_of_each_chunk_within_its_step() -> None:
    coefficients = analyse(picture(64))
    known = allocate(coefficients, coefficients.size)
    assert known.header_bits == 32 + 8 * 3 * 16 * 16
    chunks(coefficients, known.power)


def test_the_strongest_coefficients_are_sent() -> None:
    coefficients = analyse(picture())
    known = allocate(coefficients, 1000)
    assert len(known.order) == len(set(known.order.tolist())) == 1000
    sent = known.power.flat[known.order]
    rest = np.delete(known.power.flatten(), known.order)
    assert sent.min() >= rest.max()


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_error_over_awgn_is_the_closed_form(snr_db: float) -> None:
    """Σ λ n/(p + n) over what is sent, p = √λ at unit power, n = N0/2, and Σ λ of the rest."""
    pixels = picture(160)
    cbr, n0 = 1 / 6, 10 ** (-snr_db / 10)
    known = allocate(analyse(pixels), 2 * int(pixels.size * cbr))
    power = known.power.flat[known.order]
    rest = np.delete(known.power.flatten(), known.order)
    share = np.sqrt(power) / np.sqrt(power).mean() / 2
    expected = ((power * n0 / 2 / (share + n0 / 2)).sum() + rest.sum()) / pixels.size
    errors = []
    for seed in range(12):
        sent = SoftCast().send([pixels], Link(), snr_db, cbr, [seed])[0]
        assert sent.pixels is not None
        errors.append((((sent.pixels / 255.0) - pixels / 255.0) ** 2).mean())
    # Rounding to 8 bits adds 1/12 of a level; the header's powers are within 9 % each.
    expected += (1 / 255) ** 2 / 12
    assert np.mean(errors) == pytest.approx(expected, rel=0.03)


def test_fading_costs_what_it_costs_on_average() -> None:
    """On fast Rayleigh fading the loss is about that of the mean MMSE error, never a gain."""
    pixels = picture(160)
    psnrs = {}
    for name in ("awgn", "rayleigh"):
        sent = SoftCast().send([pixels], Link(name), 10.0, 1 / 6, [3])[0]
        assert sent.pixels is not None
        mse = ((sent.pixels.astype(float) - pixels) ** 2).mean()
        psnrs[name] = 10 * math.log10(255**2 / mse)
    lost = theory.awgn_capacity(10.0) - theory.rayleigh_ergodic_capacity(10.0)
    assert 0.5 < psnrs["awgn"] - psnrs["rayleigh"] < 6 * float(lost)


def test_uses_and_seeds() -> None:
    pixels = picture(48)
    first, again, other = (
        SoftCast().send([pixels], Link(), 5.0, 1 / 16, [s])[0] for s in (1, 1, 2)
    )
    assert first.channel_uses == int(48 * 48 * 3 / 16)
    assert first.pixels is not None
    assert again.pixels is not None
    assert other.pixels is not None
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def test_too_few_channel_uses_have_a_reason() -> None:
    tiny = np.zeros((1, 1, 3), np.uint8)
    sent = SoftCast().send([tiny], Link(), 5.0, 1 / 16, [1])[0]
    assert sent.pixels is None
    assert "channel use" in sent.info["reason"]
