"""How metrics agree, and the linear probe."""

import math

import numpy as np
import pytest
import torch

from benchmarks.semantic.correlation import agreement, centre_crops
from benchmarks.semantic.probe import linear_probe
from benchmarks.sweep.dataset import Dataset
from witt.errors import InputError


def test_agreement_of_what_agrees() -> None:
    """A growing function keeps ranks, and a falling one turns them; a line keeps values too."""
    one = np.random.default_rng(0).normal(size=(6, 9))
    found = agreement(one, np.exp(one))
    assert (found.spearman, found.within, found.across) == pytest.approx((1, 1, 1))
    assert found.pearson == pytest.approx(np.corrcoef(one.flat, np.exp(one).flat)[0, 1])
    assert agreement(one, 3 * one - 2) == pytest.approx((1, 1, 1, 1))
    assert agreement(one, -one) == pytest.approx((-1, -1, -1, -1))


def test_within_pictures_and_across_them() -> None:
    """Conditions ranked alike, pictures the other way round."""
    conditions, pictures = np.arange(5.0)[:, None], np.arange(4.0)[None]
    found = agreement(conditions + 10 * pictures, conditions - 10 * pictures)
    assert (found.within, found.across) == pytest.approx((1, -1))
    assert found.spearman < 0


def test_a_picture_without_a_value_is_left_out() -> None:
    one = np.random.default_rng(1).normal(size=(5, 5))
    other = one.copy()
    other[2, 3] = math.nan
    assert agreement(one, other) == pytest.approx((1, 1, 1, 1))


def test_middle_of_pictures() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    dataset = Dataset("d", ("a",), ((20, 31),), tiles=[pixels])
    cropped = centre_crops(dataset, 16)
    assert (cropped.name, cropped.sizes) == ("d, middle 16x16", ((16, 16),))
    np.testing.assert_array_equal(cropped.read(0), pixels[2:18, 7:23])
    with pytest.raises(InputError, match="--side 24: picture 0 of d is 31x20"):
        centre_crops(dataset, 24)


def test_probe_of_what_is_linear_and_of_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1500, 6), generator=generator)
    labels = (x @ torch.randn((6, 4), generator=generator)).argmax(dim=1)
    train, held = slice(0, 1000), slice(1000, None)
    assert linear_probe((x[train], labels[train]), (x[held], labels[held]), 1e-5) > 0.95
    chance = labels[torch.randperm(1500, generator=generator)]
    most = float(torch.bincount(chance[held], minlength=4).max()) / 500
    found = linear_probe((x[train], chance[train]), (x[held], chance[held]))
    assert found <= most + 4 * (0.25 / 500) ** 0.5
