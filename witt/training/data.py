"""The stream of training crops.

Sample n of a run is the same whatever the number of processes and workers or the step it is
resumed from: picture, crop and flip are drawn from (seed, n).
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from witt.errors import InputError
from witt.pictures.images import Pixels, mirrored
from witt.training.pictures import Pictures


class Crop(NamedTuple):
    """A training sample.

    pixels: uint8 (3, crop, crop).
    skipped: number of a picture that could not be read and whose turn it was, -1 for none.
    """

    pixels: Tensor
    skipped: int


class Crops(Dataset[Crop]):
    """Random crops with flips; item n is fixed by (seed, n).

    Every picture comes once in each round of `len(pictures)` samples, in a fresh order. Pictures
    smaller than the crop are mirrored.
    """

    def __init__(self, pictures: Pictures, crop: int, seed: int) -> None:
        self.pictures, self.crop, self.seed = pictures, crop, seed
        self._order = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return 2**62

    def _picture(self, n: int) -> int:
        epoch, place = divmod(n, len(self.pictures))
        if self._order[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.pictures))
            self._order = (epoch, order)
        return int(self._order[1][place])

    def __getitem__(self, n: int) -> Crop:
        """Sample n; one whose file cannot be read is replaced by the next that can.

        Raises:
            InputError: no picture can be read any more.
        """
        skipped = -1
        for replacement in range(n, n + len(self.pictures)):
            index = self._picture(replacement)
            try:
                pixels = self.pictures[index]
            except InputError:
                skipped = index
                continue
            return Crop(self._cut(pixels, replacement), skipped)
        raise InputError("none of the training pictures can be read any more")

    def _cut(self, pixels: Pixels, n: int) -> Tensor:
        rng = np.random.default_rng([self.seed, *divmod(n, len(self.pictures))])
        pixels = mirrored(pixels, self.crop)
        top, left = (int(rng.integers(side - self.crop + 1)) for side in pixels.shape[:2])
        window = pixels[top : top + self.crop, left : left + self.crop]
        if rng.random() < 0.5:
            window = window[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(window.transpose(2, 0, 1)))


class _Share(Sampler[int]):
    """The numbers of one process's part of each batch, from sample `first` on."""

    def __init__(self, first: int, batch: int, rank: int, processes: int) -> None:
        self.first, self.batch, self.size = first, batch, batch // processes
        self.start = rank * self.size

    def __iter__(self) -> Iterator[int]:
        first = self.first + self.start
        while True:
            yield from range(first, first + self.size)
            first += self.batch


def _in_worker(_: int) -> None:
    # Both go to the whole group; the main process finishes its step and then ends the workers.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def batches(
    pictures: Pictures,
    crop: int,
    batch: int,
    seed: int,
    first: int,
    workers: int,
    rank: int = 0,
    processes: int = 1,
) -> Generator[Tensor, None, None]:
    """Endless uint8 batches (batch, 3, crop, crop), the first one starting at sample `first`.

    Of several processes each gets its part (batch / processes, 3, crop, crop), in the order of
    their ranks. A picture that turns out to be unreadable only now is named in a warning, once.
    """
    loader = DataLoader(
        Crops(pictures, crop, seed),
        batch_size=batch // processes,
        sampler=_Share(first, batch, rank, processes),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_in_worker if workers else None,
        # Without one the loader seeds its workers from the global generator.
        generator=torch.Generator(),
    )
    named: set[int] = {-1}
    for pixels, skipped in loader:
        for index in sorted(set(skipped.tolist()) - named):
            named.add(index)
            warnings.warn(f"skipped {pictures.name(index)}: it cannot be read", stacklevel=2)
        yield pixels
