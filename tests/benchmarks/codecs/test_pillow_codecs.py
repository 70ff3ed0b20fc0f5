"""The codecs of Pillow: what is reported is what the file decodes to."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from benchmarks.codecs import codec
from benchmarks.codecs.pillow_codecs import PillowCodec
from witt.errors import InputError
from witt.pictures.images import Pixels

NAMES = ["jpeg", "jpeg2000", "webp", "avif"]
# Within 0.1 to 1.5 bit/pixel or so.
QUALITIES = {"jpeg": (10, 60), "jpeg2000": (150, 240), "webp": (10, 80), "avif": (15, 45)}


def psnr(x: Pixels, y: Pixels) -> float:
    # A hundredth keeps equal pictures finite.
    return float(10 * np.log10(255**2 / (np.mean((x.astype(float) - y) ** 2) + 0.01)))


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that Pillow writes."""
    files: list[bytes] = []
    save = Image.Image.save

    def spy(self: Image.Image, target: BytesIO, *args: Any, **settings: Any) -> None:
        save(self, target, *args, **settings)
        files.append(target.getvalue())

    monkeypatch.setattr(Image.Image, "save", spy)
    return files


@pytest.mark.parametrize("name", NAMES)
def test_pixels_and_size_are_those_of_the_file(
    name: str, pixels: Pixels, saved: list[bytes]
) -> None:
    own = codec(name)
    for quality in QUALITIES[name]:
        saved.clear()
        encoded = own.encode(pixels, quality)
        assert encoded.quality == quality
        assert encoded.file_bytes in [len(data) for data in saved]
        assert encoded.payload_bytes < encoded.file_bytes
        # Every way to write it decodes to the same picture.
        for data in saved:
            assert np.array_equal(encoded.pixels, np.array(Image.open(BytesIO(data))))


@pytest.mark.parametrize("name", NAMES)
def test_better_quality_is_larger_and_closer(name: str, pixels: Pixels) -> None:
    own = codec(name)
    low, high = (own.encode(pixels, quality) for quality in QUALITIES[name])
    assert low.payload_bytes < high.payload_bytes
    assert psnr(low.pixels, pixels) + 3 < psnr(high.pixels, pixels)
    assert psnr(high.pixels, pixels) > 25


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (3, 130), (33, 47)])
def test_any_size(name: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(90, 110, (*size, 3), dtype=np.uint8)
    own = codec(name)
    for quality in (own.qualities[0], own.qualities[-1]):
        encoded = own.encode(pixels, quality)
        assert encoded.pixels.shape == pixels.shape
        assert encoded.pixels.dtype == np.uint8
        assert 4 < encoded.payload_bytes < encoded.file_bytes
    assert psnr(encoded.pixels, pixels) > 30


def test_jpeg2000_meets_the_rate_of_its_quality(pixels: Pixels) -> None:
    for quality in (200, 230, 260):
        asked = 0.01 * 1.02**quality * pixels.shape[0] * pixels.shape[1] / 8
        size = codec("jpeg2000").encode(pixels, quality).file_bytes
        assert 0.9 * asked < size < 1.01 * asked + 16


def test_jpeg_sends_the_least_of_its_ways() -> None:
    """A tiny picture is cheapest with the tables that both ends know."""
    pixels = np.tile(np.arange(0, 240, 10, dtype=np.uint8)[:, None, None], (1, 24, 3))
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=50)
    encoded = codec("jpeg").encode(pixels, 50)
    assert encoded.payload_bytes == len(buffer.getvalue()) - 625 + 4
    assert encoded.file_bytes == len(buffer.getvalue())


def test_avif_has_a_setting_for_each_quantiser(pixels: Pixels) -> None:
    own = codec("avif")
    patch = pixels[:16, :16]
    sizes = [own.encode(patch, quality).payload_bytes for quality in range(0, 64, 3)]
    assert sizes[0] < sizes[-1] / 4
    # libavif's own map, of which ours is the inverse.
    settings = [round(quality * 100 / 63) for quality in own.qualities]
    assert [((100 - value) * 63 + 50) // 100 for value in settings] == list(range(63, -1, -1))


@pytest.mark.parametrize("name", NAMES)
def test_a_pillow_without_it_says_what_to_do(
    name: str, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec(name).check()
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(InputError, match=rf"{name}.*pip install"):
        codec(name).encode(pixels, 20)


def test_wrong_input_is_named(pixels: Pixels) -> None:
    with pytest.raises(ValueError, match="jpeg has no quality 101; there are 1 to 100"):
        codec("jpeg").encode(pixels, 101)
    with pytest.raises(ValueError, match="uint8"):
        codec("jpeg").encode(pixels.astype(np.float32), 50)  # type: ignore[arg-type]


def test_a_codec_that_fails_names_the_picture() -> None:
    def ways(pixels: Pixels, quality: int) -> list[Any]:
        return [({}, len)]

    broken = PillowCodec("broken", "WEBP", "webp", (1,), ways)
    with pytest.raises(InputError, match="broken: cannot code a picture of 20000x1"):
        broken.encode(np.zeros((1, 20000, 3), dtype=np.uint8), 1)
