"""What a source codec is to the digital chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from witt.errors import InputError
from witt.pictures.images import Pixels

# Width and height in 12 bits each, quality and way of coding in 8.
SIZE_AND_QUALITY_BYTES = 4


class Encoded(NamedTuple):
    """A picture that went through a codec.

    pixels: (H, W, 3) uint8, as decoded from the whole file.
    payload_bytes: what a transmitter has to send: the coded data of `benchmarks.codecs.payload`
        and `SIZE_AND_QUALITY_BYTES`.
    file_bytes: the whole file, for comparison.
    quality: the quality it was encoded at.
    """

    pixels: Pixels
    payload_bytes: int
    file_bytes: int
    quality: int


class Way(NamedTuple):
    """One way to write a picture.

    payload_bytes: what has to be sent of the file, without `SIZE_AND_QUALITY_BYTES`.
    data: the file.
    """

    payload_bytes: int
    data: bytes


class Codec(Protocol):
    """A source codec with a quality setting.

    name: as asked for on the command line.
    qualities: every setting, the worst picture first.
    """

    @property
    def name(self) -> str: ...

    @property
    def qualities(self) -> Sequence[int]: ...

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        """Encode and decode again.

        Args:
            pixels: (H, W, 3) uint8.
            quality: one of `qualities`.

        Raises:
            InputError: the codec is not usable here (see `check`), or fails on this picture.
            ValueError: the pixels are not (H, W, 3) uint8, or there is no such quality.
        """
        ...

    def check(self) -> None:
        """Raise InputError with what to install where a package or program is missing."""
        ...


def check_quality(codec: Codec, quality: int) -> None:
    """Raise ValueError unless the codec has the quality."""
    if quality not in codec.qualities:
        ends = f"{codec.qualities[0]} to {codec.qualities[-1]}" if codec.qualities else "none"
        raise ValueError(f"{codec.name} has no quality {quality}; there are {ends}")


def refusal(codec: Codec, pixels: Pixels, reason: object) -> InputError:
    """What to raise where a codec fails on a picture."""
    size = f"{pixels.shape[1]}x{pixels.shape[0]}"
    return InputError(f"{codec.name}: cannot code a picture of {size}: {reason}")
