"""Crops that the device draws: in the picture, even, in eight attitudes, the same for a seed."""

import numpy as np
import pytest
import torch

from witt.training.gpu.pictures import Crops, reduced


def numbered(height: int, width: int, picture: int) -> np.ndarray:
    """A picture whose pixels say where they are."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, picture)], 2).astype(np.uint8)


def draw(crops: Crops, batch: int, side: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = crops.draw(batch, side, generator)
    assert values.dtype == torch.float32
    return (values * 255).round().long()


def test_a_crop_is_a_square_of_one_picture_in_one_of_eight_attitudes() -> None:
    crops = Crops([numbered(9, 13, 0), numbered(20, 7, 1)], torch.device("cpu"))
    attitudes = set()
    for crop in draw(crops, 400, 5):
        rows, columns, number = crop
        assert len(number.unique()) == 1
        height, width = ((9, 13), (20, 7))[int(number[0, 0])]
        assert 0 <= rows.min() <= rows.max() < height
        assert 0 <= columns.min() <= columns.max() < width
        top, left = int(rows.min()), int(columns.min())
        rows, columns = rows - top, columns - left
        line = torch.arange(5)
        upright = bool((rows == rows[:, :1]).all())
        down, across = (rows, columns) if upright else (rows.T, columns.T)
        assert any(torch.equal(down, a[:, None].expand(5, 5)) for a in (line, line.flip(0)))
        assert any(torch.equal(across, a.expand(5, 5)) for a in (line, line.flip(0)))
        attitudes.add((upright, bool(down[0, 0]), bool(across[0, 0])))
    assert len(attitudes) == 8


def test_places_are_even() -> None:
    """A picture counts by its area; in it every place, the last one too, is as likely."""
    crops = Crops([numbered(4, 5, 0), numbered(4, 15, 1)], torch.device("cpu"))
    count = 40_000
    corners = draw(crops, count, 3).amin((2, 3))
    second = int((corners[:, 2] == 1).sum())
    assert abs(second - 0.75 * count) < 4 * (count * 0.75 * 0.25) ** 0.5
    inside = corners[corners[:, 2] == 1]
    places = torch.bincount(inside[:, 0] * 13 + inside[:, 1], minlength=26)
    expected = second / 26
    assert len(places) == 26
    assert float((places - expected).abs().max()) < 5 * expected**0.5


def test_a_seed_gives_its_crops() -> None:
    crops = Crops([numbered(20, 30, 0)], torch.device("cpu"))
    first, again, other = (draw(crops, 8, 6, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("least", "sizes"), [(8, [(14, 21), (10, 15)]), (12, [(14, 21)]), (16, [])]
)
def test_smaller_copies(least: int, sizes: list[tuple[int, int]]) -> None:
    grey = np.full((20, 30, 3), 77, np.uint8)
    copies = reduced(grey, least)
    assert [copy.shape[:2] for copy in copies] == sizes
    assert all((copy == 77).all() for copy in copies)
