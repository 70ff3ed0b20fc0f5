"""A source codec at the capacity of the channel: what no separate code can do better."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.codecs.search import Searched
from benchmarks.schemes.scheme import GREY, OneByOne, Sent, channel_uses
from channels import theory
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import Pixels

OUTAGE = 0.01  # of pictures, where one gain holds for a picture


def capacity(link: Link, snr_db: float) -> float:
    """Bits for each channel use that the channel carries.

    AWGN: Shannon. Fast fading: ergodic, known to the receiver. One Rayleigh gain a picture: the
    rate that all but `OUTAGE` of the gains support.

    Raises:
        InputError: there is no closed form here for this fading.
    """
    if link.channel == "awgn":
        return float(theory.awgn_capacity(snr_db))
    if link.channel in ("rayleigh", "rician") and link.fading == "fast":
        if link.channel == "rician":
            return float(theory.rician_ergodic_capacity(snr_db, link.k_factor_db))
        return float(theory.rayleigh_ergodic_capacity(snr_db))
    if link.channel == "rayleigh" and link.coherence is None:
        return float(theory.rayleigh_outage_capacity(snr_db, OUTAGE))
    raise InputError(
        f"no capacity for {link}: choose awgn, fast fading, or Rayleigh with one gain an image"
    )


class AtCapacity(OneByOne):
    """A codec whose bits arrive at the capacity of the channel.

    Args:
        codec: its name.
        searched: it, where other schemes may share what was encoded.
    """

    def __init__(self, codec: str, searched: Searched) -> None:
        self.name, self.family = f"{codec}+capacity", codec
        self.searched = searched

    def record(self) -> dict[str, Any]:
        """Plain values for the result file."""
        return {"codec": self.family, "outage": OUTAGE}

    def send_one(self, pixels: Pixels, link: Link, snr_db: float, cbr: float, seed: int) -> Sent:
        """See `Scheme.send`."""
        uses = channel_uses(pixels, cbr)
        try:
            rate = capacity(link, snr_db)
        except InputError as reason:
            return Sent(None, uses, {"reason": str(reason)})
        coded = self.searched.best(pixels, int(uses * rate / 8))
        if coded is None:
            least = f"{self.family} needs more than {int(uses * rate / 8)} bytes"
            return Sent(None, uses, {"reason": least})
        info = {
            "header_bits": 0,  # size and quality are in the payload
            "payload_bytes": coded.payload_bytes,
            "file_bytes": coded.file_bytes,
            "bits_per_use": rate,
        }
        lost = link.fades and link.fading == "block" and _drawn(seed) < OUTAGE
        received = np.full_like(coded.pixels, GREY) if lost else coded.pixels
        return Sent(received, uses, {**info, "lost": bool(lost)})


def _drawn(seed: int) -> float:
    return float(np.random.default_rng([seed, 0x0017]).random())
