"""From what a picture file holds to 8-bit RGB: depth, colour profile and alpha."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from witt.errors import InputError
from witt.pictures import colour

Pixels = npt.NDArray[np.uint8]

BEYOND = 0.1  # what resampling and sharpening add to floats in [0, 1]
ON_WHITE = "alpha composited on white"


def deep_grey(
    image: Image.Image, white: int, inverted: bool, path: Path, notes: list[str]
) -> npt.NDArray[np.float64]:
    """Grey of more than 8 bits or of floats as levels from 0 to 255, not rounded."""
    values = np.asarray(image).astype(np.float64)
    if image.mode != "F":
        notes.append(f"{white.bit_length()}-bit grey reduced to 8 bits")
    else:
        if not np.isfinite(values).all():
            raise InputError(f"{path}: has values that are not finite, so it has no 8-bit picture")
        low, high = float(values.min()), float(values.max())
        if low < -BEYOND or high > 1 + BEYOND:
            raise InputError(
                f"{path}: has floats from {low:g} to {high:g}, and 0 must be black and 1 white; "
                "scale them, or save the picture with 8 or 16 bits"
            )
        notes.append("floating-point grey reduced to 8 bits")
        if low < 0 or high > 1:
            notes.append(f"floats from {low:g} to {high:g} clipped to 0 to 1")
            values = values.clip(0, 1)
    return (white - values if inverted else values) * (255 / white)


def grey_pixels(levels: npt.NDArray[np.float64], profile: bytes | None, notes: list[str]) -> Pixels:
    """Levels of grey as pixels; those of a profile go along its curve before they are rounded."""
    if profile is not None:
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        converted, note = colour.to_srgb(ramp, profile)
        if note is not None:
            notes.append(note)
        if converted.mode == "RGB":
            curves = np.asarray(converted)[0].T
            planes = [np.interp(levels, np.arange(256), curve) for curve in curves]
            return np.rint(np.stack(planes, axis=2)).astype(np.uint8)
    grey = np.rint(levels).astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def rgb_pixels(image: Image.Image, profile: bytes | None, notes: list[str]) -> Pixels:
    """An 8-bit picture of any mode as RGB on white."""
    names = {"1": "1-bit", "L": "grey", "LA": "grey", "La": "grey", "P": "palette", "PA": "palette"}
    if image.mode not in ("RGB", "RGBA", "RGBa", "RGBX"):
        notes.append(f"{names.get(image.mode, image.mode)} converted to RGB")
    alpha = None
    if image.has_transparency_data:
        # Pillow takes premultiplied grey to RGBA in two steps only.
        straight = image.convert("LA") if image.mode == "La" else image
        opaque: Image.Image = straight.convert("RGBA")
        alpha = opaque.getchannel("A")
        if image.mode in ("LA", "La"):
            opaque = straight.getchannel("L")
    elif image.mode == "1":
        opaque = image.convert("L")
    else:
        opaque = image if image.mode in ("L", "CMYK") else image.convert("RGB")
    # Lab is no device's, so its colours need no profile.
    if profile is not None and image.mode != "LAB":
        opaque = opaque.convert("RGB") if opaque.mode == "RGBA" else opaque
        opaque, note = colour.to_srgb(opaque, profile)
        if note is not None:
            notes.append(note)
    rgb = opaque.convert("RGB")
    if alpha is None:
        return np.array(rgb)
    notes.append(ON_WHITE)
    rgb.putalpha(alpha)
    white = Image.new("RGBA", rgb.size, "white")
    return np.array(Image.alpha_composite(white, rgb).convert("RGB"))
