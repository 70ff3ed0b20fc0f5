"""What a panel of the page shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.demo.maps import Overlay
from benchmarks.demo.pictures import Photograph, png_bytes
from witt.metrics.metric import make_metrics, measure
from witt.pictures.images import Pixels, to_tensor
from witt.report import number

MOST_POINTS = 1200
PSNR, MS_SSIM = make_metrics("psnr"), make_metrics("ms-ssim")


@dataclass(frozen=True)
class Received:
    """A picture as one of the senders got it across.

    pixels: (H, W, 3) uint8; None where it cannot be sent so, and `notes` say why.
    psnr_db: of it; NaN without.
    facts: what is plain, by name, for the saved JSON.
    notes: sentences for the visitor.
    points: I and Q of some received symbols in turn.
    lost: whether a grey picture stands for one that did not arrive.
    maps: to be laid over the picture, by what they show.
    unsaid: a sentence, where the receiver cannot say what error it expects.
    """

    pixels: Pixels | None
    psnr_db: float
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    points: tuple[float, ...] = ()
    lost: bool = False
    maps: dict[str, Overlay] = field(default_factory=dict)
    unsaid: str = ""
    png: bytes = b""

    @classmethod
    def of(cls, photograph: Photograph, pixels: Pixels, **more: Any) -> Received:
        """Of a picture that arrived, or the grey one in its place."""
        figures = measure(PSNR, to_tensor(pixels), photograph.image)[0]
        return cls(pixels, float(figures["psnr_db"]), png=png_bytes(pixels), **more)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, about."""
        pixels = 0 if self.pixels is None else self.pixels.nbytes
        maps = sum(len(overlay.png) for overlay in self.maps.values())
        return maps + len(self.png) + 32 * len(self.points) + pixels

    def ms_ssim(self, photograph: Photograph) -> dict[str, Any]:
        """Its MS-SSIM; takes longer than all the rest."""
        if self.pixels is None:
            return {}
        return dict(measure(MS_SSIM, to_tensor(self.pixels), photograph.image)[0])


def some_points(symbols: Tensor) -> tuple[float, ...]:
    """I and Q in turn of at most `MOST_POINTS` symbols (N,), spread over all of them."""
    some = symbols[:: max(len(symbols) // MOST_POINTS, 1)][:MOST_POINTS].cpu()
    pairs = torch.view_as_real(some.resolve_conj()).flatten().tolist()
    return tuple(round(each, 3) for each in pairs)


def in_words(figures: dict[str, Any]) -> dict[str, str]:
    """The MS-SSIM as the page shows it."""
    decibels = f"{number(figures['ms_ssim_db'], 1)} dB"
    variant = figures["ms_ssim_variant"]  # of small pictures it has fewer scales
    return {
        "ms_ssim": number(figures["ms_ssim"], 4),
        "ms_ssim_db": decibels if variant == "ms-ssim" else f"{decibels}, {variant}",
    }
