"""Crops and batches of pictures."""

from pathlib import Path

import numpy as np
import pytest

import witt
from benchmarks.analysis.examples import (
    BATCH,
    batches_of_crops,
    batches_of_pictures,
    crops_of,
    pictures_of,
)
from benchmarks.sweep.dataset import Dataset


def numbered(*sizes: tuple[int, int]) -> Dataset:
    """Pictures whose pixels say where they are: (picture, row, column)."""
    tiles = [
        np.stack(np.broadcast_arrays(n, *np.ogrid[:height, :width]), axis=2).astype(np.uint8)
        for n, (height, width) in enumerate(sizes)
    ]
    return Dataset("n", None, sizes, tiles=tiles)


def corners(pixels: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [tuple(map(int, each[0, 0])) for each in pixels]


def test_crops_do_not_overlap() -> None:
    crops = crops_of(numbered((40, 50), (33, 16)), 16, 100, 0)
    every = [(0, 16 * row, 16 * column) for row in range(2) for column in range(3)]
    every += [(1, 0, 0), (1, 16, 0)]
    assert sorted(corners(crops.pixels)) == every
    assert crops.there == len(every)
    for crop in crops.pixels:
        expected = crop[0, 0] + np.stack(np.broadcast_arrays(0, *np.ogrid[:16, :16]), axis=2)
        assert np.array_equal(crop, expected)


def test_the_draw_follows_the_seed() -> None:
    pictures = numbered((64, 64), (64, 64))
    first, again, other = (corners(crops_of(pictures, 8, 20, s).pixels) for s in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 20
    assert {picture for picture, *_ in first} == {0, 1}


def test_side_of_a_crop() -> None:
    assert crops_of(numbered((300, 200)), None, 100, 0).side == 64
    assert crops_of(numbered((300, 200), (40, 99)), None, 100, 0).side == 40
    refused = "picture 1 has 99x40 pixels, less than a crop of 48: choose --crop 40 or less"
    with pytest.raises(witt.InputError, match=refused):
        crops_of(numbered((300, 200), (40, 99)), 48, 100, 0)


def test_batches_are_of_about_one_size() -> None:
    crops = crops_of(numbered((96, 96)), 8, 130, 0)
    sizes = [len(batch) for batch in batches_of_crops(crops, 4)]
    assert sizes == [44, 43, 43]
    refused = r"3 crops of 8x8 pixels are too few .* at least 4"
    with pytest.raises(witt.InputError, match=refused):
        batches_of_crops(crops_of(numbered((96, 96)), 8, 3, 0), 4)


def test_whole_pictures() -> None:
    """Small neighbours of one size go together; centres are cut out."""
    pictures = numbered((40, 42), (41, 42), (64, 64), (200, 100), (200, 100), *[(32, 32)] * 70)
    batches = list(batches_of_pictures(pictures, 8))
    assert [len(batch) for batch in batches] == [2, 1, 1, 1, BATCH, 6]
    assert corners(batches[0]) == [(0, 0, 1), (1, 0, 1)]
    assert batches[2][0].shape == (200, 96, 3)
    assert corners(batches[2]) == [(3, 0, 2)]


def test_without_a_folder_it_is_the_sample(tmp_path: Path) -> None:
    assert pictures_of(None).names == ("kodim23.png",)
    with pytest.raises(witt.InputError):
        pictures_of(tmp_path / "none")
