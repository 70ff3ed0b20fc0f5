"""What a TIFF says of its numbers and Pillow does not heed: refused, or told to the reader."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageFile, TiffImagePlugin

from witt.errors import InputError

SUBFILE, BITS, PHOTOMETRIC, FILL, PLANAR, COLOURS, INKS = 254, 258, 262, 266, 284, 320, 332
SAMPLE_FORMAT, COEFFICIENTS, SUBSAMPLING, REFERENCE, DNG = 339, 529, 530, 532, 50706
WHITE_IS_ZERO, YCBCR = 0, 6
SIGNED = 2


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
        if tile[0] == "libtiff" and isinstance(tile[3], tuple) and str(tile[3][0]).startswith("F;"):
            image.tile[place] = ImageFile._Tile(*tile[:3], ("F;32NF", *tile[3][1:]))


def is_inverted(image: Image.Image) -> bool:
    """Whether 0 is white and Pillow does not turn that round: 16 bits and floats."""
    return isinstance(image, TiffImagePlugin.TiffImageFile) and (
        image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO and image.mode.startswith(("I", "F"))
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
        return "has its channels in planes of a kind that cannot be read; save it without planes"
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
