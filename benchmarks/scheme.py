"""What a sweep compares: anything that carries pictures over a channel in some channel uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from witt.images import Pixels
from witt.link import Link

GREY = 128  # all over a picture that was lost


class Sent(NamedTuple):
    """A picture as it was received.

    pixels: (H, W, 3) uint8; None where the scheme cannot send it at so few channel uses.
    channel_uses: complex symbols spent on it.
    info: plain values for the result file: ``header_bits``, ``payload_bytes``, ``file_bytes``,
        ``mode``, ``lost``, and for no pixels ``reason``, as they apply.
    """

    pixels: Pixels | None
    channel_uses: int
    info: dict[str, Any]


class Scheme(Protocol):
    """A named way to send pictures.

    name: as asked for on the command line, "witt" or "hevc+ldpc".
    family: schemes of one family share work on a picture (its encodes, a loaded model), so a
        sweep gives them to the same worker.
    """

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    def send(
        self,
        pictures: Sequence[Pixels],
        link: Link,
        snr_db: float,
        cbr: float,
        seeds: Sequence[int],
    ) -> list[Sent]:
        """Send pictures over one channel condition.

        Args:
            pictures: (H, W, 3) uint8, one or more; a scheme may join those of one call in a code
                block, and says so in `info`.
            link: the channel.
            snr_db: Es/N0 at unit average transmit power, dB.
            cbr: most channel uses over 3·H·W.
            seeds: one for each picture; the same seed gives the same result.
        """
        ...


def channel_uses(pixels: Pixels, cbr: float) -> int:
    """Complex symbols that a picture may take at a CBR."""
    return int(cbr * pixels.size * (1 + 1e-9))


class OneByOne:
    """A scheme that sends each picture by itself."""

    def send(
        self,
        pictures: Sequence[Pixels],
        link: Link,
        snr_db: float,
        cbr: float,
        seeds: Sequence[int],
    ) -> list[Sent]:
        """See `Scheme.send`."""
        pairs = zip(pictures, seeds, strict=True)
        return [self.send_one(pixels, link, snr_db, cbr, seed) for pixels, seed in pairs]

    def send_one(self, pixels: Pixels, link: Link, snr_db: float, cbr: float, seed: int) -> Sent:
        """Send one picture; arguments as of `Scheme.send`."""
        raise NotImplementedError
