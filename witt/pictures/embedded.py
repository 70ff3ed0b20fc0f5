"""Colour profiles that Pillow leaves in the file: of BMP, JPEG 2000 and some JPEG files."""

from __future__ import annotations

import struct
from typing import IO, Any

from PIL import ExifTags

from witt.pictures import colour

FILE_HEADER, V5 = 14, 124  # bytes
SPACE, WHERE = 56, 112  # in the header: the colour space; where the profile is and its length
EMBEDDED = b"DEBM"  # 'MBED', least significant byte first
LARGEST = 1 << 26
RESTRICTED, ANY = 2, 3  # methods of a JPEG 2000 colour box that are ICC profiles


def of_bmp(file: IO[bytes]) -> bytes | None:
    """The profile of a version 5 header; None where there is none, empty where it is cut short."""
    file.seek(FILE_HEADER)
    header = file.read(V5)
    if len(header) < V5 or struct.unpack_from("<I", header)[0] < V5:
        return None
    if header[SPACE : SPACE + 4] != EMBEDDED:
        return None
    offset, length = struct.unpack_from("<II", header, WHERE)
    file.seek(FILE_HEADER + offset)
    data = file.read(min(length, LARGEST))
    return data if len(data) == length else b""


def of_jp2(file: IO[bytes]) -> bytes | None:
    """The profile of a JP2 header (ISO 15444-1, annex I.5.3.3); None where there is none."""
    file.seek(0)
    head = file.read(LARGEST).partition(b"jp2c")[0]
    at = head.find(b"colr")
    if at < 4 or len(head) < at + 7 or head[at + 4] not in (RESTRICTED, ANY):
        return None
    (length,) = struct.unpack_from(">I", head, at - 4)
    data = head[at + 7 : at - 4 + length]
    return data if len(data) == length - 11 else b""


def of_jpeg(image: Any) -> bytes | None:
    """Empty where some pieces of a profile are there, and Pillow could not put it together.

    Without any, Adobe RGB where the EXIF says so, as cameras do (DCF 2.0, option file "R03").
    """
    pieces = [data for name, data in getattr(image, "applist", ()) if name == "APP2"]
    if any(data.startswith(b"ICC_PROFILE\0") for data in pieces):
        return b""
    try:
        rule = image.getexif().get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    except Exception:  # damaged EXIF raises anything, and is told of elsewhere
        return None
    return colour.described(*colour.ADOBE_RGB) if rule == "R03" else None
