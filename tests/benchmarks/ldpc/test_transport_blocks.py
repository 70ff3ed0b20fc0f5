"""Transport blocks of 5G against the tables and rules of TS 38.212 and TS 38.214."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ldpc.fill_nr import fill
from benchmarks.ldpc.modes import Blocks, Code
from benchmarks.ldpc.nr import (
    ALL_MCS,
    LONGEST_BLOCK,
    TABLE_1,
    TABLE_2,
    Segments,
    base_graph,
    parse_mcs,
    segment,
)
from benchmarks.ldpc.table import SHIPPED_NR, Curve, Rate, Table, read_table
from channels import theory
from witt.errors import InputError
from witt.link.conditions import Link

# The column "Spectral efficiency" of the two tables.
EFFICIENCY_1 = (
    "0.2344 0.3066 0.3770 0.4902 0.6016 0.7402 0.8770 1.0273 1.1758 1.3262 "
    "1.3281 1.4766 1.6953 1.9141 2.1602 2.4063 2.5703 "
    "2.5664 2.7305 3.0293 3.3223 3.6094 3.9023 4.2129 4.5234 4.8164 5.1152 5.3320 5.5547"
)
EFFICIENCY_2 = (
    "0.2344 0.3770 0.6016 0.8770 1.1758 1.4766 1.6953 1.9141 2.1602 2.4063 2.5703 "
    "2.7305 3.0293 3.3223 3.6094 3.9023 4.2129 4.5234 4.8164 5.1152 "
    "5.3320 5.5547 5.8906 6.2266 6.5703 6.9141 7.1602 7.4063"
)


@pytest.mark.parametrize(
    ("table", "efficiencies"), [(TABLE_1, EFFICIENCY_1), (TABLE_2, EFFICIENCY_2)]
)
def test_tables_have_the_efficiencies_of_the_standard(
    table: tuple[tuple[int, float], ...], efficiencies: str
) -> None:
    there = [float(text) for text in efficiencies.split()]
    assert len(table) == len(there)
    for (bits, rate), efficiency in zip(table, there, strict=True):
        # Four digits, of which the last is rounded up where it is a 5.
        assert abs(bits * rate / 1024 - efficiency) < 5.1e-5


def test_tables_are_those_of_sionna() -> None:
    pytest.importorskip("sionna")
    from sionna.phy.nr.utils import decode_mcs_index

    for number, table in enumerate((TABLE_1, TABLE_2), 1):
        found = decode_mcs_index(list(range(len(table))), table_index=number, is_pusch=False)
        bits, rates = zip(*table, strict=True)
        np.testing.assert_array_equal(found[0], bits)
        np.testing.assert_allclose(found[1], np.array(rates) / 1024, rtol=1e-6)


def test_both_tables_together_have_each_mode_once() -> None:
    assert len(ALL_MCS) == 29 + 8
    assert len({mode.name for mode in ALL_MCS}) == 37
    assert [mode.efficiency for mode in ALL_MCS] == sorted(mode.efficiency for mode in ALL_MCS)
    assert (ALL_MCS[0].name, ALL_MCS[-1].name) == ("4qam-120/1024", "256qam-948/1024")
    assert parse_mcs("256qam-682.5/1024").rate == Fraction(1365, 2048)
    with pytest.raises(InputError, match="16qam-340/1024"):
        parse_mcs("16qam-1/2")


@pytest.mark.parametrize(
    ("payload", "rate", "expected"),
    [
        # BG2 up to 292 bits at any rate, with the 16-bit CRC; up to 3824 at rates to 0.67.
        (292, 948, Segments(2, 16, 1, 308)),
        (296, 948, Segments(1, 16, 1, 312)),
        (3824, 658, Segments(2, 16, 1, 3840)),
        (3824, 719, Segments(1, 16, 1, 3840)),
        (3832, 658, Segments(1, 24, 1, 3856)),
        # BG2 at rates to 1/4: 3840 + 1 bits are two blocks, each with a CRC of its own.
        (3816, 251, Segments(2, 16, 1, 3832)),
        (3832, 251, Segments(2, 24, 2, 1952)),
        (20_000, 120, Segments(2, 24, 6, 20_024 // 6 + 1 + 24)),
        # BG1: 8448 bits with the CRC are one block, the next size is two.
        (8424, 500, Segments(1, 24, 1, 8448)),
        (8432, 500, Segments(1, 24, 2, 4252)),
        (16_824, 500, Segments(1, 24, 2, 8448)),
        (16_832, 500, Segments(1, 24, 3, 5643)),
        (84_216, 602, Segments(1, 24, 10, 8448)),
    ],
)
def test_segmentation(payload: int, rate: int, expected: Segments) -> None:
    """By hand: B = A + L, C = ceil(B / (Kcb - 24)), K' = (B + 24 C) / C."""
    assert segment(payload, Fraction(rate, 1024)) == expected


@given(st.integers(24, 300_000), st.sampled_from(ALL_MCS))
def test_the_base_graph_of_a_block_is_that_of_its_transport_block(bits: int, mode: object) -> None:
    """So that an error rate, which is told by the block, is of the right code."""
    rate = getattr(mode, "rate")  # noqa: B009
    found = segment(bits, rate)
    assert base_graph(found.block_bits, rate) == found.base_graph


