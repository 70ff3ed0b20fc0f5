"""Sionna's LDPC and QAM in our chain: exact when there is no noise, and on the right SNR scale."""

import importlib.util
import math
import sys

import numpy as np
import pytest
import torch

from benchmarks.ldpc import sionna_adapter
from benchmarks.ldpc.error_rates import make_chain, random_bits, send, simulate
from benchmarks.ldpc.modes import MODES, parse_mode
from witt.errors import InputError
from witt.link.conditions import Link

# Not importorskip: the adapter keeps the warnings and the log of the import to itself.
needs_sionna = pytest.mark.skipif(
    importlib.util.find_spec("sionna") is None, reason="sionna is not installed"
)
HALF = parse_mode("4qam-1/2")


@needs_sionna
@pytest.mark.parametrize("name", [*MODES, "256qam-3/4", "4qam-1/5", "64qam-1/5"])
def test_no_errors_at_high_snr(name: str) -> None:
    chain = make_chain(parse_mode(name), 192)
    generator = torch.Generator().manual_seed(0)
    bits = random_bits(20, chain.k, generator)
    symbols = chain.encode(bits)
    assert symbols.shape == (20, 192 // chain.bits_per_symbol)
    for link, snr_db in ((Link(), 30.0), (Link("rayleigh"), 45.0)):
        received = send(chain, link.module(), bits, snr_db, generator)
        np.testing.assert_array_equal(received, bits)


@needs_sionna
def test_symbols_have_unit_power() -> None:
    chain = make_chain(parse_mode("64qam-1/2"), 192)
    symbols = chain.encode(random_bits(2000, chain.k, torch.Generator().manual_seed(1)))
    power = np.abs(symbols) ** 2
    # Points of 64QAM have E|x|^4 = 1.381: the power of one spreads by 0.617.
    assert abs(power.mean() - 1) < 4 * math.sqrt(0.381 / power.size)
    levels = np.unique(np.round(symbols.real * math.sqrt(42)).astype(int))
    np.testing.assert_array_equal(levels, np.arange(-7, 8, 2))


@needs_sionna
def test_llrs_alone_decode() -> None:
    """QPSK by hand, TS 38.211 section 5.1.3: bits 0 and 1 are I and Q, 0 is positive."""
    chain = make_chain(HALF, 192)
    bits = random_bits(10, chain.k, torch.Generator().manual_seed(2))
    symbols = chain.encode(bits)
    coded = np.stack([symbols.real < 0, symbols.imag < 0], axis=2).reshape(10, 192)
    np.testing.assert_array_equal(chain.decode_llrs(np.where(coded, 5, -5).astype("f4")), bits)


@needs_sionna
def test_the_scale_of_the_snr() -> None:
    """At 6144 bits 4QAM 1/2 works from 1.5 ± 0.5 dB on; at 0 dB QPSK carries less than its rate."""
    assert simulate(Link(), HALF, 2.0, most_blocks=50) == (0, 50)
    assert simulate(Link(), HALF, 0.0, most_blocks=50) == (50, 50)
    assert simulate(Link("rayleigh"), HALF, 4.0, most_blocks=50).errors <= 2
    assert simulate(Link("rayleigh"), HALF, 1.5, most_blocks=50) == (50, 50)


@needs_sionna
def test_error_rates_fall_with_the_snr_and_depend_on_the_seed_alone() -> None:
    def rates(seed: int) -> list[float]:
        return [
            simulate(Link(), HALF, snr_db, 192, most_blocks=300, seed=seed).bler
            for snr_db in (0.0, 1.0, 2.0, 3.0)
        ]

    first = rates(0)
    assert first == rates(0)
    assert first != rates(1)
    assert first == sorted(first, reverse=True)
    assert first[0] > 0.5 > 0.1 > first[-1]


@pytest.mark.slow
@needs_sionna
@pytest.mark.parametrize(
    ("channel", "name", "reference_db"),
    [
        ("awgn", "4qam-1/2", 1.5),
        ("awgn", "4qam-2/3", 3.5),
        ("awgn", "16qam-1/2", 7.0),
        ("awgn", "16qam-2/3", 9.5),
        ("rayleigh", "4qam-1/2", 3.5),
        ("rayleigh", "16qam-1/2", 9.0),
    ],
)
def test_reference_points(channel: str, name: str, reference_db: float) -> None:
    rate = simulate(Link(channel), parse_mode(name), reference_db + 0.5, most_blocks=1000)
    assert rate.bler <= 1e-2


def test_without_sionna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match=r"witt\[baselines\]"):
        sionna_adapter._libraries.__wrapped__()
