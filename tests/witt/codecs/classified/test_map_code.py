"""The class map as bits: exactly back, in as few bits as its probabilities allow."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from witt.codecs.classified.map_code import ClassMapCode
from witt.header import Header
from witt.side_code import EntryBits

CLASSES, BLOCK = 8, 16


def table(seed: int = 0) -> Tensor:
    """(K + 1, K) bits, of classes that like to stay."""
    rng = np.random.default_rng(seed)
    likely = rng.dirichlet(np.full(CLASSES, 0.7), CLASSES + 1) + 1e-3
    likely[:CLASSES] += 4 * np.eye(CLASSES)
    return torch.from_numpy(-np.log2(likely / likely.sum(1, keepdims=True)))


def drawn(rows: int, columns: int, bits: Tensor, seed: int = 0) -> Tensor:
    """A map of just these probabilities."""
    rng, likely = np.random.default_rng(seed), (2**-bits).numpy()
    classes = np.empty((rows, columns), np.int64)
    for row in range(rows):
        left = CLASSES
        for column in range(columns):
            left = int(rng.choice(CLASSES, p=likely[left] / likely[left].sum()))
            classes[row, column] = left
    return torch.from_numpy(classes)


def code(bits: Tensor) -> ClassMapCode:
    return ClassMapCode(bits, lambda size: (size[0] // BLOCK, size[1] // BLOCK))


def header(classes: Tensor) -> Header:
    rows, columns = classes.shape
    return Header((rows * BLOCK, columns * BLOCK), 1, torch.zeros(1))


def ideal(classes: Tensor, bits: Tensor) -> float:
    """Bits of all classes but the first by their probabilities."""
    left = torch.cat((torch.full_like(classes[:, :1], CLASSES), classes[:, :-1]), dim=1)
    return float(bits[left, classes].sum() - bits[CLASSES, classes[0, 0]])


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 7), (5, 3), (32, 48), (100, 60)])
@pytest.mark.parametrize("seed", range(4))
def test_a_map_comes_back_in_as_few_bits_as_can_be(shape: tuple[int, int], seed: int) -> None:
    bits = table(seed)
    classes = drawn(*shape, bits, seed)
    coder = code(bits)
    told = coder.pack(classes, header(classes))
    assert len(told.fixed) == 3
    assert torch.equal(coder.unpack(told, header(classes)), classes)
    if (classes != classes[0, 0]).any():
        cost = ideal(classes, bits)
        # 2 bits to end a code, and 0.1 % for the steps of the probabilities; luck saves a few.
        assert cost - 8 <= len(told.block) <= 1.001 * cost + 2


def test_whatever_the_map_it_comes_back() -> None:
    """Also one that its probabilities hold for next to impossible."""
    bits, coder = table(), code(table())
    for seed in range(20):
        rng = np.random.default_rng(seed)
        classes = torch.from_numpy(rng.integers(0, CLASSES, (6, 11)))
        told = coder.pack(classes, header(classes))
        assert torch.equal(coder.unpack(told, header(classes)), classes)
    never = bits.clone()
    never[:, 3] = math.inf
    classes = torch.full((4, 4), 3)
    classes[2, 2] = 0
    told = code(never).pack(classes, header(classes))
    assert torch.equal(code(never).unpack(told, header(classes)), classes)


@pytest.mark.parametrize("label", [0, 5, CLASSES - 1])
def test_one_class_takes_no_block(label: int) -> None:
    classes = torch.full((9, 13), label)
    told = code(table()).pack(classes, header(classes))
    assert not len(told.block)
    assert torch.equal(code(table()).unpack(told, header(classes)), classes)


def test_a_likely_map_is_no_constant_one() -> None:
    """A code that could end before its first bit would say that all classes are alike."""
    bits = torch.full((4, 3), 9.0)
    bits[:, 0], bits[:, 1] = 1e-2, 9.0
    bits[1, 0] = 1e-2
    for classes in (torch.tensor([[1, 0]]), torch.tensor([[1, 0, 0, 0]])):
        told = code(bits).pack(classes, header(classes))
        assert len(told.block)
        assert torch.equal(code(bits).unpack(told, header(classes)), classes)


def test_other_bits_are_another_map_or_none() -> None:
    """A receiver may be handed anything; it never reads past it or beyond the classes."""
    classes = drawn(8, 8, table())
    coder, told = code(table()), code(table()).pack(classes, header(classes))
    rng = np.random.default_rng(0)
    for length in (1, 7, 31, 32, 33, 500):
        other = rng.integers(0, 2, length).astype(np.uint8)
        found = coder.unpack(told._replace(block=other), header(classes))
        assert found.shape == (8, 8)
        assert 0 <= int(found.min()) <= int(found.max()) < CLASSES


def test_a_class_that_is_none() -> None:
    bits = torch.full((4, 3), math.log2(3))
    told = code(bits).pack(torch.full((2, 2), 2), header(torch.zeros(2, 2)))
    with pytest.raises(ValueError, match="there is no class 3"):
        code(bits).unpack(told._replace(fixed=np.ones(2, np.uint8)), header(torch.zeros(2, 2)))


def test_bits_of_no_map_are_refused() -> None:
    """All ones of 38 bits is beyond the last interval of the coder, at some probabilities."""
    coder, refused = code(table()), 0
    for length in range(1, 80):
        block = np.ones(length, np.uint8)
        try:
            coder.unpack(
                EntryBits(np.zeros(3, np.uint8), block), Header((64, 80), 1, torch.zeros(1))
            )
        except ValueError:
            refused += 1
    assert refused


def test_every_small_map_is_coded() -> None:
    """Shortening tries ends of which some are no code at all."""
    bits = table()
    for seed in range(300):
        classes = drawn(2, 3, bits, seed)
        told = code(bits).pack(classes, header(classes))
        assert torch.equal(code(bits).unpack(told, header(classes)), classes)
