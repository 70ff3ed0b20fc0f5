"""Blocks through their whole chain: what is sent comes back, what is not sent does not."""

from math import ceil

import numpy as np
import pytest
import torch

from tests.witt.radio.words import word
from witt.radio import crc
from witt.radio.blocks import (
    LEVELS,
    MODES,
    decode_long,
    decode_short,
    encode_long,
    encode_short,
    long_bits,
    long_symbols,
    short_bits,
    short_symbols,
    uses_of,
)
from witt.radio.segments import groups, segments

QUIET = torch.tensor([1e-3])
every_mode = pytest.mark.parametrize("mode", MODES, ids=[mode.name for mode in MODES])
LENGTHS = (1, 20, 292, 1000, 3824, 3825, 9000, 30_000)


def add_noise(x: torch.Tensor, noise_var: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return x + noise_var**0.5 * torch.randn(x.shape, generator=generator, dtype=torch.complex64)


def test_modes_fit_four_bits_and_rise() -> None:
    assert len(MODES) <= 16
    efficiency = [mode.bits_per_symbol * mode.rate for mode in MODES]
    assert efficiency == sorted(set(efficiency))
    assert efficiency[0] == pytest.approx(0.234, abs=1e-3)
    assert efficiency[-1] == pytest.approx(6.227, abs=1e-3)


@pytest.mark.parametrize("uses", LEVELS)
@pytest.mark.parametrize("k", [80, 97, 140, 176])
def test_short_block_comes_back(k: int, uses: int) -> None:
    x = encode_short(word(k), uses)
    assert x.shape == (uses,)
    assert x.dtype == torch.complex64
    torch.testing.assert_close(x.abs(), torch.ones(uses))
    found = decode_short(add_noise(x, 1e-3), QUIET, k)
    assert found is not None
    np.testing.assert_array_equal(found, word(k))


@every_mode
def test_long_block_comes_back(mode) -> None:  # type: ignore[no-untyped-def]
    for k in LENGTHS:
        x = encode_long(word(k), mode)
        assert x.shape == (uses_of(k, mode),)
        found = decode_long(add_noise(x, 1e-3), QUIET, k, mode)
        assert found is not None, k
        np.testing.assert_array_equal(found, word(k))


@every_mode
def test_the_rate_is_that_of_the_mode(mode) -> None:  # type: ignore[no-untyped-def]
    """CRCs and the zeros that make segments alike are among the bits that are coded."""
    for k in LENGTHS:
        cut = segments(k, mode.rate)
        width = crc.length(cut.crc) + (24 * cut.parts if cut.parts > 1 else 0)
        bits = k + cut.padding + width
        assert cut.parts * cut.size == bits
        assert cut.padding < cut.parts
        assert cut.size <= (8448 if cut.base_graph == 1 else 3840)
        assert uses_of(k, mode) == ceil(bits / (mode.rate * mode.bits_per_symbol))


def test_segments_by_hand() -> None:
    """30,000 bits at rate 0.6: 24 of CRC24A, 4 parts with 24 each: TS 38.212, section 5.2.2."""
    assert segments(30_000, MODES[8].rate) == ("crc24a", 1, 0, 4, 7530)
    # At rate 0.19 by base graph 2, which has 3,840 bits at most.
    assert segments(30_000, MODES[1].rate) == ("crc24a", 2, 0, 8, 3777)
    assert segments(3824, MODES[5].rate) == ("crc16", 2, 0, 1, 3840)
    assert groups(4, 1003) == [(0, 1, 250), (1, 4, 251)]
    assert groups(4, 1000) == [(0, 4, 250)]


@pytest.mark.parametrize("bits", [np.zeros(96, np.uint8), np.ones(96, np.uint8)])
def test_a_short_block_of_one_value(bits: np.ndarray) -> None:
    found = decode_short(add_noise(encode_short(bits, 216), 0.1), torch.tensor([0.1]), 96)
    assert found is not None
    np.testing.assert_array_equal(found, bits)


def test_noise_is_no_short_block() -> None:
    """Of all lengths, as a receiver tries them that does not know which was sent."""
    for uses in LEVELS:
        y = add_noise(torch.zeros(100, uses), 1.0, seed=uses)
        assert not short_bits(y, torch.tensor([[1.0]]), 96)[1].any()


def test_a_short_block_is_not_one_of_another_length() -> None:
    for sent in LEVELS:
        x = torch.cat([encode_short(word(96), sent), torch.zeros(LEVELS[-1])])
        for tried in LEVELS:
            found = decode_short(add_noise(x, 0.01)[:tried], torch.tensor([0.01]), 96)
            assert (found is not None) == (tried == sent), (sent, tried)


@pytest.mark.parametrize("k", [30, 1000, 9000])
def test_noise_is_no_long_block(k: int) -> None:
    uses = uses_of(k, MODES[6])
    y = add_noise(torch.zeros(20, uses), 1.0)
    assert not long_bits(y, torch.tensor([[1.0]]), k, MODES[6])[1].any()


def test_silence_is_no_block() -> None:
    """The word of zeros is one of the code, and its CRC is zero."""
    lost = torch.full((1,), float("inf"))
    for noise_var in (QUIET, lost):
        assert decode_short(torch.zeros(216, dtype=torch.complex64), noise_var, 96) is None
        y = torch.zeros(uses_of(500, MODES[3]), dtype=torch.complex64)
        assert decode_long(y, noise_var, 500, MODES[3]) is None


def test_a_changed_symbol_in_every_segment() -> None:
    """One segment lost is the block lost."""
    k, mode = 9000, MODES[10]
    x = encode_long(word(k), mode)
    half = len(x) // 2
    for lost in (slice(0, half), slice(half, None)):
        y = x.clone()
        y[lost] *= -1
        assert decode_long(y, torch.tensor([0.1]), k, mode) is None


def test_symbols_in_fades_are_worth_what_their_noise_says() -> None:
    """A third of the symbols is replaced by noise; told so, the receiver decodes."""
    x = encode_long(word(500), MODES[3])
    noise_var = torch.full(x.shape, 0.1)
    noise_var[::3] = 1e6
    y = torch.where(noise_var < 1, add_noise(x, 0.1), add_noise(0 * x, 10.0, seed=1))
    found = decode_long(y, noise_var, 500, MODES[3])
    assert found is not None
    np.testing.assert_array_equal(found, word(500))
    assert decode_long(y, torch.tensor([0.1]), 500, MODES[3]) is None


def test_more_uses_than_the_mode_needs() -> None:
    """Whatever number of symbols: more parity, then repetition."""
    mode = MODES[5]
    least = uses_of(200, mode)
    for uses in (least + 1, 3 * least, 12 * least):
        x = encode_long(word(200), mode, uses)
        assert x.shape == (uses,)
        found = decode_long(add_noise(x, 0.1), torch.tensor([0.1]), 200, mode)
        assert found is not None
        np.testing.assert_array_equal(found, word(200))
    # Twelve times the energy: 10 dB less SNR than the mode wants.
    found = decode_long(add_noise(x, 4.0), torch.tensor([4.0]), 200, mode)
    assert found is not None


def test_blocks_beside_each_other_do_not_matter() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (5, 4000), dtype=np.uint8)
    x = long_symbols(bits, MODES[7])
    torch.testing.assert_close(x, torch.stack([encode_long(each, MODES[7]) for each in bits]))
    noise_var = torch.tensor([0.05, 0.2, 0.28, 0.35, 1.0])[:, None]
    y = x + noise_var.sqrt() * add_noise(0 * x, 1.0)
    found, right = long_bits(y, noise_var, 4000, MODES[7])
    for i in range(5):
        alone = decode_long(y[i], noise_var[i], 4000, MODES[7])
        assert (alone is not None) == right[i]
        if alone is not None:
            np.testing.assert_array_equal(alone, found[i])
    assert right[0]
    assert not right[-1]
    headers = short_symbols(bits[:, :96], 324)
    torch.testing.assert_close(headers[3], encode_short(bits[3, :96], 324))


def test_no_bits_are_no_block() -> None:
    with pytest.raises(ValueError, match="at least one bit"):
        encode_long(np.zeros(0, np.uint8), MODES[0])
    with pytest.raises(ValueError, match="no LDPC code"):
        encode_long(word(1000), MODES[0], uses=100)
    with pytest.raises(ValueError, match="no polar code"):
        encode_short(word(200), 108)
