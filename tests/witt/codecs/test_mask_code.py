"""Masks as bits: every subset has a number of its own, in as few bits as there can be."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from witt.codecs.mask_code import MaskCode, mask_bits
from witt.header import Header
from witt.side_code import NO_BITS, EntryBits, read_whole, whole


def header(kept: int) -> Header:
    return Header((16, 16), kept // 2, torch.zeros(1))


def mask(width: int, kept: tuple[int, ...]) -> Tensor:
    found = torch.zeros(width, dtype=torch.bool)
    found[list(kept)] = True
    return found


@pytest.mark.parametrize(("width", "kept"), [(6, 2), (7, 4), (8, 8), (9, 6)])
def test_numbers_count_the_subsets(width: int, kept: int) -> None:
    """The subsets have the numbers 0, 1, 2, … up to how many there are."""
    code, numbers = MaskCode(width), []
    for subset in itertools.combinations(range(width), kept):
        told = code.pack(mask(width, subset), header(kept))
        assert len(told.fixed) == 0
        assert len(told.block) == mask_bits(width, kept)
        assert torch.equal(code.unpack(told, header(kept)), mask(width, subset))
        numbers.append(read_whole(told.block))
    assert sorted(numbers) == list(range(math.comb(width, kept)))


@given(
    kept=st.sampled_from([2, 32, 64, 96, 128, 160, 192, 318, 320]), seed=st.integers(0, 2**32 - 1)
)
@settings(deadline=None, derandomize=True, max_examples=40)
def test_masks_of_the_published_width_come_back(kept: int, seed: int) -> None:
    places = np.random.default_rng(seed).permutation(320)[:kept]
    sent, code = mask(320, tuple(places.tolist())), MaskCode(320)
    told = code.pack(sent, header(kept))
    assert torch.equal(code.unpack(told, header(kept)), sent)


@pytest.mark.parametrize(("kept", "bits"), [(32, 147), (96, 278), (160, 316), (192, 307), (320, 0)])
def test_bits_are_the_logarithm_of_the_number_of_masks(kept: int, bits: int) -> None:
    """By the gamma function, against the exact integers of the code."""
    exact = (math.lgamma(321) - math.lgamma(kept + 1) - math.lgamma(321 - kept)) / math.log(2)
    assert mask_bits(320, kept) == math.ceil(exact - 1e-9) == bits


def test_what_no_mask_has_is_refused() -> None:
    code = MaskCode(6)  # 15 masks of 2, in 4 bits
    for block in (whole(15, 4), whole(3, 5), NO_BITS):
        with pytest.raises(ValueError, match="no mask of 2 of 6 channels has these bits"):
            code.unpack(EntryBits(NO_BITS, block), header(2))
    with pytest.raises(ValueError, match="no mask of 8 of 6"):
        code.unpack(EntryBits(NO_BITS, NO_BITS), header(8))
    with pytest.raises(ValueError, match="a mask is missing"):
        code.pack(None, header(2))
