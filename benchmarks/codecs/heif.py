"""HEVC intra, the codec inside BPG, by pillow-heif (libheif and x265).

The quality is 51 - QP, one fixed QP for the picture as BPG has it, without adaptive quantisation
and without psycho-visual rate-distortion optimisation: both are on by default and cost 0.5 to
1 dB of PSNR. Preset `slow`: `veryslow` and `placebo` take up to 1.8 times as long and are within
0.02 dB of it at the same size (Kodak pictures 4, 5, 23), `medium` is 0.25 dB worse.
The colours are BT.601, full range, as in BPG.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from types import ModuleType

import numpy as np
from PIL import Image

from benchmarks.codecs.base import SIZE_AND_QUALITY_BYTES, Encoded, Way, check_quality, refusal
from benchmarks.codecs.payload import heif_bytes
from witt.errors import InputError
from witt.pictures.images import Pixels, check_pixels

LARGEST_QP = 51
SMALLEST_SIDE, SMALLEST_BLOCK = 64, 8
SETTINGS = {
    "preset": "slow",
    "tune": "psnr",
    # A fixed QP is that of P frames, and this is the ratio of their step to that of I frames.
    "x265:ipratio": "1",
    # libheif sets these after the tuning, which would have turned them off.
    "x265:aq-mode": "0",
    "x265:psy-rd": "0",
    "x265:psy-rdoq": "0",
    # One thread: a sweep has a process for each core, and wavefronts cost bits.
    "x265:pools": "none",
    "x265:frame-threads": "1",
    "x265:wpp": "0",
}


class Hevc:
    """HEVC intra.

    x265 takes no side below 64, so a smaller picture is extended, and what that costs is counted:
    for 32×32 pictures (CIFAR-10) 16 % of the bits at 25 dB and 3 % at 44 dB, against four of them
    coded as one picture.
    """

    qualities: Sequence[int] = range(LARGEST_QP + 1)

    def __init__(self, name: str, chroma: str) -> None:
        """Make one.

        Args:
            name: as asked for on the command line.
            chroma: "444", or "420" for chroma at half the resolution in both directions.
        """
        self.name = name
        self.chroma = chroma

    def check(self) -> None:
        """Raise InputError where pillow-heif is missing or has no x265."""
        if "x265" not in _pillow_heif(self.name).libheif_info()["encoders"]:
            raise InputError(
                f"{self.name}: this pillow-heif has no HEVC encoder; "
                "pip install --force-reinstall --only-binary :all: pillow-heif"
            )

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        """Encode at QP = 51 - quality and decode again; see `Codec.encode`."""
        ((payload, data),) = self.files(pixels, quality)
        decoded = self.read(data, pixels)
        return Encoded(decoded, payload + SIZE_AND_QUALITY_BYTES, len(data), quality)

    def files(self, pixels: Pixels, quality: int) -> list[Way]:
        """See `benchmarks.codecs.wire.Wired`."""
        check_pixels(pixels)
        check_quality(self, quality)
        pillow_heif = _pillow_heif(self.name)
        settings = {**SETTINGS, "chroma": self.chroma, "x265:qp": str(LARGEST_QP - quality)}
        buffer = BytesIO()
        try:
            picture = pillow_heif.from_pillow(Image.fromarray(extended(pixels)))
            picture.save(buffer, enc_params=settings)
        except (OSError, RuntimeError, ValueError) as error:
            raise refusal(self, pixels, error) from error
        return [Way(heif_bytes(buffer.getvalue()), buffer.getvalue())]

    def read(self, data: bytes, like: Pixels) -> Pixels:
        """See `benchmarks.codecs.wire.Wired`."""
        try:
            decoded = _pillow_heif(self.name).open_heif(data).to_pillow().convert("RGB")
        except (OSError, RuntimeError, ValueError) as error:
            raise refusal(self, like, error) from error
        height, width = like.shape[:2]
        return np.array(decoded)[:height, :width].copy()


def extended(pixels: Pixels) -> Pixels:
    """The picture with sides of at least 64, in colours that take few bits.

    What is added has the mean colour of the edge it meets, which HEVC predicts: repeated edge
    pixels, as libheif adds them, take 8 to 23 % more bits for the whole of a 32×32 picture.
    """
    if min(pixels.shape[:2]) >= SMALLEST_SIDE:
        return pixels
    # First to whole blocks by repeating the edge: there the codec takes no flat colour apart.
    rows, columns = (-side % SMALLEST_BLOCK for side in pixels.shape[:2])
    pixels = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), mode="edge")
    height, width = pixels.shape[:2]
    right, below = pixels[:, -1].mean(0), pixels[-1].mean(0)
    larger = np.empty((max(height, SMALLEST_SIDE), max(width, SMALLEST_SIDE), 3))
    larger[:height, :width] = pixels
    larger[:height, width:] = right
    larger[height:, :width] = below
    larger[height:, width:] = (right + below) / 2
    return np.rint(larger).astype(np.uint8)


def _pillow_heif(name: str) -> ModuleType:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(f"{name} needs pillow-heif: pip install 'witt[baselines]'") from error
    module: ModuleType = pillow_heif
    return module
