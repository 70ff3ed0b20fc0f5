"""What is counted of a picture's file is enough to have the picture again."""

import importlib.util

import numpy as np
import pytest

from benchmarks.codecs import codec
from benchmarks.codecs.wire import LARGEST_SIDE, is_wired, pack, unpack
from witt.errors import InputError
from witt.pictures.images import Pixels

WIRED = ["jpeg", "jpeg2000", "webp", "avif", "hevc", "hevc-420"]


def picture(height: int, width: int) -> Pixels:
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 60 * np.sin(x / (5 + c)) + 40 * np.cos(y / 9) for c in range(3)]
    noise = np.random.default_rng(0).normal(scale=12, size=(height, width, 3))
    return np.clip(np.stack(waves, axis=2) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", WIRED)
@pytest.mark.parametrize("size", [(96, 130), (32, 32)])
def test_the_counted_bytes_are_the_picture(name: str, size: tuple[int, int]) -> None:
    if name.startswith("hevc") and importlib.util.find_spec("pillow_heif") is None:
        pytest.skip("pillow-heif is not installed")
    one = codec(name)
    assert is_wired(one)
    pixels = picture(*size)
    last = len(one.qualities) - 1
    for place in (0, last // 5, last // 2, last):
        encoded = one.encode(pixels, one.qualities[place])
        payload = pack(one, pixels, one.qualities[place])
        assert len(payload) == encoded.payload_bytes
        # Of a codec that was made anew: nothing is kept between the two.
        other = codec(name)
        assert is_wired(other)
        np.testing.assert_array_equal(unpack(other, payload), encoded.pixels)


def test_every_way_of_jpeg_is_told_by_its_payload() -> None:
    """Tiny pictures take the standard tables, larger ones their own, large ones several scans."""
    one = codec("jpeg")
    assert is_wired(one)
    ways = set()
    for side, quality in ((8, 10), (128, 50), (512, 90)):
        pixels = picture(side, side)
        counts = [way.payload_bytes for way in one.files(pixels, quality)]
        ways.add(counts.index(min(counts)))
        np.testing.assert_array_equal(
            unpack(one, pack(one, pixels, quality)), one.encode(pixels, quality).pixels
        )
    assert ways == {0, 1, 2}


def test_bad_payloads() -> None:
    one = codec("jpeg")
    assert is_wired(one)
    payload = pack(one, picture(64, 64), 50)
    for bad in (b"", payload[:4], b"\0\0\0\xff" + payload[4:]):
        with pytest.raises(InputError, match="jpeg: the payload is cut short or of another codec"):
            unpack(one, bad)
    with pytest.raises(InputError, match="cannot be decoded"):
        unpack(one, payload[:4] + b"\xff\xc4\0\4" + payload[4:])
    large = np.zeros((LARGEST_SIDE + 1, 8, 3), np.uint8)
    with pytest.raises(InputError, match="12 bits"):
        pack(one, large, 50)
