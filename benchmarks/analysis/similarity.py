"""How alike the layers of two codecs are, over SNR: what `witt analyse similarity` computes.

{"format": …, "run": {command, commit, machine, …}, "dataset": {…}, "crop": side, "crops": number,
 "channel": {…}, "cbr": …, "seed": 0, "snr_db": […],
 "models": [{"name", "weights_sha256", "layers": [{"name", "shape"}, …]}, … two],
 "cka": [a matrix for each SNR, a row for each layer of the first model]}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from benchmarks.analysis.cka import LEAST, Alikeness
from benchmarks.analysis.examples import Crops, batches_of_crops, seeds_of, tensor_of
from benchmarks.analysis.layers import Look, Send, grams_of, layers_of
from benchmarks.analysis.sending import Named, send
from witt.errors import InputError
from witt.link.conditions import Link

FORMAT = "witt-similarity-1"


def similarity(
    codecs: Sequence[Named],
    crops: Crops,
    link: Link,
    snrs_db: Sequence[float],
    cbr: float | None,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Linear CKA between all layers of two codecs, as entries of the document.

    The two meet noise of their own: noise that both receive would make their decoders alike. A
    codec and itself meet the same.

    Args:
        codecs: two.
        crops: the examples.
        link: the channel.
        snrs_db: its SNRs.
        cbr: requested, of both.
        seed: of the noise.
        say: is told of the progress.

    Raises:
        InputError: too few crops, or a codec of which nothing is seen.
    """
    same = codecs[0].record["weights_sha256"] == codecs[1].record["weights_sha256"]
    batches = batches_of_crops(crops, LEAST)
    repeats = (0, 0 if same else 1)

    def through(codec: Named, snr_db: float, seeds: Sequence[int]) -> Send:
        def sent(pictures: Tensor, look: Look) -> None:
            send(codec.model, pictures, link.module(), snr_db, cbr, seeds[: len(pictures)], look)

        return sent

    layers = [
        layers_of(each.model, through(each, snrs_db[0], range(3)), crops.side) for each in codecs
    ]
    for codec, found in zip(codecs, layers, strict=True):
        if not found:
            raise InputError(f"{codec.name}: no layer of it differs from picture to picture")
    matrices = []
    for snr_db in snrs_db:
        alike = Alikeness()
        for pixels in batches:
            pictures = tensor_of(pixels)
            seeds = [seeds_of(pixels, seed, repeat) for repeat in repeats]
            grams = [
                grams_of(codec.model, through(codec, snr_db, own), pictures, named)
                for codec, own, named in zip(codecs, seeds, layers, strict=True)
            ]
            alike.add(*grams)
        matrices.append(alike.cka())
        say(f"{snr_db:g} dB: done")
    return {
        "models": [
            {**codec.record, "layers": [layer._asdict() for layer in found]}
            for codec, found in zip(codecs, layers, strict=True)
        ],
        "snr_db": list(snrs_db),
        "cka": [[[round(x, 5) for x in row] for row in each.tolist()] for each in matrices],
    }
