"""What of a PNG file the pixels need, taken from its chunks before Pillow sees them.

Pillow refuses a whole picture for a text beside it that is long or damaged, and compares the
transparent colour of a picture (tRNS) with the reduced values, not with those in the file.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Beside the critical chunks, whose names begin with a capital. The profile goes its own way.
KEPT = frozenset((b"tRNS", b"eXIf", b"fdAT"))
# Kept where they are whole and have this length.
SHORT = {b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"acTL": 8, b"fcTL": 26}
TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
# Texts that may hold the orientation.
TURNING = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
LONGEST_TEXT = 1 << 20  # Pillow's limit
LARGEST_PROFILE = 1 << 26


class Essence(NamedTuple):
    """A PNG without what the pixels do not need.

    file: to be given to Pillow.
    profile: the ICC profile; None where there is none, empty where it is damaged.
    code_points: colour primaries and transfer function of a cICP chunk.
    key: what the tRNS chunk holds: of grey or RGB, the transparent colour.
    """

    file: IO[bytes]
    profile: bytes | None = None
    code_points: tuple[int, int] | None = None
    key: bytes = b""


def essence(file: IO[bytes]) -> Essence:
    """Keep the chunks that Pillow needs; a file without others is given back as it is.

    What cannot be walked through is kept, for Pillow to judge.
    """
    file.seek(len(SIGNATURE))
    parts = [SIGNATURE]
    profile: bytes | None = None
    points: tuple[int, int] | None = None
    key = b""
    dropped = False
    while True:
        start = file.tell()
        header = file.read(8)
        length, name = struct.unpack(">I4s", header) if len(header) == 8 else (0, b"")
        if not name.isalpha() or name == b"IEND":
            break
        body = file.read(length + 4)
        if len(body) < length + 4:
            break
        data = body[:-4]
        keep = name[:1].isupper() or name in KEPT
        whole = keep or zlib.crc32(name + data) == struct.unpack(">I", body[-4:])[0]
        if name in SHORT:
            keep = whole and length == SHORT[name]
            if not keep and name in (b"gAMA", b"cHRM") and profile is None:
                profile = b""
        elif name == b"iCCP":
            profile = _inflated(data) if whole else b""
        elif name == b"cICP" and length == 4:
            points = (data[0], data[1])
        elif name == b"tRNS":
            key = data
        elif name in TEXTS and data.startswith(TURNING):
            keep = whole and _is_short(name, data)
        if keep:
            parts += [header, body]
        dropped |= not keep
    if not dropped:
        file.seek(0)
        return Essence(file, profile, points, key)
    file.seek(start)
    return Essence(BytesIO(b"".join([*parts, file.read()])), profile, points, key)


def _inflated(data: bytes) -> bytes:
    """The profile of an iCCP chunk, empty where it is damaged."""
    _, _, packed = data.partition(b"\0")
    try:
        inflate = zlib.decompressobj()
        profile = inflate.decompress(packed[1:], LARGEST_PROFILE)
    except zlib.error:
        return b""
    return profile if inflate.eof else b""


def _is_short(name: bytes, data: bytes) -> bool:
    """Whether a text is one that Pillow reads."""
    if len(data) > LONGEST_TEXT:
        return False
    _, _, rest = data.partition(b"\0")
    if name == b"tEXt" or (name == b"iTXt" and rest[:1] != b"\1"):
        return True
    # After a flag, the method, and for iTXt two more texts.
    packed = rest[1:] if name == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    try:
        inflate = zlib.decompressobj()
        inflate.decompress(packed, LONGEST_TEXT)
    except zlib.error:
        return False
    return inflate.eof


def keyed(image: Image.Image, depth: int, essence: Essence) -> npt.NDArray[np.bool_]:
    """Where a grey or RGB picture has its transparent colour, (H, W).

    The colour is in units of the file: `depth` bits, of which the low ones count.

    Args:
        image: loaded; mode 1, L or RGB, of the high bytes where `depth` is 16.
        depth: bits a channel in the file.
        essence: of the same file.
    """
    bands = len(image.getbands())
    colour = np.frombuffer(essence.key[: 2 * bands], ">u2") & ((1 << depth) - 1)
    values: npt.NDArray[np.uint8] = np.asarray(image).astype(np.uint8)
    values = values.reshape(image.height, image.width, bands)
    if depth == 16:
        low = _low_bytes(essence.file)
        return np.all((values == colour >> 8) & (low == colour & 255), axis=2)
    if image.mode == "L":
        colour = colour * (255 // ((1 << depth) - 1))
    return np.all(values == colour, axis=2)


def _low_bytes(file: IO[bytes]) -> npt.NDArray[np.uint8]:
    """The low bytes of an RGB picture of 16 bits a channel, (H, W, 3)."""
    file.seek(0)
    with Image.open(file, formats=("PNG",)) as image:
        # The same 48 bits a pixel, as if the other byte were the high one.
        image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
        image.load()
        return np.array(image)
