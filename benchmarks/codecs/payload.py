"""How much of a picture file a transmitter has to send.

A file says much that both ends of a link know: what container it is, and parameters that follow
from the codec's settings, the picture's size and its quality. Those are not counted here; size
and quality are the `SIZE_AND_QUALITY_BYTES` that every codec adds. By format:

- HEIF: the coded slices (VCL NAL units with their headers) of all items. Not counted: the boxes,
  the length in front of each NAL unit (a slice ends by its own trailing bits), parameter sets
  (in `hvcC` or not) and SEI.
- AVIF: the OBUs that hold frame data, with their headers. Not counted: the boxes with `av1C`,
  sequence header, temporal delimiter and metadata.
- JPEG: the entropy-coded scans, the Huffman tables where they are not the standard ones of the
  standard's annex K (a DHT segment counts whole), and 2 bytes for each scan after the first, the
  marker that ends the one before. Not counted: quantisation tables (they follow from the
  quality), frame and scan headers (they follow from the size and the way of coding).
- JPEG 2000: the codestream from the first tile-part on (SOT, its packets). Not counted: the main
  header (size, coding and quantisation parameters, a comment) and the end marker.
- WebP: the data of the `VP8 ` chunk. Not counted: the RIFF container.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

CONTAINERS = frozenset((b"meta", b"iprp", b"ipco", b"moov"))
# Boxes with a version and flags before what is in them.
FULL_CONTAINERS = frozenset((b"meta",))
CODED_ITEMS = frozenset((b"hvc1", b"av01"))
LAST_VCL_NAL_TYPE = 31
# Of AV1, section 6.2.2: frame header, tile group, frame.
FRAME_OBU_TYPES = frozenset((3, 4, 6))
MARKERS_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xDA)))
DHT, SOS, EOI = 0xC4, 0xDA, 0xD9


class Box(NamedTuple):
    """A box of ISO/IEC 14496-12: its type, and where its content is."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """All boxes, those inside the containers that matter here included, in file order.

    Raises:
        ValueError: a box is longer than what holds it.
    """
    end = len(data) if end is None else end
    while start < end:
        size, head = _integer(data, start, 4), 8
        kind = data[start + 4 : start + 8]
        if size == 1:
            size, head = _integer(data, start + 8, 8), 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise ValueError(f"box {kind!r} at byte {start} is cut short or damaged")
        box = Box(kind, start + head, start + size)
        yield box
        if kind in CONTAINERS:
            yield from boxes(data, box.start + 4 * (kind in FULL_CONTAINERS), box.end)
        start += size


def heif_bytes(data: bytes) -> int:
    """Bytes of the coded slices of a HEIF file with HEVC.

    Raises:
        ValueError: the file is not one, or is damaged.
    """
    return sum(map(len, heif_slices(data)))


def heif_slices(data: bytes) -> list[bytes]:
    """The coded slices of a HEIF file with HEVC: NAL units with their headers.

    Raises:
        ValueError: the file is not one, or is damaged.
    """
    length_bytes = 4
    for box in boxes(data):
        if box.kind == b"hvcC":
            length_bytes = (data[box.start + 21] & 3) + 1
    slices = []
    for item in _coded_items(data):
        place = 0
        while place < len(item):
            size = _integer(item, place, length_bytes)
            place += length_bytes
            if size < 2 or place + size > len(item):
                raise ValueError("a NAL unit is cut short or damaged")
            if item[place] >> 1 & 0x3F <= LAST_VCL_NAL_TYPE:
                slices.append(item[place : place + size])
            place += size
    return slices


def avif_bytes(data: bytes) -> int:
    """Bytes of the OBUs with frame data of an AVIF file.

    Raises:
        ValueError: the file is not one, or is damaged.
    """
    items = _coded_items(data)
    return sum(len(obu) for item in items for kind, obu in obus(item) if kind in FRAME_OBU_TYPES)


def obus(item: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and bytes, the header included, of each OBU of AV1.

    Raises:
        ValueError: one is cut short.
    """
    place = 0
    while place < len(item):
        head = 2 if item[place] & 4 else 1
        if item[place] & 2:
            size, length_bytes = _leb128(item, place + head)
            head += length_bytes
        else:
            size = len(item) - place - head
        if place + head + size > len(item):
            raise ValueError("an OBU is cut short or damaged")
        yield item[place] >> 3 & 0xF, item[place : place + head + size]
        place += head + size


def only_item(data: bytes) -> bytes:
    """The coded picture of a HEIF or AVIF file.

    Raises:
        ValueError: there is none, or more than one.
    """
    items = _coded_items(data)
    if len(items) != 1:
        raise ValueError(f"the file has {len(items)} coded pictures, not one")
    return items[0]


