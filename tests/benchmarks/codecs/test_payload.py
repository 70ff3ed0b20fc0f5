"""Counting what is sent, against files put together by hand and against what formats say."""

import struct
from io import BytesIO

import pytest
from PIL import Image

from benchmarks.codecs.payload import (
    avif_bytes,
    boxes,
    heif_bytes,
    jpeg2000_bytes,
    jpeg_bytes,
    webp_bytes,
)
from witt.pictures.images import Pixels


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def nal(kind: int, content: bytes, length_bytes: int = 4) -> bytes:
    unit = bytes((kind << 1, 1)) + content
    return len(unit).to_bytes(length_bytes, "big") + unit


def infe(item: int, kind: bytes) -> bytes:
    return box(b"infe", b"\2\0\0\0" + struct.pack(">HH", item, 0) + kind + b"\0")


def hvcc(length_bytes: int) -> bytes:
    return box(b"hvcC", bytes(21) + bytes((0xFC | length_bytes - 1, 0)))


def heif(
    items: list[tuple[bytes, list[bytes]]], *, idat: bool = False, length_bytes: int = 4
) -> bytes:
    """A file whose items lie in `mdat` (iloc version 0, extents from a base) or in `idat`."""
    entries = b"".join(infe(index + 1, kind) for index, (kind, _) in enumerate(items))
    iinf = box(b"iinf", bytes(4) + struct.pack(">H", len(items)) + entries)
    iprp = box(b"iprp", box(b"ipco", hvcc(length_bytes)))
    stored = b"".join(b"".join(extents) for _, extents in items)

    def meta(start: int) -> bytes:
        iloc = bytes((1 if idat else 0, 0, 0, 0, 0x44, 0x40)) + struct.pack(">H", len(items))
        place = 0
        for index, (_, extents) in enumerate(items):
            iloc += struct.pack(">H", index + 1) + (b"\0\1" if idat else b"")
            iloc += struct.pack(">HIH", 0, start, len(extents))
            for extent in extents:
                iloc += struct.pack(">II", place, len(extent))
                place += len(extent)
        content = box(b"hdlr", bytes(24)) + box(b"iloc", iloc) + iinf + iprp
        return box(b"meta", bytes(4) + content + (box(b"idat", stored) if idat else b""))

    head = box(b"ftyp", b"heic" + bytes(4))
    if idat:
        return head + meta(0)
    # A box with a size of 8 bytes, as large files have.
    mdat = struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 16 + len(stored))
    return head + meta(len(head) + len(meta(0)) + len(mdat)) + mdat + stored


SLICE = nal(20, bytes(50))  # 52 bytes
SEI = nal(39, bytes(30))
PARAMETERS = nal(33, bytes(40))


@pytest.mark.parametrize("idat", [False, True])
def test_slices_of_a_heif_file_built_by_hand(idat: bool) -> None:
    # Cut in the middle of a NAL unit: extents are joined before they are read.
    picture = SEI + SLICE + PARAMETERS + nal(1, bytes(5))
    data = heif(
        [(b"Exif", [bytes(99)]), (b"hvc1", [picture[:40], picture[40:]]), (b"hvc1", [SLICE])],
        idat=idat,
    )
    assert heif_bytes(data) == 52 + 7 + 52


def test_nal_lengths_have_the_size_that_hvcc_says() -> None:
    data = heif([(b"hvc1", [nal(20, bytes(9), 2) + nal(39, bytes(3), 2)])], length_bytes=2)
    assert heif_bytes(data) == 11


def test_frames_of_an_avif_file_built_by_hand() -> None:
    delimiter = bytes((2 << 3 | 2, 0))
    sequence = bytes((1 << 3 | 2, 10)) + bytes(10)
    # 200 in LEB128 is C8 01; the second has an extension byte and lasts to the end.
    frame = bytes((6 << 3 | 2, 0xC8, 0x01)) + bytes(200)
    last = bytes((4 << 3 | 4, 0)) + bytes(30)
    data = heif([(b"av01", [delimiter + sequence + frame + last])])
    assert avif_bytes(data) == 203 + 32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-5], "cut short"),
        (lambda data: data.replace(b"hvc1", b"jpeg"), "no item"),
        (lambda data: data.replace(SLICE[:4], b"\0\0\xff\xff"), "NAL unit"),
        (lambda data: b"", "no item"),
        (lambda data: b"\0\0", "cut short"),
        (lambda data: bytes(8) + data, "no item"),
        (lambda data: b"\0\0\0\3ftyp", "cut short or damaged"),
    ],
)
def test_a_damaged_heif_file_is_refused(change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        heif_bytes(change(heif([(b"hvc1", [SLICE])])))


def test_every_box_is_walked_over() -> None:
    kinds = [found.kind for found in boxes(heif([(b"hvc1", [SLICE])]))]
    assert kinds == [
        b"ftyp", b"meta", b"hdlr", b"iloc", b"iinf", b"iprp", b"ipco", b"hvcC", b"mdat",
    ]  # fmt: skip


def save(pixels: Pixels, file_format: str, **settings: object) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **settings)
    return buffer.getvalue()