def test_a_kodak_picture() -> None:
    """73,728 uses in 64QAM 466/1024: 201,312 bits at most, 24 blocks of 18,432 coded bits each.

    K' may be 8388.0; the payload is the largest multiple of 8 that leaves equal blocks: 200,712
    bits, with CRC 200,736 = 24 · 8364, and K' = 8364 + 24.
    """
    blocks = parse_mcs("64qam-466/1024").cut(73_728)
    assert blocks == Blocks(24, 18_432, 8364, 8448, 24)
    assert blocks.bits == 200_712
    assert parse_mcs("64qam-466/1024").code(8448) == Code(8448, 18_564, 1)


@given(st.integers(0, 200_000), st.sampled_from(ALL_MCS))
def test_blocks_fit_and_are_not_of_a_higher_rate(uses: int, mode: object) -> None:
    cut, rate, bits = (getattr(mode, name) for name in ("cut", "rate", "bits_per_symbol"))
    blocks = cut(uses)
    if blocks is None:
        assert uses * bits * rate < 64
        return
    assert blocks.bits % 8 == 0
    found = segment(blocks.bits, rate)
    assert found.count == blocks.count
    assert (blocks.bits + found.crc_bits) % found.count == 0
    assert blocks.count * blocks.length <= uses * bits
    assert found.block_bits <= blocks.length * rate
    assert found.block_bits <= LONGEST_BLOCK[found.base_graph]
    # At most a byte a block, and the CRCs, are left; of one block more where all are full.
    most = uses * bits * rate
    left = 24 + (24 + 8 + bits) * (blocks.count + 1) + 8
    assert most - left <= blocks.bits <= most


def test_a_repeated_code_sends_its_bits_again() -> None:
    """At rates under that of the mother code; noise that one copy does not survive."""
    pytest.importorskip("sionna")
    import torch

    from benchmarks.ldpc.error_rates import make_chain, random_bits, simulate

    mode = parse_mcs("4qam-120/1024")
    chain = make_chain(mode, 320)
    assert chain.n == 2732  # 1,600 in the mother code
    sent = random_bits(4, 320, torch.Generator().manual_seed(0))
    symbols = chain.encode(sent)
    assert symbols.shape == (4, 1366)
    np.testing.assert_allclose(np.mean(np.abs(symbols) ** 2), 1, rtol=1e-5)
    noise = np.full(symbols.shape, 0.1, np.float32)
    np.testing.assert_array_equal(chain.decode(symbols, noise), sent)
    # Bits 1,600 to 2,731 are those from 0 on, before the interleaver, which puts bit i of a
    # symbol from the i-th half: 5.4.2.2.
    bits = np.stack([symbols.real < 0, symbols.imag < 0], axis=2)  # 0 is positive in Gray QAM
    rows = bits.transpose(0, 2, 1).reshape(4, -1)
    np.testing.assert_array_equal(rows[:, 1600:], rows[:, : 2732 - 1600])
    # The mother code alone, 0.4 bits a symbol, is above the capacity here.
    assert theory.awgn_capacity(-5.0) < 0.4
    assert simulate(Link(), mode, -5.0, 320, enough_errors=20, most_blocks=100).errors == 0


def test_the_longest_blocks_of_both_base_graphs() -> None:
    """No filler and no punctured bits: there Sionna would prune the whole graph."""
    pytest.importorskip("sionna")
    import torch

    from benchmarks.ldpc.error_rates import make_chain, random_bits

    for name, length in (
        ("4qam-308/1024", 352 * 2),
        ("4qam-251/1024", 640),
        ("256qam-948/1024", 704),
    ):
        chain = make_chain(parse_mcs(name), length)
        sent = random_bits(3, length, torch.Generator().manual_seed(1))
        symbols = chain.encode(sent)
        received = chain.decode(symbols, np.full(symbols.shape, 1e-3, np.float32))
        np.testing.assert_array_equal(received, sent)


def test_fill_goes_down_to_the_first_that_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def simulate(link: Link, mode: object, snr_db: float, length: int, **_: int) -> Rate:
        name = str(getattr(mode, "name"))  # noqa: B009
        sent.append(name)
        assert length == 8448
        return Rate(0, 2000) if name == "16qam-553/1024" else Rate(100, 100)

    monkeypatch.setattr("benchmarks.ldpc.fill_nr.simulate", simulate)
    table: Table = {Curve("awgn", "16qam-658/1024", 8448): {8.5: Rate(100, 100)}}
    done = [mode.name for mode, _ in fill(table, Link(), 8.0)]
    # 64QAM carries 2.59 bits, 16QAM 2.68; 16QAM 658/1024 is known to be hopeless from 8.5 dB.
    assert done == sent == ["64qam-438/1024", "16qam-616/1024", "16qam-553/1024"]
    assert list(fill(table, Link(), 8.0)) == []


def test_the_shipped_table_has_the_points_of_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each, the modes from the capacity down to one that loses no block."""
    table = read_table(SHIPPED_NR)
    monkeypatch.setattr("benchmarks.ldpc.fill_nr.simulate", lambda *_, **__: Rate(1, 1))
    for link, snr_db in itertools.product((Link(), Link("rayleigh")), (1.0, 4.0, 7.0, 10.0, 13.0)):
        assert list(fill(table, link, snr_db)) == []
    for curve, points in table.items():
        bits = float(parse_mcs(curve.mode).efficiency)
        of = theory.awgn_capacity if curve.channel == "awgn" else theory.rayleigh_ergodic_capacity
        for snr_db, rate in points.items():
            if rate.bler < 1e-2:  # and not nearer to the capacity than a code of 8,448 bits can be
                assert bits < float(of(snr_db - 0.3))
        blers = [rate.bler for _, rate in sorted(points.items())]
        assert blers == sorted(blers, reverse=True)
