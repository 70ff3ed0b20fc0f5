"""How much an error in each feature counts in MS-SSIM, for a code of classes.

The contrast-structure term of a window, (2σ_xy + C2)/(σ_x² + σ_y² + C2), is about
1 − σ_e²/(2σ_x² + C2) for an error of variance σ_e² in it (Wang, Simoncelli and Bovik, Asilomar
2003): what is lost in a flat part of the picture counts up to a hundred times what is lost in a
busy one, and what does not vary within the window counts in the luminance term only. The code
spends its bandwidth and power on the errors that count (`witt.codecs.classified.transform_code`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from witt.codecs.classified.classes import USUAL_SNR_DB, some_images
from witt.codecs.classified.spectrum import OCTAVES
from witt.codecs.classified.transform_code import ClassifiedTransformCode
from witt.metrics.quality import SCALE_WEIGHTS, WINDOW, WINDOW_SIGMA
from witt.metrics.window import C2, blur
from witt.pictures.images import Pixels

# By trials on valid/ (docs/trials.md): the expansion above is for small errors and for windows that
# are alike, and a code that trusted it would leave busy tokens with nothing.
ACTIVITY_EXPONENT = 0.5  # exponent of 1/(2σ² + C2)
CLASS_EXPONENT = 1.35  # exponent of the weights of a class over their geometric mean
SMOOTH_WEIGHT = 1.8  # what smooth features count above their weight
LUMINANCE = 0.1  # least weight of a spatial frequency, over that of the highest


@torch.no_grad()
def weigh_for_ms_ssim(
    code: ClassifiedTransformCode,
    pictures: Sequence[Pixels],
    usual_cbr: float,
    scales: int,
    seed: int,
) -> None:
    """Set the weights of the features and the spatial frequencies; nothing else is changed.

    Args:
        code: with its classes.
        pictures: some of them are looked at.
        usual_cbr: the rate at which tokens are told apart.
        scales: of the MS-SSIM that is the loss.
        seed: of the choice of pictures.

    Raises:
        InputError: none of the pictures can be read.
    """
    rng = np.random.default_rng([seed, 0x551A])
    snr_db, k = torch.tensor([USUAL_SNR_DB]), torch.tensor([round(usual_cbr * 6 * code.block**2)])
    parts = torch.tensor(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    total = torch.zeros(code.classes, scales, 3).double()
    tokens = torch.zeros(code.classes).double()
    for image in some_images(pictures, code.block, rng):
        classes = code.classify(code.project(image), snr_db, k).flatten()
        counts = sensitivity(image, code.block, scales).flatten(0, 2) ** ACTIVITY_EXPONENT
        total.index_add_(0, classes, counts.double())
        tokens += torch.bincount(classes, minlength=code.classes)
    # A class that was not seen counts as all of them do.
    average = (total.sum(0) / tokens.sum()).float()
    of_class = torch.where(
        tokens[:, None, None] > 0, total / tokens.clamp_min(1)[:, None, None], average
    ).float()
    logs = []
    for rotation, counts in zip(code.rotation, of_class, strict=True):
        share = window_energy(rotation.T @ code.basis[code.smooth :], code.block, scales)
        log = (share * (parts[:, None] * counts)).sum((-1, -2)).clamp_min(1e-6).log()
        logs.append(log.mean() + CLASS_EXPONENT * (log - log.mean()))
    level = torch.stack(logs).mean()
    code.log_weight.copy_(torch.stack(logs) - level)
    # A Gaussian window keeps so much of the energy of a spatial frequency in its mean; cycles a
    # pixel.
    cycles = 2.0 ** torch.tensor(OCTAVES, dtype=torch.float32) / code.block
    widths = WINDOW_SIGMA * 2.0 ** torch.arange(scales)
    varies = 1 - torch.exp(-((2 * math.pi * cycles[:, None] * widths) ** 2))
    smooth = varies @ (parts * average.mean(-1))
    smooth = SMOOTH_WEIGHT * (smooth + LUMINANCE * smooth.max())
    code.log_wave_weight.copy_((smooth.log() - level)[:, None].expand(-1, code.smooth))


def sensitivity(image: Tensor, block: int, scales: int) -> Tensor:
    """Mean over each token of 1/(2σ² + C2) in the windows, (B, h, w, scales, 3).

    Args:
        image: (B, 3, H, W) in [0, 1], sides multiples of `block`.
        block: side of a token, a power of 2.
        scales: of MS-SSIM.
    """
    means = []
    for scale in range(scales):
        around = F.pad(image, (WINDOW // 2,) * 4, mode="replicate")
        mean = blur(around)
        variance = (blur(around.square()) - mean.square()).clamp_min(0)
        inverse = F.pad((2 * variance + C2).reciprocal(), (WINDOW // 2,) * 4, mode="replicate")
        counts = blur(inverse)  # of an error in a pixel: over the windows that it is in
        means.append(F.adaptive_avg_pool2d(counts, _grid(counts, block, scale)))
        image = F.avg_pool2d(image, 2, ceil_mode=True)
    finest = means[0].shape[2:]
    means = [F.interpolate(each, size=finest) for each in means]
    return torch.stack(means, -1).permute(0, 2, 3, 4, 1)


def _grid(image: Tensor, block: int, scale: int) -> tuple[int, int]:
    """Tokens of a picture that was halved `scale` times; pixels where these are larger."""
    side = max(block // 2**scale, 1)
    return math.ceil(image.shape[2] / side), math.ceil(image.shape[3] / side)


def window_energy(patterns: Tensor, block: int, scales: int) -> Tensor:
    """How much of the energy of patterns varies within the windows, (n, scales, 3).

    Args:
        patterns: (n, 3·block²) of unit energy, in the order of `pixel_unshuffle`.
        block: their side.
        scales: of MS-SSIM.
    """
    pixels = patterns.reshape(-1, 3, block, block)
    shares = []
    for scale in range(scales):
        mean = blur(F.pad(pixels, (WINDOW - 1,) * 4))
        varies = pixels.square().sum((2, 3)) - mean.square().sum((2, 3))
        shares.append(4**scale * varies)
        odd = pixels.shape[-1] % 2  # a single pixel is a quarter of the next
        pixels = F.avg_pool2d(F.pad(pixels, (0, odd, 0, odd)), 2)
    return torch.stack(shares, 1)
