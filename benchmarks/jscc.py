"""A joint source-channel model as a scheme."""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path

import torch

from benchmarks.scheme import OneByOne, Sent
from witt.errors import InputError
from witt.images import Pixels, to_pixels, to_tensor
from witt.link import Link
from witt.model import WITT
from witt.report import file_sha256
from witt.weights import load_weights


class Jscc(OneByOne):
    """A trained model, loaded when it is first used (a sweep sends schemes to its workers).

    Args:
        name: of the scheme.
        weights: file.
    """

    def __init__(self, name: str, weights: Path) -> None:
        self.name, self.weights = name, weights

    def __getstate__(self) -> dict[str, object]:
        return {"name": self.name, "weights": self.weights}

    @property
    def family(self) -> str:
        """Every model works by itself."""
        return self.name

    def record(self) -> dict[str, object]:
        """Plain values for the result file."""
        return {"weights_sha256": file_sha256(self.weights)}

    @cached_property
    def model(self) -> WITT:
        """The model, on the CPU."""
        return load_weights(self.weights)[0]

    @torch.inference_mode()
    def send_one(self, pixels: Pixels, link: Link, snr_db: float, cbr: float, seed: int) -> Sent:
        """See `Scheme.send`."""
        try:
            with warnings.catch_warnings():  # more uses than asked for would be unfair
                warnings.filterwarnings("error", message=".* cannot be sent at CBR")
                sent = self.model(
                    to_tensor(pixels),
                    link.module(),
                    snr_db,
                    cbr,
                    generator=torch.Generator().manual_seed(seed),
                )
        except (InputError, UserWarning) as reason:
            return Sent(None, 0, {"reason": str(reason)})
        info = {"header_bits": sent.header_bits}
        return Sent(to_pixels(sent.image), sent.symbols.shape[1], info)
