"""From a picture file to a tensor and back: any usual format in, 8-bit sRGB out.

What is read wrongly by Pillow, or says not enough to be read rightly, is mended or refused.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from witt.errors import InputError, one_line
from witt.pictures import colour, embedded, heif, png, tiff
from witt.pictures.convert import ON_WHITE, deep_grey, grey_pixels, rgb_pixels

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

HEAD = 32  # bytes that tell what a file is
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_pillow_lock = threading.Lock()


class Plain(NamedTuple):
    """A file of which Pillow gets all."""

    file: IO[bytes]


class Picture(NamedTuple):
    """A picture as read from a file.

    Attributes:
        pixels: ``(H, W, 3)`` uint8, RGB.
        notes: One phrase for each conversion that was needed; empty for an 8-bit RGB file.
    """

    pixels: Pixels
    notes: tuple[str, ...]


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read any usual picture file as 8-bit sRGB.

    Alpha is composited on white; EXIF rotation is applied; of several frames the first is taken;
    a colour profile is converted to sRGB (`colour.py`). Grey of 9 to 16 bits is rounded to 8,
    16-bit colour keeps its high bytes. Of floats 0 is black and 1 is white: up to 0.1 beyond is
    clipped, anything else refused. Each of these is a note.

    Args:
        path: The file.
        max_pixels: A picture with more pixels is refused before it is decoded.

    Returns:
        The ``Picture``.

    Raises:
        InputError: The file is missing, empty, damaged, not a picture, too large, or does not say
            what is black and white.
    """
    path = Path(path)
    _check_file(path)
    with _quiet_pillow():
        try:
            with path.open("rb") as file:
                head = file.read(HEAD)
                essence = _essence(file, head, path)
                with _open(essence.file, head, path) as image:
                    _check_size(image.size, max_pixels, path)
                    return _decode(image, path, essence)
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


def to_tensor(
    picture: Pixels | Image.Image | str | Path, device: str | torch.device = "cpu"
) -> Tensor:
    """A picture as a ``(1, 3, H, W)`` float32 tensor in [0, 1].

    Args:
        picture: ``(H, W, 3)`` uint8 pixels, a PIL image or a file.
        device: Where the tensor goes.

    Raises:
        ValueError: The pixels are not uint8 or not ``(H, W, 3)``.
        InputError: As of `read_image`, for a file.
    """
    pixels = picture if isinstance(picture, np.ndarray) else as_pixels(picture)
    check_pixels(pixels)
    # A copy: torch takes no read-only or mirrored arrays.
    image = torch.from_numpy(np.array(pixels, order="C")).to(device).permute(2, 0, 1).unsqueeze(0)
    return image.to(torch.float32, memory_format=torch.contiguous_format) / 255


def as_pixels(picture: Any) -> Pixels:
    """A picture of any kind as ``(H, W, 3)`` uint8.

    Args:
        picture: A file, a PIL image (in sRGB; alpha goes on white), ``(H, W, 3)`` or grey
            ``(H, W)`` uint8 pixels, or a float tensor ``(3, H, W)`` or ``(1, 3, H, W)`` in [0, 1].

    Raises:
        InputError: It is none of these, or a file that cannot be read.
    """
    if isinstance(picture, (str, Path)):
        return read_image(picture).pixels
    if isinstance(picture, Image.Image):
        return rgb_pixels(picture, None, [])
    try:
        if isinstance(picture, Tensor):
            return to_pixels(picture)
        if isinstance(picture, np.ndarray):
            if picture.dtype == np.uint8 and picture.ndim == 2:
                return np.repeat(picture[:, :, np.newaxis], 3, axis=2)
            check_pixels(picture)
            return picture
    except ValueError as error:
        raise InputError(str(error)) from error
    raise InputError(
        f"a picture is a path, a PIL image, an array or a tensor, not {type(picture).__name__}"
    )


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


def _essence(file: IO[bytes], head: bytes, path: Path) -> png.Essence | tiff.Essence | Plain:
    """The file without what lies beside the pixels and would trip Pillow."""
    file.seek(0)
    if head.startswith(png.SIGNATURE):
        return png.essence(file)
    if not head.startswith(TIFF):
        return Plain(file)
    try:
        return tiff.essence(file)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _open(file: IO[bytes], head: bytes, path: Path) -> ImageFile.ImageFile:
    Image.init()
    file.seek(0)
    known = [name for name in FORMATS if name in Image.OPEN]
    if heif.is_heif(head):
        heif.register(path)
        known.append("HEIF")
    try:
        return Image.open(file, formats=known)
    except UnidentifiedImageError as error:
        if head.startswith(TIFF):
            raise InputError(
                f"{path}: is a TIFF of a kind that cannot be read, or damaged; save it as PNG"
            ) from error
        raise InputError(
            f"{path}: is not a picture, or is damaged from the start; "
            "PNG, JPEG, WebP, BMP, TIFF, GIF, PPM, AVIF and HEIC can be read"
        ) from error


