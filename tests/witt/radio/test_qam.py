"""QAM against the formulas of the standard, LLRs against their definition."""

import numpy as np
import pytest
import torch

from witt.radio import qam


def every(bits: int) -> np.ndarray:
    """All labels, (2^bits, bits)."""
    return ((np.arange(2**bits)[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)


def by_the_standard(b: np.ndarray) -> complex:
    """TS 38.211, sections 5.1.3 to 5.1.6, written out."""
    s = 1.0 - 2.0 * b
    if len(b) == 2:
        return (s[0] + 1j * s[1]) / np.sqrt(2)
    if len(b) == 4:
        return (s[0] * (2 - s[2]) + 1j * s[1] * (2 - s[3])) / np.sqrt(10)
    if len(b) == 6:
        real, imaginary = (s[i] * (4 - s[i + 2] * (2 - s[i + 4])) for i in (0, 1))
        return (real + 1j * imaginary) / np.sqrt(42)
    real, imaginary = (s[i] * (8 - s[i + 2] * (4 - s[i + 4] * (2 - s[i + 6]))) for i in (0, 1))
    return (real + 1j * imaginary) / np.sqrt(170)


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
def test_constellation(bits: int) -> None:
    labels = every(bits)
    points = qam.map_bits(labels, bits)[:, 0].numpy()
    np.testing.assert_allclose(points, [by_the_standard(b) for b in labels], atol=1e-6)
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
def test_neighbours_differ_in_one_bit(bits: int) -> None:
    labels = every(bits)
    points = qam.map_bits(labels, bits)[:, 0].numpy()
    distance = np.abs(points[:, None] - points[None])
    near = (distance > 0) & (distance < 1.01 * distance[distance > 1e-6].min())
    errors = (labels[:, None] != labels[None]).sum(axis=2)
    assert near.any()
    assert (errors[near] == 1).all()


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
@pytest.mark.parametrize("noise_var", [0.02, 0.5, 3.0])
def test_ratios_are_those_of_all_points(bits: int, noise_var: float) -> None:
    """log of the sum of exp(-|y - s|^2 / N0) where the bit is 1, over where it is 0."""
    rng = np.random.default_rng(bits)
    y = (rng.normal(size=50) + 1j * rng.normal(size=50)).astype(np.complex64)
    labels = every(bits)
    points = np.array([by_the_standard(b) for b in labels])
    exponent = -(np.abs(y[:, None] - points) ** 2) / noise_var
    sums = [
        np.log(np.exp(exponent[:, labels[:, i] == one]).sum(axis=1))
        for i in range(bits)
        for one in (1, 0)
    ]
    expected = np.stack(sums, axis=1).reshape(50, bits, 2)
    expected = (expected[..., 0] - expected[..., 1]).reshape(1, -1)
    got = qam.llrs(torch.from_numpy(y)[None], torch.tensor([[noise_var]]), bits).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
def test_each_symbol_has_its_own_noise(bits: int) -> None:
    """And one that is lost tells nothing, without noise every bit is sure."""
    sent = every(bits)[:12].reshape(1, -1)
    x = qam.map_bits(sent, bits)
    noise_var = torch.full(x.shape, 0.1)
    noise_var[0, 1] = float("inf")
    noise_var[0, 2] = 0
    together = qam.llrs(x, noise_var, bits).view(-1, bits)
    assert not together[1].any()
    alone = [qam.llrs(x[:, i : i + 1], noise_var[:, i : i + 1], bits)[0] for i in range(x.shape[1])]
    torch.testing.assert_close(together, torch.stack(alone))
    sure = together[2].numpy()
    np.testing.assert_array_equal(sure > 0, sent.reshape(-1, bits)[2] == 1)
    assert (np.abs(sure) > 1e6).all()


def test_there_is_no_other_modulation() -> None:
    with pytest.raises(ValueError, match="must be one of"):
        qam.map_bits(np.zeros((1, 6), np.uint8), 3)
    with pytest.raises(ValueError, match="6 bits are no multiple of 4"):
        qam.map_bits(np.zeros((1, 6), np.uint8), 4)
