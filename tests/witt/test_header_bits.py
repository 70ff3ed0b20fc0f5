"""The header of a picture as bits: all of it comes back, and nothing else is taken for one."""

import numpy as np
import pytest
import torch

from witt.errors import InputError
from witt.header import LONGEST_SIDE, MOST_RATES, SNR_HIGHEST_DB, SNR_LOWEST_DB, Header
from witt.header_bits import (
    BlockField,
    HeaderFields,
    header_length,
    pack_header,
    unpack_header,
    weights_number,
)
from witt.side_code import EntryBits, Half, SideCode, read_whole, whole

PLAIN = 24 + 16 + 16 + 8 + 16 + 1
HEADER = Header((8, 8), 1, torch.zeros(1))


class Long(SideCode):
    """Three bits in the header, and a block."""

    bits, has_block = 3, True


CODES: dict[str, SideCode] = {"scale": Half(), "map": Long()}


def fields(
    weights: int, size: tuple[int, int], rate: int, snr_db: float, inside: bool, block: BlockField
) -> HeaderFields:
    entries = {"scale": whole(12345, 16), "map": whole(5, 3)}
    return HeaderFields(weights, size, rate, snr_db, inside, entries, {"map": block})


def test_length() -> None:
    assert header_length({}) == PLAIN
    assert header_length(CODES) == PLAIN + 16 + 3 + 4 + 20


@pytest.mark.parametrize(
    "sent",
    [
        fields(0, (1, 1), 1, SNR_LOWEST_DB, False, BlockField(0, 0)),
        fields(
            2**24 - 1,
            (LONGEST_SIDE, LONGEST_SIDE),
            MOST_RATES,
            SNR_HIGHEST_DB,
            True,
            BlockField(15, 2**20 - 1),
        ),
        fields(0xABCDEF, (512, 768), 48, 9.99609375, True, BlockField(7, 3045)),
        fields(1, (3, 70), 2, -0.00390625, False, BlockField(1, 1)),
    ],
)
def test_all_comes_back(sent: HeaderFields) -> None:
    bits = pack_header(sent, CODES)
    assert bits.dtype == np.uint8
    assert len(bits) == header_length(CODES)
    assert set(np.unique(bits)) <= {0, 1}
    told = unpack_header(bits, CODES)
    for name in ("weights", "size", "rate", "snr_db", "inside", "blocks"):
        assert getattr(told, name) == getattr(sent, name), name
    assert {name: told.entries[name].tolist() for name in CODES} == {
        name: sent.entries[name].tolist() for name in CODES
    }


def test_every_bit_counts() -> None:
    bits = pack_header(fields(7, (40, 48), 3, 4.5, True, BlockField(2, 99)), CODES)
    whole_header = unpack_header(bits, CODES)
    for place in range(len(bits)):
        other = bits.copy()
        other[place] ^= 1
        assert str(unpack_header(other, CODES)) != str(whole_header), place


def test_what_is_no_header() -> None:
    bits = pack_header(fields(7, (1, 48), 3, 4.5, True, BlockField(2, 99)), CODES)
    with pytest.raises(ValueError, match="bits for a header"):
        unpack_header(bits[:-1], CODES)
    bits[24 + 15] = 0  # the height
    with pytest.raises(ValueError, match="48x0"):
        unpack_header(bits, CODES)


def test_a_block_that_is_too_long() -> None:
    with pytest.raises(InputError, match="the map of a picture of 48x40 pixels takes 1,048,576"):
        pack_header(fields(0, (40, 48), 1, 0.0, True, BlockField(0, 2**20)), CODES)


def test_weights_number() -> None:
    assert weights_number("") == 0
    assert weights_number("abcdef" + 58 * "0") == 0xABCDEF


@pytest.mark.parametrize("number", [0, 1, 2, 2**16 - 1, 40000])
def test_whole_numbers(number: int) -> None:
    assert read_whole(whole(number, 16)) == number


def test_numbers_that_do_not_fit() -> None:
    for number in (-1, 8):
        with pytest.raises(ValueError, match="does not fit into 3 bits"):
            whole(number, 3)


@pytest.mark.parametrize("value", [1.0, 0.0, 0.91943359375, 65504.0, 2.0**-24])
def test_a_number_as_float16(value: float) -> None:
    told = Half().pack(torch.tensor([value]), HEADER)
    assert len(told.fixed) == 16
    assert not len(told.block)
    found = Half().unpack(told, HEADER)
    assert found is not None
    assert found.tolist() == [value]


def test_no_number() -> None:
    assert Half().unpack(Half().pack(None, HEADER), HEADER) is None
    found = Half(()).unpack(EntryBits(whole(0x3C00, 16)), HEADER)
    assert found is not None
    assert found.shape == ()
    assert found == 1
