"""Symbols as the samples of a frame, and received samples as estimates of symbols.

The receiver is that of one carrier: it finds the preamble, takes the frequency offset away and
estimates gain and noise from the pilots. With the channel's true gains it needs none of that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from witt.errors import InputError
from witt.radio import frame
from witt.radio.estimation import estimate
from witt.radio.synchronisation import find_frame

FAINTEST = 1e-12  # of |h|²


class Csi(NamedTuple):
    """The channel's true gain of each sample, (N,), and its noise variance."""

    h: NDArray[np.complex64]
    noise_var: float


class Equalised(NamedTuple):
    """Unbiased estimates of symbols, (N,) complex64, and their error variances, (N,)."""

    x_hat: Tensor
    noise_var: Tensor


def to_samples(symbols: Tensor) -> NDArray[np.complex64]:
    """The samples of a frame of these symbols, (N,)."""
    return frame.assemble(symbols.numpy())


def symbols_in(samples: int) -> int:
    """How many symbols a frame of so many samples holds, preamble and pilots not counted."""
    # A pilot is before each block of symbols and one behind the last.
    rest = samples - frame.PREAMBLE - 1
    return rest - -(-rest // (frame.SPACING + 1))


def to_symbols(samples: NDArray[np.complex64], csi: Csi | None) -> Equalised:
    """The symbols of a frame that fills what was received from its preamble on.

    Args:
        samples: (N,) as received.
        csi: the true gains, from the first sample on; None: the receiver estimates them.

    Raises:
        InputError: there is no frame in the samples.
    """
    if csi is None:
        start = find_frame(samples)
        if start is None:
            raise InputError("no preamble in the samples")
        turned = np.exp(-2j * np.pi * start.frequency * np.arange(len(samples)))
        samples = (samples * turned).astype(np.complex64)[start.place :]
    count = symbols_in(len(samples))
    if count < 1:
        raise InputError("no symbol behind the preamble")
    places = frame.layout(count)
    y = samples[places.symbols].astype(np.complex128)
    if csi is None:
        gains = estimate(samples, places)
        h, noise_var = gains.h, gains.noise_var
    else:
        h, noise_var = csi.h[places.symbols].astype(np.complex128), csi.noise_var
    power = np.maximum(np.abs(h) ** 2, FAINTEST)
    x_hat = torch.from_numpy((y * h.conj() / power).astype(np.complex64))
    return Equalised(x_hat, torch.from_numpy((noise_var / power).astype(np.float32)))
