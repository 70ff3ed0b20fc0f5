"""What Pillow gets wrong in PNG files: transparent colours, and what lies beside the pixels."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.witt.pictures.handmade import chunk, png, png_of
from witt.errors import InputError
from witt.pictures.images import Picture, read_image
from witt.pictures.png import essence

SIDE = 32
WHITE = "alpha composited on white"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.png"


def read(path: Path, data: bytes) -> Picture:
    path.write_bytes(data)
    return read_image(path)


def sides(picture: Picture) -> tuple[list[int], list[int]]:
    """The one colour of the left half and of the right."""
    colours = []
    for half in np.split(picture.pixels, 2, axis=1):
        assert (half == half[0, 0]).all()
        colours.append(half[0, 0].tolist())
    return colours[0], colours[1]


def rows(row: bytes) -> bytes:
    return (b"\0" + row) * SIDE


def test_a_key_of_4_bits_is_in_units_of_the_file(path: Path) -> None:
    row = bytes([0x55] * (SIDE // 4) + [0xAA] * (SIDE // 4))
    key = chunk(b"tRNS", struct.pack(">H", 5))
    assert sides(read(path, png(SIDE, SIDE, 4, 0, rows(row), key))) == ([255] * 3, [170] * 3)


def test_a_key_of_16_bits_has_16_bits(path: Path) -> None:
    """Equal high bytes are not enough."""
    keyed = struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)
    low = struct.pack(">HHH", 0x1200, 0x5600, 0x9A00)
    data = png(SIDE, SIDE, 16, 2, rows(keyed * 16 + low * 16), chunk(b"tRNS", keyed))
    assert sides(read(path, data)) == ([255] * 3, [0x12, 0x56, 0x9A])


@pytest.mark.parametrize("adam7", [False, True])
@pytest.mark.parametrize(
    ("kind", "depth"),
    [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (4, 8), (4, 16), (6, 8), (6, 16)],
)
def test_every_depth_with_and_without_a_key(path: Path, kind: int, depth: int, adam7: bool) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    top = (1 << depth) - 1
    samples = np.random.default_rng(depth).integers(0, top, (5, 7, channels), endpoint=True)
    levels = samples * (255 / top)
    if kind in (4, 6):
        colour, alpha = levels[..., :-1], levels[..., -1:] / 255
        expected = colour * alpha + 255 * (1 - alpha)
        picture = read(path, png_of(samples, depth, kind, adam7=adam7))
        assert np.abs(picture.pixels - expected).max() <= 2
        return
    picture = read(path, png_of(samples, depth, kind, adam7=adam7))
    assert np.abs(picture.pixels - levels).max() < 1  # of 16 bits a colour has the high ones
    assert WHITE not in picture.notes

    key = samples[2, 3].copy()
    if depth == 16:
        samples[1, 1] = key ^ 1
    transparent = (samples == key).all(axis=2, keepdims=True)
    expected = np.where(transparent, 255, samples * (255 / top))
    for stray in (0, 0xA5 << 8 if depth <= 8 else 0):  # bits beyond the depth do not count
        extra = chunk(b"tRNS", (key | stray).astype(">u2").tobytes())
        picture = read(path, png_of(samples, depth, kind, extra, adam7))
        assert np.abs(picture.pixels - expected).max() < 1
        assert (picture.pixels[2, 3] == 255).all()
        assert picture.notes[-1] == WHITE


PLAIN = bytes([200, 100, 50]) * SIDE
BOMB = zlib.compress(b"a" * 3_000_000)
XMP = b"XML:com.adobe.xmp\0"


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"note\0\0" + BOMB),
        chunk(b"iTXt", b"note\0\1\0\0\0" + BOMB),
        chunk(b"iTXt", XMP + b"\1\0\0\0" + BOMB),
        chunk(b"iTXt", XMP + b"\1\0\0\0not compressed"),
        chunk(b"tEXt", b"note\0" + b"a" * 1_000_000) * 70,
        chunk(b"tEXt", b"note\0text")[:-1] + b"\0",
        chunk(b"tIME", b"?"),
        chunk(b"pHYs", b"?"),
        chunk(b"sRGB", b""),
        chunk(b"acTL", b"?"),
        chunk(b"fcTL", b"?"),
        chunk(b"prVt", b"?"),
    ],
    ids=lambda extra: f"{extra[4:8].decode()}-{len(extra)}",
)
def test_what_lies_beside_the_pixels_does_not_cost_them(path: Path, extra: bytes) -> None:
    picture = read(path, png(SIDE, SIDE, 8, 2, rows(PLAIN), extra))
    assert sides(picture) == ([200, 100, 50], [200, 100, 50])
    assert picture.notes == ()


@pytest.mark.parametrize(
    "extra",
    [chunk(b"tRNS", b"\0"), chunk(b"tRNS", b"\0\1\0\2\0\3")[:-1] + b"\0"],
    ids=["short", "checksum"],
)
def test_a_damaged_key_is_refused(path: Path, extra: bytes) -> None:
    with pytest.raises(InputError, match="damaged"):
        read(path, png(SIDE, SIDE, 8, 2, rows(PLAIN), extra))


def test_the_orientation_in_a_text_is_kept(path: Path) -> None:
    row = bytes([200, 100, 50]) * 16 + bytes(3) * 16
    for text in (
        chunk(b"iTXt", XMP + b'\0\0\0\0<x tiff:Orientation="3"/>'),
        chunk(b"iTXt", XMP + b"\1\0\0\0" + zlib.compress(b'<x tiff:Orientation="3"/>')),
    ):
        picture = read(path, png(SIDE, SIDE, 8, 2, rows(row), text))
        assert sides(picture) == ([0] * 3, [200, 100, 50])


def test_a_plain_file_is_not_copied(path: Path) -> None:
    path.write_bytes(png(SIDE, SIDE, 8, 2, rows(PLAIN)))
    with path.open("rb") as file:
        assert essence(file).file is file
        assert file.tell() == 0
