"""JPEG, JPEG 2000, WebP and AVIF by Pillow, each tuned for PSNR as far as Pillow lets one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, features

from benchmarks.codecs.base import SIZE_AND_QUALITY_BYTES, Encoded, Way, check_quality, refusal
from benchmarks.codecs.payload import avif_bytes, jpeg2000_bytes, jpeg_bytes, webp_bytes
from witt.errors import InputError
from witt.pictures.images import Pixels, check_pixels

# Bit/pixel of JPEG 2000 at quality 0, and its growth with each quality.
JPEG2000_LOWEST = 0.01
JPEG2000_STEP = 1.02
JPEG2000_RESOLUTIONS = 6
AV1_LARGEST_QUANTISER = 63

# What Pillow is told, and how the payload of the file is found.
Settings = tuple[Mapping[str, Any], Callable[[bytes], int]]


class PillowCodec:
    """A codec of Pillow.

    Of several ways to write the same decoded picture the one with the least payload is sent.
    """

    def __init__(
        self,
        name: str,
        file_format: str,
        feature: str,
        qualities: Sequence[int],
        ways: Callable[[Pixels, int], Sequence[Settings]],
    ) -> None:
        """Make one.

        Args:
            name: as asked for on the command line.
            file_format: Pillow's name of it.
            feature: Pillow's name of the library behind it.
            qualities: every setting, the worst picture first.
            ways: what to write, from the picture and the quality.
        """
        self.name = name
        self.qualities = qualities
        self._format = file_format
        self._feature = feature
        self._ways = ways

    def check(self) -> None:
        """Raise InputError where Pillow was built without it."""
        if not features.check(self._feature):
            raise InputError(
                f"{self.name}: this Pillow was built without it; "
                "pip install --upgrade --only-binary :all: 'pillow>=11.3'"
            )

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        """Encode and decode again; see `Codec.encode`."""
        payload, data = min(self.files(pixels, quality), key=lambda way: way.payload_bytes)
        decoded = self.read(data, pixels)
        return Encoded(decoded, payload + SIZE_AND_QUALITY_BYTES, len(data), quality)

    def files(self, pixels: Pixels, quality: int) -> list[Way]:
        """See `benchmarks.codecs.wire.Wired`."""
        check_pixels(pixels)
        check_quality(self, quality)
        self.check()
        picture = Image.fromarray(pixels)
        files = []
        try:
            for settings, count in self._ways(pixels, quality):
                buffer = BytesIO()
                picture.save(buffer, self._format, **settings)
                files.append(Way(count(buffer.getvalue()), buffer.getvalue()))
        except (OSError, ValueError) as error:
            raise refusal(self, pixels, error) from error
        return files

    def read(self, data: bytes, like: Pixels) -> Pixels:
        """See `benchmarks.codecs.wire.Wired`."""
        try:
            with Image.open(BytesIO(data), formats=[self._format]) as file:
                return np.array(file.convert("RGB"))
        except (OSError, ValueError) as error:
            raise refusal(self, like, error) from error


def jpeg() -> PillowCodec:
    """JPEG, 4:2:0, at libjpeg's qualities.

    Standard Huffman tables (best for tiny pictures), tables of its own, and progressive: all
    three decode to the same picture.
    """

    def ways(_: Pixels, quality: int) -> list[Settings]:
        base = {"quality": quality, "subsampling": "4:2:0"}

        def own(data: bytes) -> int:
            return jpeg_bytes(data, standard_tables=False)

        return [
            (base, lambda data: jpeg_bytes(data, standard_tables=True)),
            ({**base, "optimize": True}, own),
            ({**base, "optimize": True, "progressive": True}, own),
        ]

    return PillowCodec("jpeg", "JPEG", "jpg", range(1, 101), ways)


def jpeg2000() -> PillowCodec:
    """JPEG 2000, 9/7 wavelet, one layer, at 0.01·1.02^quality bit/pixel (0.01 to 7.9).

    A bare codestream; OpenJPEG's rate control meets the bits asked for, main header included,
    or up to a tenth less.
    """

    def ways(pixels: Pixels, quality: int) -> list[Settings]:
        ratio = 24 / (JPEG2000_LOWEST * JPEG2000_STEP**quality)
        settings = {
            "no_jp2": True,
            "irreversible": True,
            "mct": 1,
            "quality_mode": "rates",
            "quality_layers": [ratio],
            # A resolution of less than one pixel is refused.
            "num_resolutions": min(JPEG2000_RESOLUTIONS, min(pixels.shape[:2]).bit_length()),
        }
        return [(settings, jpeg2000_bytes)]

    return PillowCodec("jpeg2000", "JPEG2000", "jpg_2000", range(338), ways)


def webp() -> PillowCodec:
    """WebP, lossy (VP8, always 4:2:0), the slowest method: 0.3 dB better than the default."""

    def ways(_: Pixels, quality: int) -> list[Settings]:
        return [({"quality": quality, "method": 6}, webp_bytes)]

    return PillowCodec("webp", "WEBP", "webp", range(101), ways)


def avif() -> PillowCodec:
    """AVIF, 4:4:4, by libaom tuned for PSNR at speed 6; the quality is 63 - libavif's quantiser.

    Speed 4 gains 0.5 dB at the same size and takes 6 times as long.
    """

    def ways(_: Pixels, quality: int) -> list[Settings]:
        settings = {
            # Inverse of libavif's map: of its qualities 0 to 100, one for each quantiser.
            "quality": round(quality * 100 / AV1_LARGEST_QUANTISER),
            "codec": "aom",
            "speed": 6,
            "subsampling": "4:4:4",
            "max_threads": 1,
            "advanced": {"tune": "psnr"},
        }
        return [(settings, avif_bytes)]

    return PillowCodec("avif", "AVIF", "avif", range(AV1_LARGEST_QUANTISER + 1), ways)
