"""What the two ends of a scheme are: one makes samples, the other has only those."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.referee.air import Csi
from witt.link.conditions import Link
from witt.pictures.images import Pixels


class Sending(NamedTuple):
    """What a transmitter sends of a picture.

    samples: (N,) complex64.
    side_bits: that the receiver is told beside the picture's own, without their CRC; None where
        the transmitter does not say.
    side_symbols: that these take.
    framed: whether the samples are a frame of `witt.radio.frame`; else all of them count.
    note: what there is to say, such as the mode.
    """

    samples: NDArray[np.complex64]
    side_bits: int | None
    side_symbols: int | None
    framed: bool
    note: str = ""


class Received(NamedTuple):
    """What a receiver makes of samples: a picture, or None and why."""

    pixels: Pixels | None
    note: str = ""


class Ends(Protocol):
    """Both ends; they are used in two processes, each of which makes its own."""

    def transmit(self, pixels: Pixels, link: Link, snr_db: float, cbr: float) -> Sending:
        """The samples of a picture.

        Raises:
            InputError: the picture cannot be sent so.
        """
        ...

    def receive(self, samples: NDArray[np.complex64], csi: Csi | None) -> Received:
        """The picture of samples.

        Args:
            samples: (N,) as received.
            csi: the true gains; None: the receiver has to estimate what it needs.
        """
        ...
