"""Pieces of photographs, and random views of them.

A view is a part of a piece at another scale, perhaps mirrored and in other colours. Blur and noise
are left out, which such trainings mostly add: a distance is to see them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from witt.pictures.images import Pixels

PIECE, VIEW = 64, 32
REDUCTIONS = (1, 2, 4)
LEAST_AREA, MOST_STRETCH = 0.25, 4 / 3
COLOUR, TINT = 0.3, 0.15
MOST_SATURATION = 1.4


def cut_pieces(pixels: Pixels, count: int, generator: torch.Generator) -> Tensor:
    """Random pieces (count, 3, 64, 64) uint8 of a picture, as it is and reduced by 2 and by 4.

    Args:
        pixels: (H, W, 3) uint8; a reduction that leaves less than a piece is left out, and a
            picture that is smaller than a piece has none.
        count: how many.
        generator: of the places.
    """
    picture = torch.from_numpy(pixels).permute(2, 0, 1)
    fits = [scale for scale in REDUCTIONS if min(picture.shape[1:]) >= PIECE * scale]
    pieces = torch.zeros((count if fits else 0, 3, PIECE, PIECE), dtype=torch.uint8)
    for number in range(len(pieces)):
        scale = fits[number % len(fits)]
        side = PIECE * scale
        top, left = (
            int(torch.randint(size - side + 1, (), generator=generator))
            for size in picture.shape[1:]
        )
        part = picture[:, top : top + side, left : left + side].float()
        pieces[number] = F.avg_pool2d(part, scale).round()
    return pieces


def windows(count: int, generator: torch.Generator) -> Tensor:
    """Random parts of a piece, (count, 2, 3): maps of `torch.nn.functional.affine_grid`.

    A quarter to all of the area, stretched by up to 4:3, half of them mirrored.
    """
    area = LEAST_AREA + (1 - LEAST_AREA) * torch.rand(count, generator=generator)
    stretch = math.log(MOST_STRETCH) * (2 * torch.rand(count, generator=generator) - 1)
    height = (area.sqrt() * (stretch / 2).exp()).clamp(max=1)
    width = (area.sqrt() * (-stretch / 2).exp()).clamp(max=1)
    places = 2 * torch.rand((2, count), generator=generator) - 1
    sign = 1 - 2 * torch.randint(2, (count,), generator=generator)
    none = torch.zeros(count)
    across = torch.stack([width * sign, none, (1 - width) * places[0]], dim=1)
    down = torch.stack([none, height, (1 - height) * places[1]], dim=1)
    return torch.stack([across, down], dim=1)


def look(pieces: Tensor, parts: Tensor) -> Tensor:
    """Parts of pieces (B, 3, H, W) in [0, 1], as pictures (B, 3, 32, 32)."""
    grid = F.affine_grid(parts, [len(pieces), 3, VIEW, VIEW], align_corners=False)
    return F.grid_sample(pieces, grid, padding_mode="border", align_corners=False)


def recoloured(view: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness and contrast within 30 %, each colour within 15 %, saturation from none to 1.4.

    Without it a view is known by its mean colour, and nothing else is learnt.
    """
    each = (len(view), 1, 1, 1)
    brightness, contrast = 1 + COLOUR * (2 * torch.rand((2, *each), generator=generator) - 1)
    tint = 1 + TINT * (2 * torch.rand((len(view), 3, 1, 1), generator=generator) - 1)
    view = view * brightness * tint
    grey = view.mean(dim=1, keepdim=True)
    view = grey + MOST_SATURATION * torch.rand(each, generator=generator) * (view - grey)
    mean = view.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + contrast * (view - mean)).clamp(0, 1)


def random_views(pieces: Tensor, generator: torch.Generator) -> Tensor:
    """A view (B, 3, 32, 32) in [0, 1] of each piece (B, 3, 64, 64) uint8."""
    return recoloured(look(pieces.float() / 255, windows(len(pieces), generator)), generator)
