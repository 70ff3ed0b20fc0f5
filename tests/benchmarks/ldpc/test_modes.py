"""Names of modes, and the cutting of channel uses into code blocks."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ldpc.modes import (
    BITS_PER_SYMBOL,
    HIGHEST_RATE,
    LOWEST_RATE,
    MODES,
    RATED_LENGTHS,
    Blocks,
    Mode,
    parse_mode,
    rated_length,
)
from witt.errors import InputError


@pytest.mark.parametrize("name", MODES)
def test_names_come_back(name: str) -> None:
    assert parse_mode(name).name == name


def test_a_mode_that_is_not_in_the_list() -> None:
    mode = parse_mode(" 256QAM-6/8 ")
    assert mode == Mode(256, Fraction(3, 4))
    assert (mode.name, mode.bits_per_symbol) == ("256qam-3/4", 8)


@pytest.mark.parametrize(
    "name",
    ["", "qpsk", "4qam", "8qam-1/2", "4qam-0.5", "4qam-1/0", "4qam-1/6", "64qam-1", "4qam-1/1"],
)
def test_unknown_modes_list_the_known(name: str) -> None:
    with pytest.raises(InputError, match="not a mode") as caught:
        parse_mode(name)
    assert all(mode in str(caught.value) for mode in MODES)
    assert "\n" not in str(caught.value)


def test_kodak_at_one_sixteenth_is_whole_blocks() -> None:
    """768 · 512 · 3 / 16 uses: what the block length of the published comparison is made for."""
    assert parse_mode("4qam-1/2").cut(73728) == Blocks(24, 6144, 3072, 6144)
    assert parse_mode("64qam-1/2").cut(73728) == Blocks(72, 6144, 3072, 6144)


def test_one_use_more_makes_all_blocks_shorter() -> None:
    assert parse_mode("4qam-2/3").cut(3072) == Blocks(1, 6144, 4096, 6144)
    # 6146 bits: two blocks of 1536 symbols, and one symbol empty.
    assert parse_mode("4qam-2/3").cut(3073) == Blocks(2, 3072, 2048, 3072)


def test_too_few_uses_for_a_block() -> None:
    assert parse_mode("4qam-1/2").cut(0) is None
    assert parse_mode("4qam-1/2").cut(42) is None
    assert parse_mode("4qam-1/3").cut(48) == Blocks(1, 96, 32, 96)


@given(st.integers(0, 400_000), st.sampled_from(MODES))
def test_blocks_fit_into_the_uses(uses: int, name: str) -> None:
    mode = parse_mode(name)
    blocks = mode.cut(uses)
    if blocks is None:
        assert uses * mode.bits_per_symbol < 96
        return
    symbols, odd = divmod(blocks.length, mode.bits_per_symbol)
    assert odd == 0
    assert blocks.length <= 6144
    assert 0 <= uses - blocks.count * symbols < blocks.count
    assert blocks.information_bits <= blocks.length * mode.rate
    # One block fewer would have to be longer than the longest.
    assert (blocks.count - 1) * 6144 < uses * mode.bits_per_symbol


@given(st.integers(87, 6144))
def test_rated_length_is_a_tenth_longer_at_most(length: int) -> None:
    rated = rated_length(length)
    assert rated in RATED_LENGTHS
    assert rated <= length / 0.9
    longer = [other for other in RATED_LENGTHS if other > rated]
    assert all(other * 0.9 > length for other in longer)


@given(
    st.sampled_from(RATED_LENGTHS),
    st.fractions(LOWEST_RATE, HIGHEST_RATE, max_denominator=9999),
)
def test_no_rate_is_below_what_the_code_takes(length: int, rate: Fraction) -> None:
    """The 5G code ends at 1/5: k is rounded down, but not below that; else by less than a bit."""
    k = Mode(4, rate).information_bits(length)
    assert k >= 12
    assert LOWEST_RATE <= Fraction(k, length) <= Fraction(19, 20)
    assert abs(k - length * rate) < 1


def test_rated_lengths_are_whole_symbols() -> None:
    for bits in BITS_PER_SYMBOL.values():
        assert all(length % bits == 0 for length in RATED_LENGTHS)


@pytest.mark.parametrize("order", [4, 16, 64, 256])
def test_constellations_have_unit_power_and_the_peaks_that_are_told(order: int) -> None:
    mode = Mode(order, Fraction(1, 2))
    power = np.abs(mode.points.astype(np.complex128)) ** 2
    assert len(set(mode.points.tolist())) == order
    assert power.mean() == pytest.approx(1, abs=1e-6)
    assert 10 * np.log10(power.max()) == pytest.approx(mode.papr_db, abs=1e-5)
