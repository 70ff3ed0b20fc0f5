"""What a received picture is worth, and how it looks: for `Transmission` in a notebook."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from witt.contract import Transmission
from witt.errors import InputError
from witt.files import write_bytes
from witt.link.summary import quality_facts
from witt.metrics.metric import DEFAULT, Function, make_metrics
from witt.metrics.metric import measure as measure_all
from witt.pictures.figure import comparison_png
from witt.pictures.images import to_pixels, to_tensor
from witt.pictures.writing import mark_png


class Shown(NamedTuple):
    """A picture that a notebook shows by itself; elsewhere, save it."""

    png: bytes

    def save(self, path: str | Path) -> None:
        """Write the PNG.

        Raises:
            InputError: it cannot be written.
        """
        write_bytes(path, self.png)

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"Shown({len(self.png) / 1e3:.0f} kB of PNG; .save(path) writes it)"


def metrics(
    sent: Transmission, image: Any, names: str | Function | Sequence[str | Function] = DEFAULT
) -> dict[str, Any]:
    """What metrics say of the received pictures: a value for one picture, a list for several.

    Args:
        sent: pictures that went over a channel.
        image: the originals: a file, a PIL image, an array, or a tensor (B, 3, H, W) in [0, 1].
        names: of the metrics, or functions (image, reference) -> (B,).

    Raises:
        InputError: there is no such metric, or the original has another size.
    """
    found = make_metrics(names)
    figures = [metric.measure(sent.image, _original(sent, image)) for metric in found]
    merged: dict[str, Any] = {}
    for of_metric in figures:
        for key in of_metric[0]:
            values = [entry[key] for entry in of_metric]
            merged[key] = values[0] if len(values) == 1 else values
    return merged


def show(sent: Transmission, image: Any, picture: int = 0, title: str | None = None) -> Shown:
    """The comparison of `witt transmit`: original, received, where they differ, and the symbols.

    Args:
        sent: pictures that went over a channel.
        image: the originals, as of `metrics`.
        picture: which of the batch.
        title: over the figures; None is the name of the file, where the original is one.

    Raises:
        InputError: the original has another size, or there is no such picture.
    """
    if not 0 <= picture < len(sent.image):
        raise InputError(f"there are {len(sent.image)} pictures, and no picture {picture}")
    usual = make_metrics(DEFAULT)
    received = sent.image[picture : picture + 1]
    reference = _original(sent, image)[picture : picture + 1]
    (figures,) = measure_all(usual, received, reference)
    facts = [
        *quality_facts(figures, [metric.quantity for metric in usual]),
        ("CBR", f"{sent.cbr:.4g}"),
        ("Uses", f"{sent.symbols.shape[1]:,} symbols"),
        ("Header", f"{sent.header_bits} bits"),
    ]
    if title is None:
        title = Path(image).name if isinstance(image, (str, Path)) else ""
    named = os.fsencode(title).decode(errors="replace")
    symbols = sent.received[picture].detach().cpu().numpy()
    drawn = comparison_png(to_pixels(reference), to_pixels(received), symbols, named, facts)
    return Shown(mark_png(drawn, "comparison"))


def _original(sent: Transmission, image: Any) -> Tensor:
    """The original pictures as a tensor beside the received ones."""
    original: Tensor = image if isinstance(image, Tensor) else to_tensor(image)
    original = original[None] if original.ndim == 3 else original
    original = original.detach().to(sent.image.device)
    if original.shape != sent.image.shape:
        raise InputError(
            f"the original is {tuple(original.shape)}, and what was received "
            f"{tuple(sent.image.shape)}"
        )
    return original
