"""Photographs of visitors: read, made small enough, and kept while there is room."""

from __future__ import annotations

import hashlib
import io
import math
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from benchmarks.demo.cache import Bounded
from witt.errors import InputError
from witt.pictures.images import Pixels, read_image, to_tensor

# As large as the sample: of these the neural code sends one in less than a second on two cores.
MOST_PIXELS = 768 * 512
LEAST_SIDE = 64
KEPT_BYTES = 32 * 2**20


class Photograph:
    """A picture to send.

    Args:
        pixels: (H, W, 3) uint8.
        name: of its file.
        notes: what was done to it, in sentences.
    """

    def __init__(self, pixels: Pixels, name: str, notes: tuple[str, ...] = ()) -> None:
        self.pixels, self.name, self.notes = pixels, name, notes
        self.id = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()

    @cached_property
    def png(self) -> bytes:
        """As a file."""
        return png_bytes(self.pixels)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, about."""
        return 2 * self.pixels.nbytes

    @property
    def image(self) -> Tensor:
        """(1, 3, H, W) in [0, 1]."""
        return to_tensor(self.pixels)


def kept_photographs() -> Bounded[Photograph]:
    """A store for the photographs of all visitors, by `Photograph.id`."""
    return Bounded(KEPT_BYTES, lambda photograph: photograph.nbytes)


def png_bytes(pixels: Pixels) -> bytes:
    """A PNG file, written fast."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def read_photograph(path: Path, name: str) -> Photograph:
    """A visitor's file, made smaller where it is too large for this page.

    Args:
        path: where it lies.
        name: what the visitor calls it.

    Raises:
        InputError: it cannot be read as a picture, or is too small, in a sentence.
    """
    try:
        pixels, said = read_image(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error
    notes = [f"{note[:1].upper()}{note[1:]}." for note in said]
    height, width = pixels.shape[:2]
    if height * width > MOST_PIXELS:
        scale = math.sqrt(MOST_PIXELS / (height * width))
        size = max(int(width * scale), 1), max(int(height * scale), 1)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        notes.append(
            f"The picture has {width}×{height} pixels. It was scaled down to {size[0]}×{size[1]}, "
            "so that this page can answer quickly."
        )
    if min(pixels.shape[:2]) < LEAST_SIDE:
        raise InputError(
            f"{name}: {width}x{height} pixels are too few, or too narrow, for this page: both "
            f"sides must be {LEAST_SIDE} or more once it is scaled to {MOST_PIXELS:,} pixels"
        )
    return Photograph(pixels, name, tuple(notes))


@cache
def samples() -> dict[str, Photograph]:
    """Pictures for those who have none at hand, by the key of the page."""
    with resources.as_file(resources.files("witt") / "samples" / "kodim23.png") as path:
        parrots = Photograph(read_image(path).pixels, "kodim23.png")
    return {"parrots": parrots, "chart": Photograph(_chart(), "chart.png")}


def _chart() -> Pixels:
    """Text, lines and smooth colours: what codes find hard, beside what they find easy."""
    height, width = 512, 768
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    canvas = np.stack([235 - 0.10 * y, 232 - 0.06 * x, 222 + 0.02 * x], axis=2)
    rings = 127.5 + 127.5 * np.cos(((x - 610) ** 2 + (y - 360) ** 2) / 420)
    disc = (x - 610) ** 2 + (y - 360) ** 2 < 120**2
    canvas[disc] = rings[disc][:, None]
    for number, colour in enumerate(((200, 40, 40), (235, 170, 30), (40, 140, 80), (40, 80, 180))):
        left = 40 + 105 * number
        canvas[300:380, left : left + 95] = colour
        canvas[380:460, left : left + 95] = np.linspace(255, 0, 95)[None, :, None]
    image = Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    lines = ("Can you still read this", "when the signal is weak?", "0123456789 +-=%&?!")
    for number, line in enumerate(lines):
        size = (44, 32, 22)[number]
        draw.text((40, (40, 110, 165)[number]), line, (25, 30, 45), ImageFont.load_default(size))
    small = "The small print is lost first: every letter is a few pixels high."
    draw.text((40, 210), small, (25, 30, 45), ImageFont.load_default(14))
    for step in range(12):
        draw.line([(470 + 22 * step, 40), (500 + 14 * step, 215)], (30, 30, 30), 1 + step // 5)
    return np.asarray(image)
