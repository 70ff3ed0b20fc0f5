"""What fading takes from a picture's worth of symbols: usually, and where it is worse.

Where the gains of many symbols are alike no code has 1 failure in 1,000: side information is then
planned for what 1 picture in 20 has less of.
"""

from __future__ import annotations

import math
import pickle

import torch

import channels

OUTAGE = 0.05
PICTURES, SYMBOLS, SNR_DB = 200, 2048, 10.0

_known: dict[bytes, tuple[float, float]] = {}


def loss_of_fading(channel: channels.Channel) -> tuple[float, float]:
    """How far below its SNR the AWGN channel of the same capacity is, dB.

    Args:
        channel: that fades; its receiver knows the gain.

    Returns:
        For the usual picture, and for the one that only 1 in 20 is worse than.
    """
    try:
        key = pickle.dumps(channel)
    except (pickle.PicklingError, AttributeError, TypeError):  # of a class in a function, for one
        return _measured(channel)
    if key not in _known:
        _known[key] = _measured(channel)
    return _known[key]


def _measured(channel: channels.Channel) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        h, noise = channel.draw(PICTURES, SYMBOLS, generator=generator)
        x = torch.ones(PICTURES, SYMBOLS, dtype=torch.complex64)
        out = channel(x, SNR_DB, h=h, noise=noise)
        _, error = channels.receive(channel, out)
        if error is None:
            return 0.0, 0.0
        # With the MMSE estimate's error e the capacity is -log2 e.
        capacity = -error.expand(x.shape).double().clamp(1e-12, 1).log2().mean(dim=1)
        snr_db = 10 * (2**capacity - 1).clamp_min(1e-12).log10()
        usual, worse = snr_db.quantile(torch.tensor([0.5, OUTAGE], dtype=snr_db.dtype)).tolist()
    loss = SNR_DB - usual, SNR_DB - worse
    return loss if all(map(math.isfinite, loss)) else (0.0, 0.0)
