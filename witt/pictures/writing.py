"""PNG files that are written whole or not at all, with a mark that says what made them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

from PIL import Image

from witt.files import write_bytes
from witt.pictures import png
from witt.pictures.images import Pixels, check_pixels

# Written as the first chunk after the header of each PNG that is a result.
MARK = b"tEXtwitt\0"


HEADER_END = len(png.SIGNATURE) + 25


def write_png(path: str | Path, pixels: Pixels, *, result: str = "") -> None:
    """Write ``(H, W, 3)`` uint8 RGB pixels as PNG, whole or not at all.

    The same pixels give the same bytes.

    Args:
        path: The file.
        pixels: The picture.
        result: What the picture is as a result of this program, see `mark_png`; empty for others.

    Raises:
        InputError: The file cannot be written.
        ValueError: The pixels are not uint8 or not ``(H, W, 3)``.
    """
    check_pixels(pixels)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    write_bytes(path, mark_png(buffer.getvalue(), result) if result else buffer.getvalue())


def mark_png(data: bytes, result: str) -> bytes:
    """A PNG file marked as a result of this program, which `find_images` skips in folders.

    Args:
        data: The file.
        result: What it is: "received" or "comparison", for instance.
    """
    body = MARK + result.encode("latin-1")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:HEADER_END] + chunk + data[HEADER_END:]
