"""VVC: what is counted of a stream, the way through its colours, and the encoder if it is there."""

import sys

import numpy as np
import pytest

from benchmarks.codecs import codec, vvc
from benchmarks.codecs.vvc import from_planes, to_planes, vvc_bytes
from witt.errors import InputError
from witt.pictures.images import Pixels


def unit(kind: int, size: int) -> bytes:
    """A NAL unit with its start code; its last byte is never zero."""
    return b"\0\0\0\1" + bytes([0, kind << 3 | 1]) + b"\7" * (size - 2)


def test_slices_and_what_belongs_to_the_picture_are_counted() -> None:
    sets = unit(14, 20) + unit(15, 50) + unit(16, 10) + unit(23, 30)  # VPS, SPS, PPS, SEI
    stream = sets + unit(19, 5) + unit(17, 40) + unit(8, 1000) + unit(18, 9)
    assert vvc_bytes(stream) == 5 + 40 + 1000 + 9
    with pytest.raises(ValueError, match="no slice"):
        vvc_bytes(sets)


def test_colours_come_back(pixels: Pixels) -> None:
    """Grey pictures within the rounding of 10 bits; smooth colours too, at half the resolution."""
    height, width = 64, 96
    grey = np.repeat(pixels[:height, :width, :1], 3, axis=2)
    np.testing.assert_array_equal(from_planes(to_planes(grey), *grey.shape[:2]), grey)
    y, x = np.mgrid[0:height, 0:width] / 96
    smooth = np.stack([255 * y, 200 * x, 90 + 80 * x * y], axis=2).astype(np.uint8)
    back = from_planes(to_planes(smooth), height, width)
    assert np.abs(back[4:-4, 4:-4].astype(int) - smooth[4:-4, 4:-4]).max() <= 2
    with pytest.raises(ValueError, match="samples came back for 96x64"):
        from_planes(to_planes(smooth)[:-2], height, width)


def test_without_the_package_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    vvc._program.cache_clear()
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        codec("vvc").check()
    vvc._program.cache_clear()


def test_more_quality_is_more_bits_and_less_error(pixels: Pixels) -> None:
    pytest.importorskip("imageio_ffmpeg")
    own = codec("vvc")
    own.check()
    picture = pixels[:61, :83]
    low, high = (own.encode(picture, quality) for quality in (25, 40))
    assert low.pixels.shape == high.pixels.shape == picture.shape
    assert low.payload_bytes < high.payload_bytes < high.file_bytes + 4
    errors = [((one.pixels.astype(float) - picture) ** 2).mean() for one in (low, high)]
    assert errors[1] < errors[0]
    (tile,) = (own.encode(pixels[:32, :32], 40),)
    assert tile.pixels.shape == (32, 32, 3)