def test_standard_jpeg_is_all_but_its_head(pixels: Pixels, others: Pixels) -> None:
    """SOI 2, APP0 18, two DQT of 69, SOF0 19, DHT 33+183+33+183, SOS 14; EOI 2."""
    files = [save(picture, "JPEG", quality=40) for picture in (pixels, others)]
    for data in files:
        assert jpeg_bytes(data, standard_tables=True) == len(data) - 623 - 2
        assert jpeg_bytes(data, standard_tables=False) == len(data) - 623 - 2 + 432
    # What is not counted is indeed the same for any picture of the size and quality.
    assert files[0][:623] == files[1][:623]


def test_jpeg_restart_markers_are_part_of_the_scan(pixels: Pixels) -> None:
    data = save(pixels, "JPEG", quality=40, restart_marker_blocks=2)
    assert b"\xff\xd3" in data
    # DRI has 6 bytes.
    assert jpeg_bytes(data, standard_tables=True) == len(data) - 623 - 6 - 2


def test_progressive_jpeg_counts_tables_scans_and_a_marker_between(pixels: Pixels) -> None:
    data = save(pixels, "JPEG", quality=40, progressive=True, optimize=True)
    scans = [place for place in range(len(data) - 1) if data[place : place + 2] == b"\xff\xda"]
    headers = sum(2 + struct.unpack(">H", data[at + 2 : at + 4])[0] for at in scans)
    # SOI, APP0, two DQT, SOF2 and EOI; of each scan its header, but a marker between two.
    fixed = 2 + 18 + 2 * 69 + 19 + 2 + headers - 2 * (len(scans) - 1)
    assert len(scans) == 10
    assert jpeg_bytes(data, standard_tables=False) == len(data) - fixed


def test_jpeg2000_is_the_one_tile_part(pixels: Pixels, others: Pixels) -> None:
    settings = {"no_jp2": True, "irreversible": True, "quality_layers": [30]}
    heads = []
    for picture in (pixels, others):
        data = save(picture, "JPEG2000", **settings)
        start = data.index(b"\xff\x90\x00\x0a")
        # SOT says how long its tile-part is.
        assert jpeg2000_bytes(data) == struct.unpack(">I", data[start + 6 : start + 10])[0]
        heads.append(data[:start])
    assert heads[0] == heads[1]


def test_webp_is_all_but_20_bytes(pixels: Pixels) -> None:
    for quality in range(10, 20):
        data = save(pixels, "WEBP", quality=quality)
        payload = webp_bytes(data)
        assert len(data) == 20 + payload + payload % 2


@pytest.mark.parametrize(
    ("count", "data"),
    [
        (lambda data: jpeg_bytes(data, standard_tables=True), b"\x89PNG"),
        (lambda data: jpeg_bytes(data, standard_tables=True), b"\xff\xd8\xff\xda\0\2abc"),
        (lambda data: jpeg_bytes(data, standard_tables=True), b"\xff\xd8\xff"),
        (jpeg2000_bytes, b"\0\0\0\x0cjP  "),
        (jpeg2000_bytes, b"\xff\x4f\xff\x51\0"),
        (webp_bytes, b"RIFF\0\0\0\0AVI "),
        (webp_bytes, b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0"),
        (webp_bytes, b"RIFF\0\0\0\0WEBPVP8 \xff\0\0\0"),
    ],
)
def test_other_files_are_refused(count, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a|short|missing|no VP8"):
        count(data)


def test_avif_leaves_out_only_what_is_fixed(pixels: Pixels, others: Pixels) -> None:
    """Of a file by libavif everything but boxes and sequence header is counted."""
    rest = []
    for picture in (pixels, others):
        data = save(picture, "AVIF", quality=40, max_threads=1)
        (mdat,) = [found for found in boxes(data) if found.kind == b"mdat"]
        payload = avif_bytes(data)
        rest.append(data[mdat.start : mdat.end - payload])
    assert rest[0] == rest[1]
    assert 0 < len(rest[0]) < 24
    # Temporal delimiter of no length, then the sequence header.
    assert rest[0][:2] == b"\x12\0"
    assert rest[0][2] >> 3 == 1
