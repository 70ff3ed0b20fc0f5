"""Metrics and channels against TensorFlow's and Sionna's, capacity against integration."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import integrate, stats

import channels
import witt
from benchmarks.ldpc import sionna_adapter as oracle
from channels import theory
from witt.metrics.quality import ms_ssim, psnr
from witt.pictures.images import Pixels, read_image, to_tensor

# Not importorskip: the adapter keeps the warnings and the log of the import to itself.
needs_sionna = pytest.mark.skipif(
    importlib.util.find_spec("sionna") is None, reason="sionna is not installed"
)
SAMPLE = Path(witt.__file__).parent / "samples" / "kodim23.png"
N, SNR_DB = 100_000, 4.0
NOISE_VAR = 10 ** (-SNR_DB / 10)


@pytest.fixture(scope="module")
def photo() -> Pixels:
    """The middle of the sample photograph."""
    return np.ascontiguousarray(read_image(SAMPLE).pixels[100:356, 200:520])


def damaged(photo: Pixels, kind: str) -> Pixels:
    """The photograph with noise, blocks of one colour, or half the contrast."""
    if kind == "noise":
        noise = np.random.default_rng(0).normal(scale=12, size=photo.shape)
        return np.clip(np.round(photo + noise), 0, 255).astype(np.uint8)
    if kind == "blocks":
        return np.ascontiguousarray(photo[::8, ::8].repeat(8, axis=0).repeat(8, axis=1))
    return (photo // 2 + 64).astype(np.uint8)


@needs_sionna
@pytest.mark.parametrize("kind", ["noise", "blocks", "contrast"])
def test_metrics_against_tensorflow(photo: Pixels, kind: str) -> None:
    other = damaged(photo, kind)
    ours = psnr(to_tensor(other), to_tensor(photo))
    assert float(ours) == pytest.approx(oracle.tf_psnr(other, photo), abs=1e-4)
    similarity = ms_ssim(to_tensor(other), to_tensor(photo))
    assert similarity.variant == "ms-ssim"
    # TensorFlow computes in float32.
    assert float(similarity.value) == pytest.approx(oracle.tf_ms_ssim(other, photo), abs=2e-5)
    assert 0.2 < float(similarity.value) < 0.995


def qpsk() -> npt.NDArray[np.complex64]:
    """Random QPSK symbols, (N,)."""
    points = np.exp(1j * (np.pi / 4 + np.pi / 2 * np.random.default_rng(1).integers(0, 4, N)))
    return points.astype(np.complex64)


def ours(channel: channels.Channel, x: npt.NDArray[np.complex64]) -> channels.ChannelOutput:
    generator = torch.Generator().manual_seed(2)
    return channel(torch.from_numpy(x)[None], SNR_DB, generator=generator)


def same_law(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> None:
    """Two samples of one law: Kolmogorov and Smirnov at 4 sigma, mean and variance at 4 sigma."""
    p_4_sigma = 2 * stats.norm.sf(4)
    assert stats.ks_2samp(a, b).pvalue > p_4_sigma
    assert abs(a.mean() - b.mean()) < 4 * math.hypot(stats.sem(a), stats.sem(b))
    spread_a, spread_b = ((v - v.mean()) ** 2 for v in (a, b))
    assert abs(spread_a.mean() - spread_b.mean()) < 4 * math.hypot(
        stats.sem(spread_a), stats.sem(spread_b)
    )


def same_complex_law(
    a: npt.NDArray[np.complexfloating], b: npt.NDArray[np.complexfloating]
) -> None:
    """I, Q, power and the product of I and Q."""
    for part in (np.real, np.imag, lambda z: np.abs(z) ** 2, lambda z: z.real * z.imag):
        same_law(part(a).astype(float), part(b).astype(float))


@needs_sionna
def test_awgn_against_sionna() -> None:
    x = qpsk()
    y = ours(channels.AWGN(), x).y[0].numpy()
    theirs = oracle.sionna_awgn(x, NOISE_VAR, seed=3)
    same_complex_law(y - x, theirs - x)
    same_complex_law(y, theirs)


@needs_sionna
def test_rayleigh_against_sionna() -> None:
    x = qpsk()
    received = ours(channels.Rayleigh(), x)
    y, h = received.y[0].numpy(), received.h[0].numpy()
    theirs = oracle.sionna_rayleigh(x, NOISE_VAR, seed=4)
    assert theirs.h.shape == x.shape
    same_complex_law(h, theirs.h)
    same_complex_law(y - h * x, theirs.y - theirs.h * x)
    same_complex_law(y, theirs.y)
    # What the receiver sees together: y / h is x only if h is the gain of this very symbol.
    same_complex_law(y * h.conj() * x.conj(), theirs.y * theirs.h.conj() * x.conj())


@needs_sionna
def test_sionna_is_seeded() -> None:
    x = qpsk()[:100]
    first = oracle.sionna_awgn(x, NOISE_VAR, seed=5)
    np.testing.assert_array_equal(first, oracle.sionna_awgn(x, NOISE_VAR, seed=5))
    assert (first != oracle.sionna_awgn(x, NOISE_VAR, seed=6)).any()


def test_a_channel_3_db_off_would_be_seen() -> None:
    """The comparison above has teeth: it tells N0 per real from N0 per complex dimension."""
    x = qpsk()
    y = ours(channels.AWGN(), x).y[0].numpy()
    with pytest.raises(AssertionError):
        same_complex_law(y - x, math.sqrt(2) * (y - x)[::-1])
    with pytest.raises(AssertionError):
        same_complex_law(y - x, 1.02 * (y - x)[::-1])


@pytest.mark.parametrize("snr_db", [-15.0, -2.0, 5.0, 13.0, 30.0])
def test_capacity_against_integration(snr_db: float) -> None:
    """Mutual information of Gaussian symbols, h(y) - h(n), by integrating the densities."""
    n0 = 10 ** (-snr_db / 10)

    def entropy(variance: float) -> float:
        """Of CN(0, variance), in bits, from its density over the power."""
        return integrate.quad(
            lambda p: math.exp(-p) * (math.log(math.pi * variance) + p) / math.log(2), 0, 60
        )[0]

    mutual = entropy(1 + n0) - entropy(n0)
    assert float(theory.awgn_capacity(snr_db)) == pytest.approx(mutual, rel=1e-9)
    # Given h the channel is AWGN of power |h|^2, which is Exp(1).
    ergodic = integrate.quad(
        lambda p: math.exp(-p) * (entropy(p + n0) - entropy(n0)), 0, 60, limit=200
    )[0]
    assert float(theory.rayleigh_ergodic_capacity(snr_db)) == pytest.approx(ergodic, rel=1e-7)
    # The rate that 90 % of the gains support, from their own law.
    rate = float(theory.rayleigh_outage_capacity(snr_db, 0.1))
    least = integrate.quad(lambda p: math.exp(-p), 0, n0 * (2**rate - 1))[0]
    assert least == pytest.approx(0.1, rel=1e-9)
