"""Colour profiles: from what the numbers of a picture mean to sRGB.

Converted with LittleCMS, relative colorimetric with black point compensation. A profile that
changes no colour by more than 2 of 255 levels is sRGB by any name and is left alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

NEARLY = 2
LONGEST_NAME = 60
SPACES = {"GRAY": "grey", "RGB ": "RGB", "CMYK": "CMYK", "Lab ": "Lab", "XYZ ": "XYZ"}
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
SRGB_GAMMA = 1 / 2.2
# Code points of ITU-T H.273 in PNG, AVIF and HEIC; those of BT.601 are near enough to sRGB's.
D65 = (0.3127, 0.329)
PRIMARIES = {
    9: ("BT.2020", (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)),
    11: ("DCI-P3", (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)),
    12: ("Display P3", (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)),
}
# Gamma, chromaticities and name.
ADOBE_RGB = (256 / 563, (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), "Adobe RGB (1998)")
LIKE_SRGB = (1, 2, 5, 6, 7)
# The gamma of a transfer function; None where it counts as sRGB's curve.
GAMMAS = {1: None, 2: None, 6: None, 13: None, 14: None, 15: None, 4: 1 / 2.2, 5: 1 / 2.8, 8: 1.0}
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
D50 = np.array([0.9642, 1.0, 0.8249])


class Converted(NamedTuple):
    """A picture after its profile.

    image: RGB in sRGB where `note` says converted, else as it was.
    note: what was done, None where that is nothing.
    """

    image: Image.Image
    note: str | None


def to_srgb(image: Image.Image, profile: bytes) -> Converted:
    """Convert a picture to sRGB.

    Args:
        image: mode L, RGB or CMYK. L may have an RGB profile too, which is then one for R = G = B.
        profile: an ICC profile.
    """
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space
        name = _name(source)
    except Exception:  # LittleCMS through Pillow: OSError, PyCMSError, and more for odd texts
        return Converted(image, "damaged colour profile ignored")
    allowed = {"RGB ": ("RGB", "L"), "GRAY": ("L",), "CMYK": ("CMYK",)}
    if image.mode not in allowed.get(space, ()):
        wanted = SPACES.get(space, space.strip())
        return Converted(image, f"colour profile {name} ignored, it is for {wanted}")
    mode = "RGB" if space == "RGB " else image.mode
    # LittleCMS bends grey curves between few points when it may simplify them.
    precise = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.HIGHRESPRECALC
    try:
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | precise,
        )
        if mode != "CMYK" and not _changes(transform, mode):
            return Converted(image, None)
        if mode == "L":
            curves = _apply(transform, np.arange(256, dtype=np.uint8)[None])[0].T
            done = Image.merge("RGB", [image.point(curve.tolist()) for curve in curves])
        else:
            done = Image.fromarray(_apply(transform, np.asarray(image.convert(mode))))
    except Exception:
        return Converted(image, f"colour profile {name} cannot be used and is ignored")
    return Converted(done, f"converted from {name} to sRGB")


def of_code_points(primaries: int, transfer: int) -> bytes | None:
    """The ICC profile of two code points (ITU-T H.273); None for sRGB.

    Raises:
        ValueError: they mean another kind of picture, such as one of high dynamic range.
    """
    if transfer not in GAMMAS or primaries not in (*PRIMARIES, *LIKE_SRGB):
        raise ValueError(
            f"has colours of code points {primaries}/{transfer}, as pictures of high dynamic range "
            "do; save it with the colours of sRGB"
        )
    name, chromaticities = PRIMARIES.get(primaries, (None, None))
    return described(GAMMAS[transfer], chromaticities, name)


def of_png(gamma: float | None, chromaticities: Sequence[float] | None) -> bytes | None:
    """The profile of the gAMA and cHRM chunks; a gamma of about 0.45455 means sRGB's curve."""
    if gamma is not None and abs(gamma / SRGB_GAMMA - 1) < 0.02:
        gamma = None
    return described(gamma, chromaticities)


def described(
    gamma: float | None, chromaticities: Sequence[float] | None, name: str | None = None
) -> bytes | None:
    """The ICC profile of an RGB picture that says how it is meant by two numbers or ten.

    Args:
        gamma: exponent from light to the numbers of the file; None is sRGB's curve.
        chromaticities: x and y of white, red, green and blue; None is sRGB's.
        name: of the profile.

    Returns:
        None where there is no such profile, empty where the numbers make no sense.
    """
    if gamma is None and chromaticities is None:
        return None
    points = np.array(chromaticities or SRGB_PRIMARIES, np.float64).reshape(4, 2)
    if (
        (gamma is not None and not 0.05 < gamma < 20)
        or not (points[:, 1] > 0.01).all()
        or not (points < 1).all()
    ):
        return b""
    xyz = np.stack((points[:, 0], points[:, 1], 1 - points.sum(1)), axis=1) / points[:, 1:]
    white, primaries = xyz[0], xyz[1:].T
    if abs(np.linalg.det(primaries)) < 1e-6:
        return b""
    primaries = primaries * np.linalg.solve(primaries, white)
    adapt = np.linalg.inv(BRADFORD) * ((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
    colorants = (adapt @ primaries).T
    if gamma is None:
        curve = b"para" + struct.pack(">IHH", 0, 3, 0) + _fixed(2.4, 1 / 1.055, 0.055 / 1.055)
        curve += _fixed(1 / 12.92, 0.04045)
    else:
        curve = b"para" + struct.pack(">IHH", 0, 0, 0) + _fixed(1 / gamma)
    text = f"gamma {gamma:.4g}" if chromaticities is None else "the file's own primaries"
    text = name or text
    tags = {b"desc": _text(text), b"cprt": _text(""), b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50)}
    for colour, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
        tags[colour + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*colorant)
        tags[colour + b"TRC"] = curve
    return _profile(tags)


def _profile(tags: dict[bytes, bytes]) -> bytes:
    """An ICC display profile, version 4, of these tags (ICC.1:2010, clause 7)."""
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += name + struct.pack(">II", start + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    rest = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sI4s4s4s", 128 + len(rest), b"", 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _fixed(*D50)
    return head.ljust(128, b"\0") + rest


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(data), 28) + data


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    text = "".join(c if c.isprintable() else " " for c in profile.profile.profile_description or "")
    return " ".join(text.split())[:LONGEST_NAME] or "an unnamed profile"


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform moves any of some colours by more than `NEARLY` levels."""
    grey = np.arange(256, dtype=np.uint8)
    before = np.repeat(grey[:, None], 3, axis=1)
    if mode == "L":
        after = _apply(transform, grey[None])[0]
    else:
        steps = np.linspace(0, 255, 9).astype(np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
        before = np.concatenate((before, cube))
        after = _apply(transform, before[None])[0]
    return int(np.abs(after.astype(int) - before).max()) > NEARLY


def _apply(
    transform: ImageCms.ImageCmsTransform, pixels: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    mode = None if pixels.ndim < 3 or pixels.shape[2] == 3 else "CMYK"
    return np.array(ImageCms.applyTransform(Image.fromarray(pixels, mode), transform))
