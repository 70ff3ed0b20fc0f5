"""Codes, LLRs and block error rates beside Sionna's, where it is installed."""

import warnings
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.ldpc import sionna_adapter
from witt.radio import crc, qam
from witt.radio.ldpc import Ldpc
from witt.radio.polar import Polar


@pytest.fixture(scope="module")
def sionna() -> SimpleNamespace:
    """The parts of Sionna that are compared."""
    pytest.importorskip("sionna")
    tf, phy = sionna_adapter._libraries()
    from sionna.phy.fec import ldpc, polar

    return SimpleNamespace(tf=tf, phy=phy, ldpc=ldpc, polar=polar)


def noisy(bits: np.ndarray, snr_db: float, seed: int) -> np.ndarray:
    """LLRs of BPSK in real noise, log p(1) / p(0)."""
    noise_var = 10 ** (-snr_db / 10)
    noise = np.random.default_rng(seed).normal(0, np.sqrt(noise_var), bits.shape)
    return (2 * (2.0 * bits - 1 + noise) / noise_var).astype(np.float32)


@pytest.mark.parametrize("k", [12, 100, 193, 293, 561, 641, 2000, 3841, 8448])
def test_ldpc_words(sionna: SimpleNamespace, k: int) -> None:
    rng = np.random.default_rng(k)
    for rate, bits in ((0.21, 2), (0.34, 4), (0.5, 8), (0.68, 6), (0.9, 4)):
        if rate < 1 / 3 and k > 3840:
            continue  # Sionna repeats nothing
        n = round(k / rate / bits + 0.5) * bits
        sent = rng.integers(0, 2, (3, k), dtype=np.uint8)
        encoder = sionna.ldpc.LDPC5GEncoder(k, n, num_bits_per_symbol=bits)
        expected = encoder(sionna.tf.constant(sent, sionna.tf.float32)).numpy()
        np.testing.assert_array_equal(Ldpc(k, n, bits).encode(sent), expected)


@pytest.mark.parametrize("k", [20, 64, 96, 140, 189, 400])
def test_polar_words(sionna: SimpleNamespace, k: int) -> None:
    rng = np.random.default_rng(k)
    for n in (60, 100, 216, 300, 324, 432, 513, 576, 648, 864, 1000, 1024, 1088):
        if n <= k + 11:
            continue
        sent = rng.integers(0, 2, (3, k), dtype=np.uint8)
        encoder = sionna.polar.Polar5GEncoder(k, n)
        expected = encoder(sionna.tf.constant(sent, sionna.tf.float32)).numpy()
        got = Polar(k + 11, n).encode(crc.attach(sent, "crc11"))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
@pytest.mark.parametrize("noise_var", [0.01, 0.3, 2.0])
def test_demapper(sionna: SimpleNamespace, bits: int, noise_var: float) -> None:
    rng = np.random.default_rng(bits)
    y = (rng.normal(size=(2, 200)) + 1j * rng.normal(size=(2, 200))).astype(np.complex64)
    demapper = sionna.phy.mapping.Demapper("app", "qam", bits)
    expected = demapper(sionna.tf.constant(y), sionna.tf.constant(noise_var)).numpy()
    got = qam.llrs(torch.from_numpy(y), torch.tensor(noise_var), bits).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)


def compare(
    ours: Callable[[np.ndarray], np.ndarray],
    theirs: Callable[[np.ndarray], np.ndarray],
    sent: np.ndarray,
    ratios: np.ndarray,
) -> None:
    """On the same noise, ours lose no more blocks: both lose most of the same ones."""
    lost = [(decode(ratios) != sent).any(axis=1) for decode in (ours, theirs)]
    only_ours, only_theirs = (lost[0] & ~lost[1]).sum(), (lost[1] & ~lost[0]).sum()
    # Of the blocks on which the two differ each loses half if they are alike: 3 sigma.
    assert only_ours - only_theirs <= 3 * np.sqrt(only_ours + only_theirs + 1)
    assert 0.02 < lost[1].mean() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("k", "n", "snr_db"), [(500, 1500, -1.2), (1000, 2000, 1.0), (640, 800, 4.8)]
)
def test_ldpc_loses_no_more_blocks(sionna: SimpleNamespace, k: int, n: int, snr_db: float) -> None:
    """Than 20 flooding iterations of exact sum-product decoding."""
    sent = np.random.default_rng(k).integers(0, 2, (300, k), dtype=np.uint8)
    code = Ldpc(k, n, 2)
    encoder = sionna.ldpc.LDPC5GEncoder(k, n, num_bits_per_symbol=2)
    decoder = sionna.ldpc.LDPC5GDecoder(encoder, num_iter=20, cn_update="boxplus")
    compare(
        lambda ratios: code.decode(torch.from_numpy(ratios)),
        lambda ratios: decoder(sionna.tf.constant(ratios)).numpy(),
        sent,
        noisy(code.encode(sent), snr_db, k),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("k", "n", "snr_db"), [(80, 216, 0.1), (129, 432, -1.4)])
def test_polar_loses_no_more_blocks(sionna: SimpleNamespace, k: int, n: int, snr_db: float) -> None:
    """Than Sionna's decoder with a list of 8."""
    sent = np.random.default_rng(n).integers(0, 2, (300, k), dtype=np.uint8)
    code = Polar(k + 11, n)
    encoder = sionna.polar.Polar5GEncoder(k, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it takes much memory
        decoder = sionna.polar.Polar5GDecoder(encoder, dec_type="SCL", list_size=8)

    def ours(ratios: np.ndarray) -> np.ndarray:
        found = code.decode(ratios)
        best = crc.check(found, "crc11").argmax(axis=1)
        return found[np.arange(len(found)), best, :k]

    compare(
        ours,
        lambda ratios: decoder(sionna.tf.constant(ratios)).numpy(),
        sent,
        noisy(code.encode(crc.attach(sent, "crc11")), snr_db, n),
    )