def _check_size(size: tuple[int, int], max_pixels: int, path: Path) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{path}: {width}x{height} is {width * height / 1e6:.1f} megapixels, and the limit is "
            f"{max_pixels / 1e6:.1f}; make the picture smaller"
        )


def _decode(
    image: ImageFile.ImageFile, path: Path, essence: png.Essence | tiff.Essence | Plain
) -> Picture:
    """Decode the first frame and convert it, noting what was done."""
    notes: list[str] = []
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tiff.check(image, path)
        tiff.mend(image)
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        raise InputError(
            f"{path}: is a CMYK JPEG that does not say whether its ink is inverted; save it as RGB"
        )
    # Asked before decoding, which forgets the tiles and turns a TIFF by itself.
    depth = _depth(image)
    try:
        profile = _profile(image, essence)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    orientation = _orientation(image, notes)
    image.load()
    upright: Image.Image = image
    if isinstance(essence, png.Essence):
        upright = _with_key_as_alpha(image, depth, essence)
    if orientation in TRANSPOSES:
        notes.append("rotated as its EXIF says")
        if image.format != "TIFF":
            upright = upright.transpose(TRANSPOSES[orientation])
    if upright.mode.startswith(("I", "F")):
        white = 1 if upright.mode == "F" else (1 << depth) - 1
        levels = deep_grey(upright, white, tiff.is_inverted(image, essence), path, notes)
        pixels = grey_pixels(levels, profile, notes)
        key = image.info.get("transparency")
        if isinstance(key, int):
            pixels[np.asarray(upright) == key] = 255
            notes.append(ON_WHITE)
    else:
        if depth > 8:
            notes.append(f"{depth} bits a channel reduced to 8")
        pixels = rgb_pixels(upright, profile, notes)
    _count_frames(image, notes)
    return Picture(pixels, tuple(notes))


def _depth(image: ImageFile.ImageFile) -> int:
    """Bits a channel in the file, as far as Pillow's decoders tell."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    for tile in image.tile if image.format != "BMP" else ():
        raw = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
        digits = str(raw).partition(";")[2].rstrip("BLNRIS")
        if digits.isdecimal():
            return int(digits)
        if image.format == "PPM" and isinstance(tile.args, tuple) and tile.args[-1] > 255:
            return 16  # Pillow scales to that
    return 1 if image.mode == "1" else 16 if image.mode.startswith("I") else 8


def _with_key_as_alpha(image: Image.Image, depth: int, essence: png.Essence) -> Image.Image:
    """A grey or RGB PNG with its transparent colour as an alpha channel."""
    key = image.info.pop("transparency", None) if image.mode in ("1", "L", "RGB") else None
    if key is None:
        return image
    mask = png.keyed(image, depth, essence)
    result = image.convert("RGB" if image.mode == "RGB" else "L")
    result.putalpha(Image.fromarray(np.where(mask, 0, 255).astype(np.uint8)))
    return result


def _count_frames(image: ImageFile.ImageFile, notes: list[str]) -> None:
    # The first is whole; what trips over the next ones must not cost it.
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:
        notes.append("first of several frames, of which later ones are damaged")
        return
    if frames > 1:
        notes.append(f"first of {frames} frames")


def _profile(
    image: ImageFile.ImageFile, essence: png.Essence | tiff.Essence | Plain
) -> bytes | None:
    """The ICC profile, or one of what else the file says of its colours; None for sRGB."""
    if isinstance(essence, tiff.Essence) and essence.lost_profile:
        return b""
    if isinstance(essence, png.Essence):
        if essence.profile is not None:
            return essence.profile
        if essence.code_points is not None:
            return colour.of_code_points(*essence.code_points)
        if "srgb" in image.info:
            return None
        return colour.of_png(image.info.get("gamma"), image.info.get("chromaticity"))
    if profile := image.info.get("icc_profile"):
        return bytes(profile)
    if image.format == "BMP":
        return embedded.of_bmp(essence.file)
    if image.format == "JPEG2000":
        return embedded.of_jp2(essence.file)
    if image.format in ("JPEG", "MPO"):
        return embedded.of_jpeg(image)
    if image.format in ("AVIF", "HEIF"):
        points = heif.code_points(essence.file)
        return colour.of_code_points(*points) if points else None
    return None


def _orientation(image: Image.Image, notes: list[str]) -> int:
    """The EXIF orientation, 1 where there is none."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    # As with the picture itself, damaged EXIF raises anything; the picture may be fine.
    except Exception:
        notes.append("damaged EXIF ignored")
        return 1


def mirrored(pixels: Pixels, side: int) -> Pixels:
    """The picture, continued by its mirror image below and to the right up to `side` pixels."""
    height, width = (max(0, side - length) for length in pixels.shape[:2])
    if not height and not width:
        return pixels
    return np.pad(pixels, ((0, height), (0, width), (0, 0)), mode="symmetric")
