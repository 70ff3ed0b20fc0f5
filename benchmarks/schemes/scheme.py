"""What a sweep compares: anything that carries pictures over a channel in some channel uses."""

from __future__ import annotations

import operator
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks.labels import cbr_label
from witt.errors import InputError
from witt.link.conditions import Link
from witt.metrics.quality import psnr
from witt.pictures.images import Pixels, to_tensor
from witt.side_information import LONGEST_HEADER

GREY = 128  # all over a picture that was lost
PROBE_SIDE, PROBE_SNR_DB = 64, 10.0


class Sent(NamedTuple):
    """A picture as it was received.

    pixels: (H, W, 3) uint8; None where the scheme cannot send it at so few channel uses.
    channel_uses: complex symbols spent on it, counted from what is sent where symbols are.
    info: plain values for the result file: ``header_bits``, ``payload_bytes``, ``file_bytes``,
        ``mode``, ``lost``, ``papr_db`` (of the symbols, or of the constellation of a scheme that
        draws block losses only), and for no pixels ``reason``, as they apply. With ``uses_on_top``,
        those of a coded header, a picture may exceed what the CBR allows.
    """

    pixels: Pixels | None
    channel_uses: int
    info: dict[str, Any]


class Scheme(Protocol):
    """A named way to send pictures.

    name: as asked for on the command line, "witt_light" or "hevc+ldpc".
    family: schemes of one family share work on a picture (its encodes, a loaded model), so a
        sweep gives them to the same worker.
    """

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    def record(self) -> dict[str, Any]:
        """What its results depend on, as plain values: a hash of its weights, its parameters.

        Results of another record are not continued.
        """
        ...

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


def send_checked(
    scheme: Scheme,
    pictures: Sequence[Pixels],
    link: Link,
    snr_db: float,
    cbr: float,
    seeds: Sequence[int],
) -> list[Sent]:
    """`Scheme.send`, with what came back looked at.

    A picture that took more channel uses than the CBR allows is none, with the reason; and so is
    one that is said to take none. A header that comes on top of a CBR may exceed it. Every missing
    picture has a reason.

    Raises:
        TypeError: the scheme does not keep to `Scheme`; and whatever it raises itself.
    """
    sent = scheme.send(pictures, link, snr_db, cbr, seeds)
    if len(sent) != len(pictures):
        raise TypeError(f"it returned {len(sent)} results for {len(pictures)} pictures")
    return [_checked(*pair, cbr) for pair in zip(pictures, sent, strict=True)]


def _checked(original: Pixels, sent: Sent, cbr: float) -> Sent:
    uses = operator.index(sent.channel_uses)  # whole numbers only
    if sent.pixels is None:
        return sent._replace(info={"reason": "it gives no reason", **sent.info})
    if sent.pixels.dtype != np.uint8 or sent.pixels.shape != original.shape:
        raise TypeError(
            f"it returned {sent.pixels.dtype} {sent.pixels.shape} for uint8 {original.shape}"
        )
    most = channel_uses(original, cbr)
    on_top = operator.index(sent.info.get("uses_on_top", 0))
    if 0 < uses <= most + min(on_top, LONGEST_HEADER):
        return sent
    reason = f"it takes {uses:,} channel uses, where CBR {cbr_label(cbr)} allows {most:,}"
    return sent._replace(pixels=None, info={**sent.info, "reason": reason})


def own_record(scheme: Scheme) -> dict[str, Any]:
    """What a scheme says that its results depend on.

    Raises:
        InputError: nothing: results of another version of it could not be told apart.
    """
    describe = getattr(scheme, "record", None)
    told = dict(describe()) if callable(describe) else {}
    if not told:
        raise InputError(
            f"{scheme.name}: does not say what its results depend on: give it record(), which "
            "returns plain values, such as a hash of its weights"
        )
    return told


def probe(scheme: Scheme, cbr: float) -> dict[str, float]:
    """What a scheme makes of a small picture: part of its record, for it follows the code too.

    Weights alone would not tell that the code around them has changed since.

    Args:
        scheme: deterministic, for one seed.
        cbr: that it serves.
    """
    y, x = np.mgrid[0:PROBE_SIDE, 0:PROBE_SIDE]
    waves = [128 + 50 * np.sin(x / (3 + 2 * c)) + 50 * np.cos(y / (9 - 2 * c)) for c in range(3)]
    pixels = np.stack(waves, axis=2).astype(np.uint8)
    (sent,) = scheme.send([pixels], Link(), PROBE_SNR_DB, cbr, [0])
    if sent.pixels is None:
        return {}
    return {"probe_psnr_db": round(float(psnr(to_tensor(sent.pixels), to_tensor(pixels))), 4)}


def what_failed(error: Exception) -> str:
    """An error in a line; where it is no word to the user, with its kind and place."""
    said = " ".join(str(error).split())
    if isinstance(error, InputError):
        return said
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {said}{where}"


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
