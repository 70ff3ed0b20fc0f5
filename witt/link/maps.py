"""The maps of one received picture, from `Codec.regions`: what `witt transmit --map` shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from witt.contract import Transmission
from witt.pictures.images import Pixels
from witt.pictures.maps import LEVELS, Maps, rmse_map

LOST = "its side information was lost, and with it what error to expect"


def maps_of(sent: Transmission, original: Pixels, received: Pixels) -> Maps | None:
    """The maps of the picture of a transmission; None where it has none (`regions` of `carry`).

    Args:
        sent: of one picture.
        original, received: (H, W, 3) uint8.
    """
    if sent.regions is None:
        return None
    uses, mse = (each[0].detach().cpu().double().numpy() for each in sent.regions[:2])
    expected = None if np.isnan(mse).any() else LEVELS * np.sqrt(mse)
    return Maps(uses, expected, rmse_map(original, received, sent.regions.side))


def mean_figures(maps: Maps) -> dict[str, Any]:
    """Over the whole picture, by name: channel uses a pixel, and RMSEs in 8-bit steps."""

    def root_mean_square(values: Any) -> float:
        return float(np.sqrt(np.square(values).mean()))

    return {
        "uses_per_pixel": float(maps.uses.mean()),
        "expected_rmse": np.nan if maps.expected is None else root_mean_square(maps.expected),
        "measured_rmse": root_mean_square(maps.measured),
    }


def why_not(name: str, sent: Transmission) -> str:
    """Why no error is expected of a picture, in words for a person."""
    return LOST if any(sent.lost) else f"{name} cannot say what error to expect, and where"
