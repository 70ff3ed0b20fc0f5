"""Bits of digital chains over symbols, and the control block before them."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from benchmarks.ldpc.modes import MODES, Mode, parse_mode
from benchmarks.ldpc.nr import ALL_MCS, Mcs
from benchmarks.referee import control, transport
from benchmarks.referee.control import Control
from benchmarks.schemes.nr import CONTROL_BITS
from witt.errors import InputError
from witt.radio.blocks import LEVELS


def noisy(x: torch.Tensor, snr_db: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    iq = np.random.default_rng(seed).normal(scale=0.5**0.5, size=(len(x), 2)) @ [1, 1j]
    noise_var = 10 ** (-snr_db / 10)
    received = x + torch.from_numpy(noise_var**0.5 * iq).to(torch.complex64)
    return received, torch.full((len(x),), noise_var)


def random_bits(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, count, dtype=np.uint8)


@pytest.mark.parametrize("mode", [*map(parse_mode, MODES), *ALL_MCS[::6]], ids=lambda m: m.name)
@pytest.mark.parametrize("uses", [700, 9001])
def test_the_bits_that_are_counted_arrive(mode: Mode, uses: int) -> None:
    """All of them, over symbols of unit power, one for each channel use."""
    blocks = mode.cut(uses)
    assert blocks is not None
    bits = random_bits(blocks.bits)
    x = transport.to_symbols(bits, uses, mode)
    assert x.shape == (uses,)
    power = x.abs().square()
    assert abs(float(power.mean()) - 1) < 4 * float(power.std()) / uses**0.5 + 1e-6
    # Far above what the mode needs: capacity and 5 dB.
    snr_db = 10 * np.log10(2.0 ** float(mode.bits_per_symbol * mode.rate) - 1) + 5
    np.testing.assert_array_equal(transport.to_bits(*noisy(x, snr_db), mode), bits)


def test_zeros_have_unit_power() -> None:
    """Fillers are zeros, and a corner of 256QAM has 2.6 times the mean power."""
    mode = Mcs(256, Fraction(711, 1024))
    power = transport.to_symbols(np.zeros(0, np.uint8), 5000, mode).abs().square()
    assert abs(float(power.mean()) - 1) < 4 * float(power.std()) / 5000**0.5


def test_a_chain_with_crcs_knows_what_is_lost_and_one_without_does_not() -> None:
    mode = Mcs(16, Fraction(378, 1024))
    x = transport.to_symbols(random_bits(2000), 9000, mode)
    assert transport.to_bits(*noisy(x, 0.0), mode) is None
    plain = parse_mode("16qam-1/2")
    bits = random_bits(2000)
    x = transport.to_symbols(bits, 9000, plain)
    wrong = transport.to_bits(*noisy(x, 0.0), plain)
    assert wrong is not None
    assert (wrong[:2000] != bits).any()


@pytest.mark.parametrize("uses", LEVELS)
@pytest.mark.parametrize("crc", [None, 0xABCDEF])
def test_the_control_block_is_found_at_every_length(uses: int, crc: int | None) -> None:
    told = Control(33, 73_728, 11_264, crc)
    x = torch.cat([control.to_symbols(told, uses), torch.ones(1000, dtype=torch.complex64)])
    assert control.find(*noisy(x, 12.0), with_crc=crc is not None) == (told, uses)


def test_no_control_block_in_noise() -> None:
    silence = torch.zeros(2000, dtype=torch.complex64)
    for seed in range(20):
        assert control.find(*noisy(silence, 0.0, seed), with_crc=True) is None


def test_the_bits_of_5g_are_those_that_it_counts() -> None:
    assert control.bits_of(False) == CONTROL_BITS
    with pytest.raises(InputError, match="uses 16,777,216 does not fit the 24 bits"):
        control.to_symbols(Control(0, 2**24, 0, None), 108)
