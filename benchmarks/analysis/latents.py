"""What each latent channel sends, over SNR: what `witt analyse latents` computes.

{"format": …, "run": {command, commit, machine, …}, "dataset": {…}, "cbr": …,
 "snr_db": […], "model": {"name", "weights_sha256"},
 "share": [for each SNR the share of the transmit power of each latent channel, mean over pictures],
 "channels_of_90_percent": [for each SNR how many channels have 90 % of what all have]}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.analysis.examples import batches_of_pictures, tensor_of
from benchmarks.analysis.sending import Named
from benchmarks.sweep.dataset import Dataset

FORMAT = "witt-latents-1"
MOST_OF = 0.9


def carriers(share: Tensor, most_of: float = MOST_OF) -> int:
    """The least number of channels that have so much of the power of all (C,)."""
    ordered = share.double().sort(descending=True).values.cumsum(0)
    # The last of them may be a rounding error short of the whole.
    return int((ordered < most_of * ordered[-1] * (1 - 1e-9)).sum()) + 1


def latents(
    codec: Named,
    dataset: Dataset,
    snrs_db: Sequence[float],
    cbr: float | None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The power of each latent channel, as entries of the document.

    Args:
        codec: its transmitter.
        dataset: whole pictures.
        snrs_db: that the transmitter is told.
        cbr: requested.
        say: is told of the progress.

    Raises:
        InputError: the codec does not tell which symbols are whose.
    """
    shares = []
    for snr_db in snrs_db:
        of_pictures = []
        for pixels in batches_of_pictures(dataset):
            with torch.inference_mode():
                encoded = codec.model.encode(tensor_of(pixels), snr_db, cbr)
                of_pictures.append(codec.model.latent_power(encoded))
        shares.append(torch.cat(of_pictures).double().mean(0))
        say(f"{snr_db:g} dB: done")
    return {
        "model": codec.record,
        "snr_db": list(snrs_db),
        "share": [[float(f"{x:.5g}") for x in share.tolist()] for share in shares],
        "channels_of_90_percent": [carriers(share) for share in shares],
    }
