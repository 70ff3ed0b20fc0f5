"""Pictures in the memory of the device, and the crops that are drawn from them there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from witt.errors import InputError
from witt.pictures.images import Pixels
from witt.training.data import mirrored
from witt.training.pictures import Pictures

REDUCED = (0.7, 0.5)  # sides of the copies beside each picture, over its own


def reduced(picture: Pixels, least: int) -> list[Pixels]:
    """Smaller copies of a picture, where they keep `least` pixels a side: more to learn from."""
    image = Image.fromarray(picture)
    sizes = [(round(image.width * share), round(image.height * share)) for share in REDUCED]
    return [
        np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        for size in sizes
        if min(size) >= least
    ]


def loaded(pictures: Pictures, crop: int) -> list[Pixels]:
    """All pictures, at least as large as the crop, and their smaller copies.

    Raises:
        InputError: none can be read any more.
    """

    def one(index: int) -> list[Pixels] | InputError:
        try:
            pixels = mirrored(pictures[index], crop)
        except InputError as error:
            return error
        return [pixels, *reduced(pixels, crop)]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(one, range(len(pictures))))
    lost = [entry for entry in found if isinstance(entry, InputError)]
    if len(lost) == len(found):
        raise InputError("none of the training pictures can be read any more")
    if lost:
        warnings.warn(f"{len(lost)} pictures cannot be read any more: {lost[0]}", stacklevel=2)
    return [pixels for entry in found if not isinstance(entry, InputError) for pixels in entry]


class Crops:
    """8-bit pictures of any size side by side, and random crops of them.

    Args:
        pictures: (H, W, 3) each, at least as large as the crops.
        device: where they are kept and drawn from.
    """

    def __init__(self, pictures: Sequence[Pixels], device: torch.device) -> None:
        sizes = torch.tensor([picture.shape[:2] for picture in pictures])
        areas = sizes.prod(1)
        flat = np.concatenate([picture.reshape(-1, 3) for picture in pictures])
        self.pixels = torch.from_numpy(flat).to(device)
        self.height, self.width = sizes.to(device).unbind(1)
        self.first = (areas.cumsum(0) - areas).to(device)
        self.share = (areas.cumsum(0).double() / areas.sum()).to(device)

    def draw(self, batch: int, side: int, generator: torch.Generator) -> Tensor:
        """Crops (B, 3, side, side) in [0, 1], each in one of eight attitudes.

        A picture is drawn by its area, then any place in it.

        Args:
            batch: crops.
            side: in pixels.
            generator: source of randomness, on the device.
        """
        device = self.pixels.device
        u = torch.rand(6, batch, 1, 1, dtype=torch.float64, device=device, generator=generator)
        n = torch.searchsorted(self.share, u[0], right=True).clamp_max(len(self.share) - 1)
        top = (u[1] * (self.height[n] - side + 1)).long()
        left = (u[2] * (self.width[n] - side + 1)).long()
        line = torch.arange(side, device=device)
        across, down, turned = (value < 0.5 for value in u[3:])
        row = torch.where(turned, line, line[:, None])
        column = torch.where(turned, line[:, None], line)
        row = torch.where(down, side - 1 - row, row)
        column = torch.where(across, side - 1 - column, column)
        place = self.first[n] + (top + row) * self.width[n] + left + column
        return self.pixels[place].permute(0, 3, 1, 2).float().div(255).contiguous()
