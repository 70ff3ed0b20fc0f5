"""Pictures to look at a codec with: square crops of one size, or whole ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import witt
from benchmarks.sweep.dataset import SMALL, Dataset, open_dataset
from witt.errors import InputError
from witt.link.evaluation import image_seed
from witt.pictures.images import Pixels, to_tensor

SAMPLES = Path(witt.__file__).parent / "samples"
SIDE = 64  # of a crop, where the pictures have it
BATCH = 64  # crops, or small pictures, that go through a codec together


class Crops(NamedTuple):
    """Crops that do not overlap.

    pixels: (side, side, 3) uint8 each.
    side: in pixels.
    there: how many the pictures hold, of which these were drawn.
    """

    pixels: list[Pixels]
    side: int
    there: int


def pictures_of(data: Path | str | None, limit: int | None = None) -> Dataset:
    """The first `limit` pictures of a folder or data set; of the sample that comes with witt.

    Raises:
        InputError: there is none.
    """
    return open_dataset(SAMPLES if data is None else data, limit)


def crops_of(dataset: Dataset, side: int | None, most: int, seed: int) -> Crops:
    """At most so many of the crops that pictures can be cut into, in an order of chance.

    Args:
        dataset: the pictures.
        side: of a crop in pixels; None is `SIDE`, or less where a picture is smaller.
        most: crops to draw.
        seed: of the draw.

    Raises:
        InputError: a picture is smaller than a crop.
    """
    sides = [min(size) for size in dataset.sizes]
    if side is None:
        side = min(SIDE, *sides)
    for index, own in enumerate(sides):
        if own < side:
            height, width = dataset.sizes[index]
            raise InputError(
                f"{_title(dataset, index)} has {width}x{height} pixels, less than a crop of "
                f"{side}: choose --crop {min(sides)} or less"
            )
    places = [
        (index, top, left)
        for index, (height, width) in enumerate(dataset.sizes)
        for top in range(0, height - side + 1, side)
        for left in range(0, width - side + 1, side)
    ]
    order = np.random.default_rng(seed).permutation(len(places))[:most]
    pixels: dict[int, Pixels] = {}
    whole, read = dataset.read(0), 0
    for number in sorted(order):  # so that each picture is read once
        index, top, left = places[number]
        if index != read:
            whole, read = dataset.read(index), index
        pixels[number] = np.ascontiguousarray(whole[top : top + side, left : left + side])
    return Crops([pixels[number] for number in order], side, len(places))


def batches_of_crops(crops: Crops, least: int) -> list[list[Pixels]]:
    """Batches of at most `BATCH`, as large as each other but for one crop.

    Raises:
        InputError: there are fewer crops than `least`.
    """
    count = len(crops.pixels)
    if count < least:
        raise InputError(
            f"{count} crops of {crops.side}x{crops.side} pixels are too few to compare by: give at "
            f"least {least}, by --crops, a smaller --crop or more pictures"
        )
    parts = np.array_split(np.arange(count), -(-count // BATCH))
    return [[crops.pixels[index] for index in part] for part in parts]


def batches_of_pictures(dataset: Dataset, multiple: int = 1) -> Iterator[list[Pixels]]:
    """Whole pictures, small ones of one size together.

    Args:
        dataset: the pictures.
        multiple: the centre is cut out whose sides are multiples of it, in pixels.

    Raises:
        InputError: a picture is smaller than that.
    """
    batch: list[Pixels] = []
    for index, (height, width) in enumerate(dataset.sizes):
        rows, columns = (side // multiple * multiple for side in (height, width))
        if not rows or not columns:
            raise InputError(
                f"{_title(dataset, index)} has {width}x{height} pixels: this needs pictures of at "
                f"least {multiple}x{multiple}"
            )
        top, left = (height - rows) // 2, (width - columns) // 2
        part = dataset.read(index)[top : top + rows, left : left + columns]
        full = len(batch) == BATCH or max(rows, columns) > SMALL
        if batch and (full or batch[0].shape != part.shape):
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def tensor_of(pixels: Sequence[Pixels]) -> Tensor:
    """(n, 3, H, W) in [0, 1]."""
    return torch.cat([to_tensor(each) for each in pixels])


def noise_pictures(count: int, side: int, dtype: torch.dtype) -> Tensor:
    """(count, 3, side, side), of which no two are alike, to see what a codec does with any."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand((count, 3, side, side), generator=generator).to(dtype)


def seeds_of(pixels: Sequence[Pixels], seed: int, repeat: int = 0) -> list[int]:
    """Seeds of the channel for each picture: what `witt evaluate` has for it at a repeat."""
    seeds = [seed] * len(pixels)
    for _ in range(repeat + 1):
        seeds = [image_seed(own, each) for own, each in zip(seeds, pixels, strict=True)]
    return seeds


def _title(dataset: Dataset, index: int) -> str:
    return f"picture {index}" if dataset.names is None else dataset.names[index]
