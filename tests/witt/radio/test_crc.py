"""CRCs against published check values, a long division by hand and Sionna's (kept here)."""

import numpy as np
import pytest

from tests.witt.radio.words import number, word
from witt.radio import crc

# Of the ASCII digits 1 to 9, by G. Cook's catalogue of parametrised CRC algorithms: CRC-24/LTE-A,
# CRC-24/LTE-B and CRC-16/XMODEM are those of TS 38.212 with a register that begins with zeros.
CHECK_VALUES = {"crc24a": 0xCDE703, "crc24b": 0x23EF52, "crc16": 0x31C3}
# Of 40 and 1,000 bits of `word`, by Sionna 1.2.2.
BY_SIONNA = {
    "crc24a": (0x0AC54A, 0xA06AB9),
    "crc24b": (0x98BC85, 0xAA19A9),
    "crc24c": (0x907BE0, 0x7C78C1),
    "crc16": (0xF0C1, 0x8388),
    "crc11": (0x243, 0x251),
}


def parity(bits: np.ndarray, name: str) -> int:
    return number(crc.attach(bits, name)[len(bits) :])


@pytest.mark.parametrize("name", CHECK_VALUES)
def test_check_values(name: str) -> None:
    bits = np.unpackbits(np.frombuffer(b"123456789", np.uint8))
    assert parity(bits, name) == CHECK_VALUES[name]


@pytest.mark.parametrize("name", crc.POLYNOMIALS)
def test_as_sionna(name: str) -> None:
    assert (parity(word(40), name), parity(word(1000), name)) == BY_SIONNA[name]


@pytest.mark.parametrize("name", crc.POLYNOMIALS)
@pytest.mark.parametrize("k", [1, 23, 24, 25, 300])
def test_long_division(name: str, k: int) -> None:
    bits = word(k)
    generator = sum(1 << e for e in crc.POLYNOMIALS[name])
    rest = number(bits) << crc.length(name)
    while rest.bit_length() > crc.length(name):
        rest ^= generator << (rest.bit_length() - crc.length(name) - 1)
    assert parity(bits, name) == rest


@pytest.mark.parametrize("name", crc.POLYNOMIALS)
def test_check_finds_each_single_and_double_error(name: str) -> None:
    sent = crc.attach(word(60), name)
    n = len(sent)
    flips = np.eye(n, dtype=np.uint8)
    pairs = flips[:, None] ^ flips[None]
    assert crc.check(sent, name)
    assert not crc.check(sent ^ flips, name).any()
    # The diagonal is no error at all.
    np.testing.assert_array_equal(crc.check(sent ^ pairs, name), np.eye(n, dtype=bool))


def test_noise_passes_as_often_as_it_must() -> None:
    """One random word in 2^11."""
    words = np.random.default_rng(0).integers(0, 2, (200_000, 60), dtype=np.uint8)
    passed, expected = crc.check(words, "crc11").sum(), 200_000 / 2**11
    assert abs(passed - expected) < 4 * np.sqrt(expected)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown CRC 'crc8'; there are crc24a, "):
        crc.attach(word(8), "crc8")
