"""The payload of a picture as bytes: what `benchmarks.codecs.payload` counts, sent and put back.

    picture ─► file ─► payload: size and quality (4 bytes), coded data ─► file ─► picture
                                                                           ▲
           a grey picture of that size and quality, coded the same way ────┘

What both ends know and nobody sends (the container, parameter sets, quantisation tables) follows
from the codec's settings, the size and the quality: the receiver takes it from a file of its own,
of a grey picture. So what is not counted is not needed, which the way back shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeGuard

import numpy as np

from benchmarks.codecs.base import SIZE_AND_QUALITY_BYTES, Codec, Way
from benchmarks.codecs.payload import (
    DHT,
    EOI,
    FRAME_OBU_TYPES,
    MARKERS_WITHOUT_LENGTH,
    SOS,
    boxes,
    heif_slices,
    obus,
    only_item,
    scan_end,
    webp_bytes,
)
from witt.errors import InputError
from witt.pictures.images import Pixels

LARGEST_SIDE, LARGEST_QUALITY = 2**12, 2**8 - 1
GREY = 128
RIFF_BYTES = 20  # in front of the data of a WebP file's only chunk
NAL_LENGTH_BYTES = 4


class Wired(Codec, Protocol):
    """A codec whose payload can be sent."""

    def files(self, pixels: Pixels, quality: int) -> list[Way]:
        """Every way to write a picture at a quality; the one of least payload is sent.

        Raises:
            InputError, ValueError: as `Codec.encode`.
        """
        ...

    def read(self, data: bytes, like: Pixels) -> Pixels:
        """The picture of a file.

        Args:
            data: the file.
            like: a picture of its size.

        Raises:
            InputError: it cannot be decoded.
        """
        ...


def is_wired(codec: Codec) -> TypeGuard[Wired]:
    """Whether the payload of a codec can be sent, not only counted."""
    return hasattr(codec, "files") and hasattr(codec, "read")


def pack(codec: Wired, pixels: Pixels, quality: int) -> bytes:
    """What is sent of a picture, `Encoded.payload_bytes` long.

    Raises:
        InputError: as of the codec; or a side does not fit 12 bits.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > LARGEST_SIDE:
        raise InputError(
            f"{codec.name}: a picture of {width}x{height} has a side above {LARGEST_SIDE}, which "
            "the 12 bits that are counted for it cannot say"
        )
    files = codec.files(pixels, quality)
    way = min(range(len(files)), key=lambda index: files[index].payload_bytes)
    # JPEG 2000 alone has more settings, and its decoder needs none of them.
    place = min(list(codec.qualities).index(quality), LARGEST_QUALITY)
    head = (height - 1) << 20 | (width - 1) << 8 | place
    return head.to_bytes(SIZE_AND_QUALITY_BYTES, "big") + _coded(files[way].data, way)


def unpack(codec: Wired, payload: bytes) -> Pixels:
    """The picture of a payload.

    Raises:
        InputError: it is none of this codec's.
    """
    head = int.from_bytes(payload[:SIZE_AND_QUALITY_BYTES], "big")
    height, width, place = (head >> 20) + 1, (head >> 8 & 0xFFF) + 1, head & 0xFF
    coded = payload[SIZE_AND_QUALITY_BYTES:]
    if not coded or place >= len(codec.qualities):
        raise InputError(f"{codec.name}: the payload is cut short or of another codec")
    grey = np.full((height, width, 3), GREY, np.uint8)
    templates = [way.data for way in codec.files(grey, codec.qualities[place])]
    try:
        return codec.read(_file(coded, templates), grey)
    except ValueError as error:  # InputError too
        raise InputError(f"{codec.name}: the payload cannot be decoded: {error}") from error


def _coded(data: bytes, way: int) -> bytes:
    """The coded data of a file, of whatever format.

    Args:
        data: the file.
        way: how it was written, in the order of `Wired.files`.
    """
    if data[:2] == b"\xff\xd8":
        return _jpeg_coded(data, standard_tables=way == 0)
    if data[:2] == b"\xff\x4f":
        return data[data.index(b"\xff\x90") : len(data) - 2 * data.endswith(b"\xff\xd9")]
    if data[:4] == b"RIFF":
        return data[RIFF_BYTES : RIFF_BYTES + webp_bytes(data)]
    item = only_item(data)
    if data[8:12] == b"avif":
        return b"".join(obu for kind, obu in obus(item) if kind in FRAME_OBU_TYPES)
    slices = heif_slices(data)
    if len(slices) != 1:
        raise ValueError(f"a picture in {len(slices)} slices, which cannot be told apart")
    return slices[0]


