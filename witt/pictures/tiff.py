"""What a TIFF says of its numbers and Pillow does not heed: refused, or told to the reader."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import IO, Any, NamedTuple

from PIL import Image, TiffImagePlugin

from witt.errors import InputError

SUBFILE, BITS, PHOTOMETRIC, FILL, PLANAR, COLOURS, INKS = 254, 258, 262, 266, 284, 320, 332
SAMPLE_FORMAT, COEFFICIENTS, SUBSAMPLING, REFERENCE, DNG = 339, 529, 530, 532, 50706
WHITE_IS_ZERO, BLACK_IS_ZERO, YCBCR = 0, 1, 6
PROFILE = 34675
SIGNED = 2
SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # else 1
SHORT, NO_TYPE = 3, b"\0\0"
# What lies beside the pixels: dates, texts, resolutions, and all private tags.
BESIDE = frozenset((269, 270, 271, 272, 282, 283, 285, 286, 287, 290, 291, 305, 306, 315, 316, 700))
PRIVATE = 32768


class Essence(NamedTuple):
    """A TIFF without what lies beside the pixels and is damaged.

    file: to be given to Pillow, which forgets all tags after one whose value is not in the file.
    lost_profile: whether the ICC profile is not in the file.
    inverted: whether 0 is white, and Pillow is told otherwise because it would refuse.
    """

    file: IO[bytes]
    lost_profile: bool = False
    inverted: bool = False


def essence(file: IO[bytes]) -> Essence:
    """Have tags beside the pixels ignored whose values are not in the file.

    Grey with 0 as white is given as if 0 were black where Pillow refuses it: 12 bits, and 16 with
    the high byte first.

    Raises:
        ValueError: the value of another tag is not in the file.
    """
    data = file.read(16)
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    count, entry, word = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    changes: dict[int, bytes] = {}
    numbers: dict[int, tuple[int, int]] = {}  # the first number of a tag, and where it is
    lost_profile = False
    try:
        (start,) = struct.unpack_from(order + word, data, 8 if big else 4)
        size = file.seek(0, 2)
        file.seek(start)
        width = struct.calcsize(order + count)
        (number,) = struct.unpack(order + count, file.read(width))
        entries = file.read(min(number, 1 << 16) * struct.calcsize(order + entry))
    except (struct.error, OSError, OverflowError):
        return Essence(file)  # for Pillow to judge
    length = struct.calcsize(order + entry)
    for place in range(0, len(entries) - length + 1, length):
        tag, kind, values, field = struct.unpack_from(order + entry, entries, place)
        value_bytes = values * SIZES.get(kind, 1)
        (offset,) = struct.unpack(order + word, field)
        at = start + width + place
        if kind == SHORT and value_bytes <= len(field):
            numbers[tag] = struct.unpack_from(order + "H", field)[0], at + length - len(field)
        if value_bytes <= len(field) or offset + value_bytes <= size:
            continue
        if tag not in BESIDE and tag < PRIVATE:
            raise ValueError(f"is damaged or cut short (tag {tag})")
        lost_profile |= tag == PROFILE
        changes[at + 2] = NO_TYPE
    bits, (photometric, where) = numbers.get(BITS, (1, 0))[0], numbers.get(PHOTOMETRIC, (1, 0))
    inverted = photometric == WHITE_IS_ZERO and (bits == 12 or (bits == 16 and order == ">"))
    if inverted:
        changes[where] = struct.pack(order + "H", BLACK_IS_ZERO)
    if not changes:
        return Essence(file)
    file.seek(0)
    mended = bytearray(file.read())
    for at, two in changes.items():
        mended[at : at + 2] = two
    return Essence(BytesIO(mended), lost_profile, inverted)


def check(image: TiffImagePlugin.TiffImageFile, path: object) -> None:
    """Refuse what Pillow would read wrongly without a word.

    Args:
        image: open, its pixels not loaded yet.
        path: to be named.

    Raises:
        InputError: the numbers of the file cannot be read as they are meant.
    """
    reason = _reason(image.tag_v2, image)
    if reason:
        raise InputError(f"{path}: {reason}")


def mend(image: TiffImagePlugin.TiffImageFile) -> None:
    """Have compressed floats unpacked in the byte order that libtiff gives, that of the machine."""
    for place, tile in enumerate(image.tile):
        args = tile.args if isinstance(tile.args, tuple) else ("",)
        if tile.codec_name == "libtiff" and str(args[0]).startswith("F;"):
            image.tile[place] = tile._replace(args=("F;32NF", *args[1:]))


def is_inverted(image: Image.Image, essence: object) -> bool:
    """Whether 0 is white in a picture of more than 8 bits, where Pillow does not turn it round."""
    return isinstance(image, TiffImagePlugin.TiffImageFile) and (
        image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO
        or (isinstance(essence, Essence) and essence.inverted)
    )


def _reason(tags: Any, image: TiffImagePlugin.TiffImageFile) -> str | None:
    bits = max(tags.get(BITS, (1,)))
    raw = image.info.get("compression") == "raw"
    if DNG in tags or tags.get(SUBFILE, 0) & 1:
        return "holds a reduced copy of a picture first, as raw files do; save it as PNG"
    if PHOTOMETRIC not in tags and image.info.get("compression") != "tiff_jpeg":
        return "does not say whether 0 is black or white (PhotometricInterpretation)"
    if SIGNED in tags.get(SAMPLE_FORMAT, (1,)):
        return "has signed numbers, which do not say what is white; save it with 0 as black"
    if bits == 32 and image.mode != "F":
        return "has 32-bit integers, which do not say what is white; save it with 8 or 16 bits"
    if tags.get(PLANAR, 1) == 2 and not _are_planes_read(tags, image, bits, raw):
        return "has its colours in planes of a kind that cannot be read; save it without planes"
    if tags.get(INKS, 1) != 1:
        return "has other inks than cyan, magenta, yellow and black; save it as RGB"
    if image.mode in ("P", "PA") and 0 < max(tags.get(COLOURS, (0,))) < 256:
        return "has a palette of 8 bits where TIFF wants 16; save it as RGB"
    plain = tags.get(SUBSAMPLING, (2, 2)) == (1, 1) and not {COEFFICIENTS, REFERENCE} & set(tags)
    if tags.get(PHOTOMETRIC) == YCBCR and raw and not plain:
        return "has uncompressed YCbCr of a kind that cannot be read; save it as RGB"
    return None


def _are_planes_read(tags: Any, image: TiffImagePlugin.TiffImageFile, bits: int, raw: bool) -> bool:
    """Whether Pillow takes planes for what they are."""
    if image.mode in ("LA", "La", "PA"):
        return False
    if raw:
        return bits == 8 and tags.get(FILL, 1) == 1 and tags.get(PHOTOMETRIC) != WHITE_IS_ZERO
    return bits <= 8 or len(image.getbands()) == 1
