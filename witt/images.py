"""From a picture file to a tensor and back: any usual format in, 8-bit RGB out.

Colour profiles are ignored: the numbers in the file are taken as sRGB.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from witt.errors import InputError

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 50_000_000
# A closed list: Pillow also opens formats that start other programs (EPS runs Ghostscript).
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000")
# What undoes each EXIF orientation; 1 is upright.
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_pillow_lock = threading.Lock()


class Picture(NamedTuple):
    """A picture as read from a file.

    Attributes:
        pixels: ``(H, W, 3)`` uint8, RGB.
        notes: One phrase for each conversion that was needed; empty for an 8-bit RGB file.
    """

    pixels: Pixels
    notes: tuple[str, ...]


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read any usual picture file as 8-bit RGB.

    Alpha is composited on white; EXIF rotation is applied; of several frames the first is
    taken; 16-bit grey is divided by 257; 32-bit grey and float grey with values beyond
    0 to 65535 and 0 to 1 are stretched from their own range. Each of these is a note.

    Args:
        path: The file.
        max_pixels: A picture with more pixels is refused before it is decoded.

    Returns:
        The ``Picture``.

    Raises:
        InputError: The file is missing, empty, damaged, not a picture, or too large.
    """
    path = Path(path)
    _check_file(path)
    with _quiet_pillow():
        try:
            with path.open("rb") as file, _open(file, path) as image:
                _check_size(image.size, max_pixels, path)
                return _decode(image, path)
        except InputError:
            raise
        except PermissionError as error:
            raise InputError(f"{path}: cannot be read: permission denied") from error
        except MemoryError as error:
            raise InputError(f"{path}: is too large for the memory of this machine") from error
        # Pillow's decoders raise whatever a damaged file makes them trip over: OSError,
        # SyntaxError, struct.error, IndexError and more.
        except Exception as error:
            raise InputError(f"{path}: is damaged or cut short ({one_line(error)})") from error


def to_tensor(pixels: Pixels, device: str | torch.device = "cpu") -> Tensor:
    """``(H, W, 3)`` uint8 pixels as a ``(1, 3, H, W)`` float32 tensor in [0, 1].

    Raises:
        ValueError: The pixels are not uint8 or not ``(H, W, 3)``.
    """
    check_pixels(pixels)
    # A copy: torch takes no read-only or mirrored arrays.
    image = torch.from_numpy(np.array(pixels, order="C")).to(device).permute(2, 0, 1).unsqueeze(0)
    return image.to(torch.float32, memory_format=torch.contiguous_format) / 255


def to_pixels(image: Tensor) -> Pixels:
    """A float picture in [0, 1] as ``(H, W, 3)`` uint8: clamped, rounded half to even.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``.

    Raises:
        ValueError: The shape or dtype is another one, or a value is NaN.
    """
    plane = image.squeeze(0) if image.ndim == 4 else image
    if plane.ndim != 3 or plane.shape[0] != 3:
        raise ValueError(
            f"the image has shape {tuple(image.shape)}; it must be (3, H, W) or (1, 3, H, W)"
        )
    if not image.is_floating_point():
        raise ValueError(f"the image is {image.dtype}; it must be a float in [0, 1]")
    if bool(plane.isnan().any()):
        raise ValueError("the image has NaN in it, so it has no 8-bit picture")
    # Half precision cannot tell 8-bit levels apart after the product, so widen first.
    wide = plane.detach().to(torch.promote_types(plane.dtype, torch.float32))
    levels = (wide.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def check_pixels(pixels: Pixels) -> None:
    """Raise ValueError unless the pixels are ``(H, W, 3)`` uint8."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"the pixels are {pixels.dtype} of shape {pixels.shape}; they must be uint8 (H, W, 3)"
        )


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings and its own size limit: ``_check_size`` names size and limit."""
    # Both are settings of the whole process, hence the lock.
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from error
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a picture")
    # Opening a pipe would wait for ever.
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file")
    if status.st_size == 0:
        raise InputError(f"{path}: is empty")


def _open(file: BufferedReader, path: Path) -> ImageFile.ImageFile:
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        return Image.open(file, formats=known)
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path}: is not a picture, or is damaged from the start; "
            "PNG, JPEG, WebP, BMP, TIFF, GIF, PPM and AVIF can be read"
        ) from error


def _check_size(size: tuple[int, int], max_pixels: int, path: Path) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{path}: {width}x{height} is {width * height / 1e6:.1f} megapixels, and the limit is "
            f"{max_pixels / 1e6:.1f}; make the picture smaller"
        )


def _decode(image: ImageFile.ImageFile, path: Path) -> Picture:
    """Decode the first frame and convert it, noting what was done."""
    notes: list[str] = []
    # Asked before decoding, which forgets the tiles and turns a TIFF by itself.
    deep = any(";16" in str(tile.args) for tile in image.tile)
    orientation = _orientation(image, notes)
    image.load()
    upright: Image.Image = image
    if orientation in TRANSPOSES:
        notes.append("rotated as its EXIF says")
        if image.format != "TIFF":
            upright = image.transpose(TRANSPOSES[orientation])
    if upright.mode.startswith(("I", "F")):
        pixels = _deep_grey(upright, path, notes)
    else:
        if deep:
            notes.append("16 bits a channel reduced to 8")
        pixels = _to_rgb(upright, notes)
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        notes.append(f"first of {frames} frames")
    return Picture(pixels, tuple(notes))


def _orientation(image: Image.Image, notes: list[str]) -> int:
    """The EXIF orientation, 1 where there is none."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    # As with the picture itself, damaged EXIF raises anything; the picture may be fine.
    except Exception:
        notes.append("damaged EXIF ignored")
        return 1


def _deep_grey(image: Image.Image, path: Path, notes: list[str]) -> Pixels:
    """Grey of 16 bits, 32 bits or floats as three equal 8-bit channels."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: has values that are not finite, so it has no 8-bit picture")
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        levels = values * 255
        notes.append("floating-point grey reduced to 8 bits")
    elif image.mode != "F" and low >= 0 and high <= 65535:
        levels = values / 257
        notes.append("16-bit grey reduced to 8 bits")
    else:
        levels = (values - low) * (255 / ((high - low) or 1.0))
        notes.append(f"grey stretched from its range {low:g} to {high:g} to 8 bits")
    key = image.info.get("transparency")
    if isinstance(key, int):
        levels[values == key] = 255
        notes.append("alpha composited on white")
    grey = np.rint(levels).astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def _to_rgb(image: Image.Image, notes: list[str]) -> Pixels:
    """An 8-bit picture of any mode as RGB on white."""
    names = {"1": "1-bit", "L": "grey", "LA": "grey", "La": "grey", "P": "palette", "PA": "palette"}
    if image.mode not in ("RGB", "RGBA", "RGBa", "RGBX"):
        notes.append(f"{names.get(image.mode, image.mode)} converted to RGB")
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"))
    notes.append("alpha composited on white")
    # Pillow takes premultiplied grey to RGBA in two steps only.
    straight = image.convert("LA") if image.mode == "La" else image
    colour = straight.convert("RGBA")
    white = Image.new("RGBA", colour.size, "white")
    return np.array(Image.alpha_composite(white, colour).convert("RGB"))


def one_line(error: BaseException) -> str:
    """What an error says, on one line, its type where it says nothing."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
