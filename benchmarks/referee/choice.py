"""The ends of each scheme.

A scheme of one's own gives its ends with two methods beside `send`:

    to_samples(pixels, link, snr_db, cbr) -> (N,) complex
    from_samples(samples, csi) -> (H, W, 3) uint8, or None where nothing can be shown
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.referee.air import Csi
from benchmarks.referee.digital import DigitalEnds
from benchmarks.referee.ends import Ends, Received, Sending
from benchmarks.referee.softcast import SoftCastEnds
from benchmarks.schemes.bounds import AtCapacity
from benchmarks.schemes.digital import Digital
from benchmarks.schemes.jscc import Jscc
from benchmarks.schemes.own import Own
from benchmarks.schemes.scheme import Scheme
from benchmarks.schemes.softcast import SoftCast
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import Pixels


class OwnEnds:
    """The ends of a scheme of one's own that has them."""

    def __init__(self, scheme: Any) -> None:
        self.scheme = scheme

    def transmit(self, pixels: Pixels, link: Link, snr_db: float, cbr: float) -> Sending:
        """See `Ends`."""
        samples = np.asarray(self.scheme.to_samples(pixels, link, snr_db, cbr))
        if samples.ndim != 1 or not np.iscomplexobj(samples):
            raise InputError(
                f"{self.scheme.name}: to_samples must return (N,) complex samples, not "
                f"{samples.dtype} {samples.shape}"
            )
        return Sending(samples.astype(np.complex64), None, None, False)

    def receive(self, samples: NDArray[np.complex64], csi: Csi | None) -> Received:
        """See `Ends`."""
        return Received(self.scheme.from_samples(samples, csi))


def by_commands(scheme: Scheme) -> bool:
    """Whether `witt send` and `witt receive` are its ends."""
    return isinstance(scheme, Jscc) and isinstance(scheme.weights, Path) and not scheme.adapt


def check_has_encoder(scheme: Scheme) -> None:
    """Refuse what sends nothing.

    Raises:
        InputError: it is a bound.
    """
    if isinstance(scheme, AtCapacity):
        raise InputError(f"{scheme.name}: a bound, not a system: it has no encoder to look at")


def ends_of(scheme: Scheme) -> Ends:
    """The ends of a scheme that does not go by commands.

    Raises:
        InputError: it has none.
    """
    check_has_encoder(scheme)
    if isinstance(scheme, Digital):
        return DigitalEnds(scheme)
    if isinstance(scheme, SoftCast):
        return SoftCastEnds()
    itself = scheme.itself if isinstance(scheme, Own) else scheme
    if hasattr(itself, "to_samples") and hasattr(itself, "from_samples"):
        return OwnEnds(itself)
    raise InputError(f"{scheme.name}: no separate encoder and decoder")
