"""Codecs by name, the CBR that they share, and a batch of pictures through one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

import channels
from benchmarks.analysis.layers import OUT, PICTURE, RECEIVED, SENT
from witt.contract import Codec, Encoded
from witt.errors import InputError
from witt.link.draws import draw_channel
from witt.report import file_sha256
from witt.store.weights import load_weights, resolve


class Named(NamedTuple):
    """A trained codec, and what a result file says of it."""

    model: Codec
    record: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.record["name"])


def named(name: str) -> Named:
    """A codec by the name or file of its weights.

    Raises:
        InputError: there are none, or the file is damaged.
    """
    path = resolve(name)
    return Named(load_weights(path)[0], {"name": name, "weights_sha256": file_sha256(path)})


def shared_cbr(codecs: Sequence[Named], asked: float | None) -> float | None:
    """The CBR asked for, or the highest that all serve; None where none of them has a limit.

    Raises:
        InputError: one does not serve it, or there is none that all serve.
    """
    served = [(each.name, each.model.served_cbr) for each in codecs]
    if asked is None:
        limits = [(name, cbr) for name, cbr in served if cbr is not None]
        if not limits:
            return None
        lowest, highest = max(cbr[0] for _, cbr in limits), min(cbr[1] for _, cbr in limits)
        if lowest > highest * (1 + 1e-6):
            each = ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in limits)
            raise InputError(f"there is no CBR that all serve: {each}")
        asked = highest
    for codec in codecs:
        codec.model.check_cbr(asked)
    return asked


def send(
    model: Codec,
    image: Tensor,
    channel: channels.Channel,
    snr_db: float,
    cbr: float | None,
    seeds: Sequence[int],
    look: Callable[[str, Tensor], None] = lambda *_: None,
) -> Encoded:
    """Pictures through both ends, without gradients.

    Args:
        model: both ends.
        image: (n, 3, H, W) in [0, 1].
        channel: between them.
        snr_db: of the channel.
        cbr: requested.
        seeds: of the channel, for each picture.
        look: is shown what goes in, over the channel and out.

    Returns:
        What was sent.
    """
    with torch.inference_mode():
        look(PICTURE, image)
        encoded = model.encode(image, channel.planned_db(snr_db), cbr)
        look(SENT, encoded.symbols)
        h, noise = draw_channel(channel, encoded.symbols.shape[1], seeds)
        out = channel(encoded.symbols, snr_db, h=h, noise=noise)
        received, error = channels.receive(channel, out)
        look(RECEIVED, received)
        look(OUT, model.decode(received, encoded.header, error))
    return encoded