def _file(coded: bytes, templates: Sequence[bytes]) -> bytes:
    """The file of coded data, with all else from files that were written the same way."""
    template = templates[0]
    if template[:2] == b"\xff\xd8":
        return _jpeg_file(coded, templates)
    if template[:2] == b"\xff\x4f":
        return template[: template.index(b"\xff\x90")] + coded + b"\xff\xd9"
    if template[:4] == b"RIFF":
        chunk = len(coded).to_bytes(4, "little") + coded + bytes(len(coded) % 2)
        return b"RIFF" + (8 + len(chunk)).to_bytes(4, "little") + b"WEBPVP8 " + chunk
    if template[8:12] == b"avif":
        kept = (obu for kind, obu in obus(only_item(template)) if kind not in FRAME_OBU_TYPES)
        return _with_item(template, b"".join(kept) + coded)
    return _with_item(template, len(coded).to_bytes(NAL_LENGTH_BYTES, "big") + coded)


def _with_item(template: bytes, item: bytes) -> bytes:
    """The file with another item in the place of its only one, which is at its end."""
    before = only_item(template)
    table = next(box for box in boxes(template) if box.kind == b"iloc")
    holder = next(box for box in boxes(template) if box.kind == b"mdat")
    length = template[table.end - 4 : table.end]  # of the last extent of the last item
    if int.from_bytes(length, "big") != len(before) or not template.endswith(before):
        raise ValueError("the item of the file is not where it was expected")
    start = len(template) - len(before)
    data = bytearray(template[:start] + item)
    data[table.end - 4 : table.end] = len(item).to_bytes(4, "big")
    data[holder.start - 8 : holder.start - 4] = (8 + start - holder.start + len(item)).to_bytes(
        4, "big"
    )
    return bytes(data)


class _Scan(NamedTuple):
    """A scan of a JPEG file: what stands before its tables, those, its header, its data."""

    before: bytes
    tables: bytes
    header: bytes
    data: bytes


def _jpeg_coded(data: bytes, *, standard_tables: bool) -> bytes:
    """Tables unless they are the standard ones, and scans with a marker before each further one."""
    first, *others = _scans(data)
    coded = first.data if standard_tables else first.tables + first.data
    return coded + b"".join(scan.tables + _marker(SOS) + scan.data for scan in others)


def _jpeg_file(coded: bytes, templates: Sequence[bytes]) -> bytes:
    """Put the parts of `_jpeg_coded` between those of a grey picture's file of the same way."""
    standard, own, progressive = (_scans(template) for template in templates)
    place = 0
    parts: list[tuple[bytes, bytes]] = []
    coded += _marker(EOI)
    while coded[place : place + 2] != _marker(EOI):
        start = place
        while coded[place : place + 2] == _marker(DHT):
            place += 2 + int.from_bytes(coded[place + 2 : place + 4], "big")
        tables = coded[start:place]
        if parts:  # the marker before a further scan
            place += 2
        start, place = place, scan_end(coded, place)
        parts.append((tables, coded[start:place]))
    template = progressive if len(parts) > 1 else own if parts and parts[0][0] else standard
    if len(parts) != len(template):
        raise ValueError(f"{len(parts)} scans of a JPEG picture that has {len(template)}")
    file = b"\xff\xd8"
    for scan, (tables, data) in zip(template, parts, strict=True):
        file += scan.before + (tables or scan.tables * (template is standard)) + scan.header + data
    return file + _marker(EOI)


def _scans(data: bytes) -> list[_Scan]:
    """The scans of a JPEG file, in order."""
    scans, place, before, tables = [], 2, b"", b""
    while data[place + 1] != EOI:
        marker, start = data[place + 1], place
        place += 2
        if marker not in MARKERS_WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2], "big")
        segment = data[start:place]
        if marker == SOS:
            end = scan_end(data, place)
            scans.append(_Scan(before, tables, segment, data[place:end]))
            place, before, tables = end, b"", b""
        elif marker == DHT:
            tables += segment
        else:
            before += segment
    return scans


def _marker(kind: int) -> bytes:
    return bytes((0xFF, kind))