def jpeg_bytes(data: bytes, *, standard_tables: bool) -> int:
    """Bytes of the entropy-coded scans of a JPEG file and of what they need.

    Args:
        data: the file.
        standard_tables: its Huffman tables are those of annex K, which need not be sent.

    Raises:
        ValueError: the file is not one, or is damaged.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG file: it does not start with SOI")
    place, total, scans = 2, 0, 0
    while True:
        if data[place : place + 1] != b"\xff" or place + 2 > len(data):
            raise ValueError(f"a JPEG marker is missing at byte {place}")
        marker = data[place + 1]
        if marker == EOI:
            return total + 2 * max(scans - 1, 0)
        segment = 2
        if marker not in MARKERS_WITHOUT_LENGTH:
            segment += _integer(data, place + 2, 2)
        if marker == DHT and not standard_tables:
            total += segment
        place += segment
        if marker == SOS:
            end = scan_end(data, place)
            total += end - place
            scans += 1
            place = end


def jpeg2000_bytes(data: bytes) -> int:
    """Bytes of the tile-parts of a JPEG 2000 codestream (not in a JP2 container).

    Raises:
        ValueError: the file is not one, or is damaged.
    """
    if data[:2] != b"\xff\x4f":
        raise ValueError("not a JPEG 2000 codestream: it does not start with SOC")
    place = 2
    while data[place : place + 2] != b"\xff\x90":
        if data[place : place + 1] != b"\xff":
            raise ValueError(f"a JPEG 2000 marker is missing at byte {place}")
        place += 2 + _integer(data, place + 2, 2)
    return len(data) - place - 2 * data.endswith(b"\xff\xd9")


def webp_bytes(data: bytes) -> int:
    """Bytes of the `VP8 ` chunk of a WebP file.

    Raises:
        ValueError: the file is not one, has no lossy picture, or is damaged.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise ValueError("not a WebP file: it does not start with RIFF and WEBP")
    place = 12
    while place < len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if place + 8 + size > len(data):
            raise ValueError("a WebP chunk is cut short")
        if data[place : place + 4] == b"VP8 ":
            return size
        place += 8 + size + size % 2
    raise ValueError("the WebP file has no VP8 chunk")


def _coded_items(data: bytes) -> list[bytes]:
    """The data of each item with coded pictures."""
    kinds: dict[int, bytes] = {}
    locations: list[tuple[int, list[tuple[int, int]], int]] = []
    idat = None
    for box in boxes(data):
        if box.kind == b"iinf":
            kinds = _item_kinds(data, box)
        elif box.kind == b"iloc":
            locations = _item_locations(data, box)
        elif box.kind == b"idat":
            idat = box
    items = []
    for item, extents, construction in locations:
        if kinds.get(item) not in CODED_ITEMS:
            continue
        if (construction == 1 and idat is None) or construction > 1:
            raise ValueError(f"item {item} is stored in a way that is not known here")
        base = idat.start if construction == 1 and idat is not None else 0
        pieces = [data[base + offset : base + offset + size] for offset, size in extents]
        if any(len(piece) != size for piece, (_, size) in zip(pieces, extents, strict=True)):
            raise ValueError(f"item {item} is cut short")
        items.append(b"".join(pieces))
    if not items:
        raise ValueError("the file has no item with a picture coded by HEVC or AV1")
    return items


def _item_kinds(data: bytes, box: Box) -> dict[int, bytes]:
    """The type of each item, of the `infe` boxes in `iinf`."""
    count_bytes = 2 if data[box.start] == 0 else 4
    kinds = {}
    for entry in boxes(data, box.start + 4 + count_bytes, box.end):
        version = data[entry.start]
        # Of version 2 the number of an item has 2 bytes, of version 3 it has 4; then 2 more.
        if entry.kind == b"infe" and version >= 2:
            number_bytes = 2 if version == 2 else 4
            place = entry.start + 4
            kind = data[place + number_bytes + 2 : place + number_bytes + 6]
            kinds[_integer(data, place, number_bytes)] = kind
    return kinds


def _item_locations(data: bytes, box: Box) -> list[tuple[int, list[tuple[int, int]], int]]:
    """Number, extents (offset and size) and construction method of each item, of `iloc`."""
    version = data[box.start]
    sizes = data[box.start + 4], data[box.start + 5]
    offset_bytes, length_bytes, base_bytes = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_bytes = sizes[1] & 15 if version in (1, 2) else 0
    number_bytes = 4 if version == 2 else 2
    place = box.start + 6

    def take(count: int) -> int:
        nonlocal place
        place += count
        if place > box.end:
            raise ValueError("the iloc box is cut short")
        return _integer(data, place - count, count)

    items = []
    for _ in range(take(number_bytes)):
        number = take(number_bytes)
        construction = take(2) & 15 if version in (1, 2) else 0
        take(2)  # the file that holds it: this one
        base = take(base_bytes)
        extents = []
        for _ in range(take(2)):
            take(index_bytes)
            extents.append((base + take(offset_bytes), take(length_bytes)))
        items.append((number, extents, construction))
    return items


def scan_end(data: bytes, place: int) -> int:
    """Where the entropy-coded data that begins here ends: at a marker other than a restart."""
    while True:
        place = data.find(b"\xff", place)
        if place < 0 or place + 1 >= len(data):
            raise ValueError("a JPEG scan is cut short")
        if data[place + 1] != 0 and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 2


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """A number of AV1 in 7 bits a byte, and how many bytes it has."""
    value = 0
    for index, byte in enumerate(data[place : place + 8]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, index + 1
    raise ValueError("the size of an OBU is damaged")


def _integer(data: bytes, place: int, count: int) -> int:
    if place + count > len(data):
        raise ValueError("the file is cut short")
    return int.from_bytes(data[place : place + count], "big")
