"""Symbols as the samples of a frame, and received samples as estimates of symbols."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from witt.errors import InputError
from witt.radio.frame import PREAMBLE, SPACING
from witt.radio.reception import OwnEstimates, Reception, TrueGains

FAINTEST = 1e-12  # of |h|²


class Csi(NamedTuple):
    """The channel's true gain of each sample, (N,), and its noise variance."""

    h: NDArray[np.complex64]
    noise_var: float


class Equalised(NamedTuple):
    """Unbiased estimates of symbols, (N,) complex64, and their error variances, (N,)."""

    x_hat: Tensor
    noise_var: Tensor


def symbols_in(samples: int) -> int:
    """How many symbols a frame of so many samples holds, preamble and pilots not counted."""
    # A pilot is before each block of symbols and one behind the last.
    rest = samples - PREAMBLE - 1
    return max(rest - -(-rest // (SPACING + 1)), 0)


def reception_of(samples: NDArray[np.complex64], csi: Csi | None) -> Reception:
    """The frame in what was received.

    Args:
        samples: (N,).
        csi: the true gains; None: the receiver estimates what it needs.

    Raises:
        InputError: there is no frame in the samples.
    """
    if csi is not None:
        return TrueGains(samples, csi.h, csi.noise_var)
    found = OwnEstimates.find(samples)
    if found is None:
        raise InputError("no preamble in the samples")
    return found


def equalised(reception: Reception, count: int, *, whole: bool) -> Equalised:
    """The first symbols of a frame, divided by their gains; fewer where the recording ends.

    Args:
        reception: the frame.
        count: how many.
        whole: whether the frame ends with them.
    """
    y, h, noise_var = reception.hear(count, whole)
    power = np.maximum(np.abs(h) ** 2, FAINTEST)
    x_hat = torch.from_numpy((y * h.conj() / power).astype(np.complex64))
    error = torch.from_numpy((noise_var / power).astype(np.float32))
    return Equalised(x_hat, error.expand(len(x_hat)))
