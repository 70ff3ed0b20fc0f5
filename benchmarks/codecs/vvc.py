"""VVC intra by VVenC (libvvenc) in the FFmpeg that imageio-ffmpeg brings, 4:2:0 in 10 bits.

The quality is 63 - QP, one QP for the picture without perceptual adaptation. VVenC takes 4:2:0
only; the chroma QP is 6 lower than the luma's, which is best for the PSNR of RGB (9 lower loses
0.05 to 0.1 dB, none 0.4 dB; crops of Kodak pictures 5 and 23). Preset `medium`: `fast` is 0.15 to
0.3 dB worse and takes a quarter of the time. Colours are BT.601, full range, as of HEVC here.

Counted are the slices and what belongs to the picture: picture header and adaptation parameter
sets, which hold the coefficients of the loop filter. Not counted, as of HEVC: the other parameter
sets, SEI and start codes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.codecs.base import SIZE_AND_QUALITY_BYTES, Encoded, check_quality, refusal
from benchmarks.codecs.heif import extended
from witt.errors import InputError, one_line
from witt.pictures.images import Pixels, check_pixels

Real = npt.NDArray[np.float64]

LARGEST_QP, CHROMA_OFFSET, PRESET = 63, -6, "medium"
LARGEST_VALUE, MIDDLE = 1023, 512
BLOCK = 8  # sides are whole ones of it
TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
# NAL unit types, table 5 of H.266: slices are 0 to 11.
LAST_SLICE, PREFIX_APS, SUFFIX_APS, PICTURE_HEADER = 11, 17, 18, 19
FORMAT = ("-f", "rawvideo", "-pix_fmt", "yuv420p10le")


class Vvc:
    """VVC intra; sides below 64 are extended as for HEVC."""

    name = "vvc"
    qualities: Sequence[int] = range(LARGEST_QP + 1)

    def check(self) -> None:
        """Raise InputError where imageio-ffmpeg is missing or its FFmpeg has no VVenC."""
        program = _program()
        said = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True)
        if b"libvvenc" not in said.stdout:
            raise InputError(
                f"vvc: {program} has no VVC encoder (libvvenc); "
                "pip install --upgrade --only-binary :all: imageio-ffmpeg"
            )

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        """Encode at QP = 63 - quality and decode again; see `Codec.encode`."""
        check_pixels(pixels)
        check_quality(self, quality)
        height, width = pixels.shape[:2]
        rows, columns = (-side % BLOCK for side in pixels.shape[:2])
        padded = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), mode="edge")
        padded = extended(padded)
        size = padded.shape[:2]
        picture = (*FORMAT, "-s", f"{size[1]}x{size[0]}", "-i", "-", "-frames:v", "1")
        coder = ("-c:v", "libvvenc", "-preset", PRESET, "-qp", str(LARGEST_QP - quality))
        offsets = f"CbQpOffset={CHROMA_OFFSET}:CrQpOffset={CHROMA_OFFSET}"
        own = ("-qpa", "0", "-threads", "1", "-vvenc-params", offsets, "-f", "vvc", "-")
        try:
            stream = _run((*picture, *coder, *own), to_planes(padded))
            planes = _run(("-f", "vvc", "-i", "-", *FORMAT[2:], *FORMAT[:2], "-"), stream)
            payload = vvc_bytes(stream) + SIZE_AND_QUALITY_BYTES
            decoded = from_planes(planes, *size)
        except (OSError, ValueError) as error:
            raise refusal(self, pixels, error) from error
        return Encoded(decoded[:height, :width].copy(), payload, len(stream), quality)


def vvc_bytes(stream: bytes) -> int:
    """Bytes of a stream (annex B of H.266) that depend on the picture.

    Raises:
        ValueError: there is no slice.
    """
    units = [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:]]
    kinds = [unit[1] >> 3 if len(unit) > 2 else -1 for unit in units]
    if not any(0 <= kind <= LAST_SLICE for kind in kinds):
        raise ValueError("the stream has no slice")
    counted = (*range(LAST_SLICE + 1), PREFIX_APS, SUFFIX_APS, PICTURE_HEADER)
    return sum(len(unit) for unit, kind in zip(units, kinds, strict=True) if kind in counted)


def to_planes(pixels: Pixels) -> bytes:
    """Y, and Cb and Cr at half the resolution, in 10 bits."""
    y, *chroma = np.moveaxis(pixels @ TO_YCBCR.T * (LARGEST_VALUE / 255), 2, 0)
    half = y.shape[0] // 2, y.shape[1] // 2
    planes = [y, *(_resized(plane, half) + MIDDLE for plane in chroma)]
    return b"".join(
        np.clip(np.rint(plane), 0, LARGEST_VALUE).astype("<u2").tobytes() for plane in planes
    )


def from_planes(planes: bytes, height: int, width: int) -> Pixels:
    """The picture of `to_planes`.

    Raises:
        ValueError: not so many bytes as the picture has.
    """
    values = np.frombuffer(planes, "<u2").astype(np.float64)
    count = height * width
    if len(values) != count * 3 // 2:
        raise ValueError(f"{len(values)} samples came back for {width}x{height}")
    y, half = values[:count].reshape(height, width), (height // 2, width // 2)
    chroma = (part.reshape(half) - MIDDLE for part in np.split(values[count:], 2))
    ycbcr = np.stack([y, *(_resized(plane, (height, width)) for plane in chroma)], axis=2)
    rgb = ycbcr @ np.linalg.inv(TO_YCBCR).T * (255 / LARGEST_VALUE)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def _resized(plane: Real, size: tuple[int, int]) -> Real:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS), np.float64)


def _run(arguments: Sequence[str], data: bytes) -> bytes:
    """What FFmpeg writes.

    Raises:
        ValueError: it failed; with what it said.
    """
    command = [_program(), "-hide_banner", "-loglevel", "error", *arguments]
    done = subprocess.run(command, input=data, capture_output=True)
    if done.returncode or not done.stdout:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise ValueError(said[:200] or "FFmpeg wrote nothing")
    return done.stdout


@lru_cache(maxsize=1)
def _program() -> str:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise InputError("vvc needs imageio-ffmpeg: pip install imageio-ffmpeg") from error
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise InputError(f"vvc: {one_line(error)}") from error
