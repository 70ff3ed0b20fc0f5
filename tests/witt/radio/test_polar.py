"""The polar code: its words as Sionna's (kept here), its decoder against all words."""

import numpy as np
import pytest

from tests.witt.radio.words import digest, word
from witt.radio import crc
from witt.radio.polar import Polar
from witt.radio.polar_list import decode_list, transform

# `word` of so many bits with CRC11, in so many: the digest of the code word by Sionna 1.2.2
# (Polar5GEncoder, uplink).
BY_SIONNA = [
    (20, 50, "0237177b3371a5b1"),  # shortened
    (80, 216, "760cdd6375ced152"),  # punctured
    (120, 324, "b73ca01d4e13917d"),
    (140, 432, "a5b673d958cee806"),
    (100, 648, "5de08d44f8303864"),
    (164, 864, "97aa0a42561456e5"),
    (130, 1088, "5763cd234ac71678"),  # repeated
    (300, 500, "7e698becffc69e35"),  # shortened
]


@pytest.mark.parametrize(("k", "n", "expected"), BY_SIONNA)
def test_words_are_those_of_sionna(k: int, n: int, expected: str) -> None:
    coded = Polar(k + 11, n).encode(crc.attach(word(k)[None], "crc11"))
    assert digest(coded[0]) == expected


def test_a_word_bit_by_bit() -> None:
    coded = Polar(31, 50).encode(crc.attach(word(20)[None], "crc11"))
    assert np.packbits(coded).tobytes().hex() == "ee404570671080"


def test_transform_is_the_kronecker_power() -> None:
    matrix = np.ones((1, 1), int)
    for _ in range(5):
        matrix = np.kron(matrix, [[1, 0], [1, 1]])
    u = np.random.default_rng(0).integers(0, 2, (20, 32), dtype=np.uint8)
    np.testing.assert_array_equal(transform(u), u @ matrix % 2)
    np.testing.assert_array_equal(transform(transform(u)), u)


@pytest.mark.parametrize(
    "free",
    [[15], [7, 11, 13, 14, 15], [3, 7, 12, 13, 14, 15], [8, 9, 10, 11, 12, 13, 14, 15]],
)
def test_a_list_of_all_words_is_in_the_order_of_their_likelihood(free: list[int]) -> None:
    """No path is ever dropped, so the decoder is the maximum-likelihood one."""
    k, n = len(free), 16
    u = np.zeros((2**k, n), np.uint8)
    u[:, free] = (np.arange(2**k)[:, None] >> np.arange(k)) & 1
    words = transform(u)
    llrs = np.random.default_rng(k).normal(0.5, 1.5, (50, n)).astype(np.float32)
    frozen = np.ones(n, bool)
    frozen[free] = False
    found = decode_list(llrs, frozen, 2**k)
    assert found.shape == (50, 2**k, n)
    order = np.argsort((llrs[:, None] * words).sum(axis=2), axis=1)  # -log p(0) / p(1) of ones
    np.testing.assert_array_equal(found, words[order])


def test_short_lists_rarely_miss_the_likeliest_word() -> None:
    """Of 256 words, in noise where the likeliest is the sent one about half of the time."""
    free = [3, 5, 6, 7, 11, 13, 14, 15]
    u = np.zeros((256, 16), np.uint8)
    u[:, free] = (np.arange(256)[:, None] >> np.arange(8)) & 1
    words = transform(u)
    llrs = np.random.default_rng(1).normal(1.0, 1.4, (400, 16)).astype(np.float32)
    frozen = np.ones(16, bool)
    frozen[free] = False
    likeliest = words[np.argmin((llrs[:, None] * words).sum(axis=2), axis=1)]
    hits = [
        (decode_list(llrs, frozen, size)[:, 0] == likeliest).all(axis=1).mean()
        for size in (1, 8, 32)
    ]
    assert hits[0] < 0.9 < 0.96 < hits[1] < hits[2]
    assert hits[2] > 0.99


@pytest.mark.parametrize(("k", "n"), [(26, 32), (100, 180), (104, 216), (164, 648), (144, 1728)])
def test_without_noise_every_word_comes_back(k: int, n: int) -> None:
    code = Polar(k, n)
    sent = np.random.default_rng(n).integers(0, 2, (8, k), dtype=np.uint8)
    ratios = (8.0 * code.encode(sent) - 4).astype(np.float32)
    np.testing.assert_array_equal(code.decode(ratios)[:, 0], sent)
    assert code.decode(ratios, size=3).shape == (8, 3, k)


def test_blocks_beside_each_other_do_not_matter() -> None:
    code = Polar(104, 216)
    ratios = np.random.default_rng(0).normal(0, 2, (6, 216)).astype(np.float32)
    alone = [code.decode(ratios[i : i + 1])[0] for i in range(6)]
    np.testing.assert_array_equal(code.decode(ratios), alone)


def test_a_bit_sent_twice_counts_twice() -> None:
    """1,728 = 1,024 + 704: in what is sent twice two weak ratios make a strong one."""
    code = Polar(144, 1728)
    values, counts = np.unique(code.sent, return_counts=True)
    assert len(values) == 1024
    assert (counts == 2).sum() == 704


@pytest.mark.parametrize(("k", "n"), [(25, 64), (64, 64), (1025, 4000), (100, 8193)])
def test_codes_that_do_not_exist(k: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"no polar code of {k} bits in {n}"):
        Polar(k, n)
