"""How close a received picture is to the original: PSNR and MS-SSIM of the 8-bit pictures.

Both are taken of what a file would hold: clamped to [0, 1] and rounded to 8 bits. Both are
per image; a mean over pictures is the mean of the per-image dB values, of which none counts as
more than `BEST_PSNR_DB` or `BEST_MS_SSIM_DB`. A received picture may be anything, since a decoder
may overshoot: what lies outside [0, 1] is clamped, and NaN gives NaN. The reference is a picture.
"""

from typing import NamedTuple

import pytorch_msssim
import torch
from torch import Tensor
from torch.nn import functional as F

# Wang, Simoncelli and Bovik (2003), section 3.2: the exponents of scales 1 to 5.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11
WINDOW_SIGMA = 1.5
SMALLEST_WINDOW = 3
UNDEFINED = "undefined"  # the variant where there is none
# A picture that is received without any error has no finite figure. Wherever figures are stored or
# averaged (evaluate, transmit, benchmark, validation) it counts as one of these: see `capped`.
BEST_PSNR_DB, BEST_MS_SSIM_DB = 100.0, 60.0
CAPPED = (
    "received without error, or nearly so, which counts as "
    f"{BEST_PSNR_DB:g} dB of PSNR and {BEST_MS_SSIM_DB:g} dB of MS-SSIM at most"
)
BEYOND = 1e-6  # what the rounding of a resampled float picture may leave outside [0, 1]
# Pixels of a plane that are compared at once: it takes some 20 float64 maps of them.
MOST_PIXELS = 2**21


class MsSsim(NamedTuple):
    """MS-SSIM of a batch of equally large pictures.

    Attributes:
        value: ``(B,)`` in [0, 1].
        db: ``(B,)``, -10 log10(1 - value) in dB; infinite for identical pictures.
        variant: ``"ms-ssim"`` for the standard one, else what was done instead.
    """

    value: Tensor
    db: Tensor
    variant: str


def capped(db: float, best_db: float) -> float:
    """What a figure counts as: `best_db` where it is better than that, or infinite; NaN is kept."""
    return min(db, best_db)  # NaN stays NaN: it is the first argument


def is_capped(psnr_db: float, ms_ssim_db: float) -> bool:
    """Whether one of these figures is the best that counts."""
    return psnr_db >= BEST_PSNR_DB or ms_ssim_db >= BEST_MS_SSIM_DB


def psnr(image: Tensor, reference: Tensor, *, eight_bit: bool = True) -> Tensor:
    """Peak signal-to-noise ratio of the 8-bit pictures, 10 log10(255² / MSE).

    Args:
        image: ``(B, 3, H, W)`` float in [0, 1]; what lies outside is clamped.
        reference: The same shape; nothing may lie outside [0, 1].
        eight_bit: Round to 8 bits, as a file would.

    Returns:
        ``(B,)`` float64 in dB; the MSE is over the pixels and colour planes of one picture.
        Identical pictures give infinity.

    Raises:
        ValueError: The shapes differ or are not ``(B, 3, H, W)``, the dtype is not a float, or
            the reference is not in [0, 1].
    """
    _check(image, reference)
    levels = _levels(image, eight_bit) - _levels(reference, eight_bit)
    mse = levels.square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255**2 / mse)


def ms_ssim(image: Tensor, reference: Tensor, *, eight_bit: bool = True) -> MsSsim:
    """Multi-scale structural similarity of the 8-bit pictures.

    Per colour plane, then averaged over these: the product over the scales j of cs_j^w_j,
    with the luminance term at the last one. Each scale halves the one before; the window is
    Gaussian, 11 x 11 with sigma 1.5, K = (0.01, 0.03). The variant follows from the shorter
    side of the picture:

    ========== ============================== =============================================
    side       variant                        what is done
    ========== ============================== =============================================
    over 160   ``ms-ssim``                    the standard, 5 scales
    21 to 160  ``ms-ssim-4scales`` … 2scales  the first scales, weights renormalised to 1
    11 to 20   ``ms-ssim-1scale``             plain SSIM
    3 to 10    ``ms-ssim-1scale-window9`` … 3 plain SSIM, the largest odd window that fits
    1, 2       ``undefined``                  NaN: one pixel has no structure to compare
    ========== ============================== =============================================

    A mean cs or SSIM below zero counts as zero (its fractional power is undefined), which makes
    the channel zero. Where a scale has an odd side, halving takes in one line of black at both
    ends, as everything measured with pytorch_msssim does; Wang's code repeats the last line
    instead. On noisy crops of kodim23 the difference is up to 0.04 dB.

    Args:
        image: ``(B, 3, H, W)`` float in [0, 1]; what lies outside is clamped.
        reference: The same shape; nothing may lie outside [0, 1].
        eight_bit: Round to 8 bits, as a file would.

    Returns:
        ``MsSsim``, float64.

    Raises:
        ValueError: The shapes differ or are not ``(B, 3, H, W)``, the dtype is not a float, or
            the reference is not in [0, 1].

    Source:
        Z. Wang, E. P. Simoncelli and A. C. Bovik, "Multi-scale structural similarity for image
        quality assessment", Asilomar 2003, equation 7; computed by pytorch_msssim.
    """
    _check(image, reference)
    batch, _, height, width = image.shape
    side = min(height, width)
    scales, window, variant = _choose_variant(side)
    if scales == 0:
        nan = torch.full((batch,), torch.nan, dtype=torch.float64, device=_device(image))
        return MsSsim(nan, nan.clone(), variant)
    # One plane at a time: in float64 the maps of a large picture are gigabytes each.
    planes = zip(image.flatten(0, 1), reference.flatten(0, 1), strict=True)
    of_planes = [
        _plane_ms_ssim(
            _levels(x, eight_bit)[None, None], _levels(y, eight_bit)[None, None], scales, window
        )
        for x, y in planes
    ]
    # Nearly identical pictures may be above 1 by a rounding, which has no dB.
    value = torch.cat(of_planes).reshape(batch, 3).mean(dim=1).clamp(max=1)
    return MsSsim(value, 10 * torch.log10(1 / (1 - value)), variant)


def ms_ssim_db(image: Tensor, reference: Tensor, *, eight_bit: bool = True) -> Tensor:
    """The MS-SSIM in dB, ``(B,)``: `ms_ssim` without what else it says."""
    return ms_ssim(image, reference, eight_bit=eight_bit).db


def _choose_variant(side: int) -> tuple[int, int, str]:
    """The number of scales, the window and the name for a shorter side."""
    if side < SMALLEST_WINDOW:
        return 0, 0, UNDEFINED
    if side < WINDOW:
        window = side if side % 2 else side - 1
        return 1, window, f"ms-ssim-1scale-window{window}"
    # The window has to fit into the smallest scale, whose side is ceil(side / 2^(scales - 1)).
    scales = len(SCALE_WEIGHTS)
    while side <= (WINDOW - 1) * 2 ** (scales - 1):
        scales -= 1
    if scales == len(SCALE_WEIGHTS):
        return scales, WINDOW, "ms-ssim"
    return scales, WINDOW, f"ms-ssim-{scales}scale{'s' if scales > 1 else ''}"


def _plane_ms_ssim(x: Tensor, y: Tensor, scales: int, window: int) -> Tensor:
    """MS-SSIM of one ``(1, 1, H, W)`` channel in 8-bit levels, as ``(1,)``."""
    if scales == len(SCALE_WEIGHTS) and x.numel() <= MOST_PIXELS:
        standard: Tensor = pytorch_msssim.ms_ssim(x, y, data_range=255, size_average=False)
        return standard
    # The library insists on sides that 5 scales need, and takes a large picture as a whole, so
    # fewer scales and bands of a picture are put together here.
    # The five sum to 1.0001, and are used so.
    total = sum(SCALE_WEIGHTS[:scales]) if scales < len(SCALE_WEIGHTS) else 1.0
    weights = [weight / total for weight in SCALE_WEIGHTS[:scales]]
    result = torch.ones(1, dtype=x.dtype, device=x.device)
    for scale, weight in enumerate(weights, start=1):
        last = scale == scales
        # A K1 this large makes the luminance term exactly 1 and leaves the contrast-structure cs.
        similarity = mean_ssim(x, y, window, 0.01 if last else 1e9)
        result = result * similarity.relu() ** weight
        if not last:
            padding = (x.shape[-2] % 2, x.shape[-1] % 2)
            x, y = F.avg_pool2d(x, 2, padding=padding), F.avg_pool2d(y, 2, padding=padding)
    return result


def mean_ssim(x: Tensor, y: Tensor, window: int, k1: float) -> Tensor:
    """SSIM of ``(1, 1, H, W)`` levels, ``(1,)``: the mean over bands that overlap by a window."""
    lines = x.shape[2] - window + 1  # of the map
    step = max(MOST_PIXELS // x.shape[3], 1)
    total = torch.zeros(1, dtype=x.dtype, device=x.device)
    for top in range(0, lines, step):
        height = min(step, lines - top)
        band = slice(top, top + height + window - 1)
        total += height * pytorch_msssim.ssim(
            x[:, :, band],
            y[:, :, band],
            data_range=255,
            size_average=False,
            win_size=window,
            win_sigma=WINDOW_SIGMA,
            K=(k1, 0.03),
        )
    return total / lines


def _levels(image: Tensor, eight_bit: bool) -> Tensor:
    """The levels 0 to 255 of a picture in [0, 1], whole ones or not, as float64, NaN kept."""
    # Half precision cannot tell 8-bit levels apart after the product, so widen before rounding.
    wide = image.to(torch.promote_types(image.dtype, torch.float32))
    levels = wide.clamp(0, 1) * 255
    return (levels.round() if eight_bit else levels).to(_device(image)).to(torch.float64)


def _device(image: Tensor) -> torch.device:
    """Where the metric is computed: MPS has no float64."""
    return torch.device("cpu") if image.device.type == "mps" else image.device


def _check(image: Tensor, reference: Tensor) -> None:
    """Refuse what the metrics are not defined for."""
    if image.shape != reference.shape:
        raise ValueError(
            f"the pictures differ in shape: {tuple(image.shape)} and {tuple(reference.shape)}"
        )
    if image.ndim != 4 or image.shape[1] != 3 or image.numel() == 0:
        raise ValueError(f"the pictures have shape {tuple(image.shape)}; it must be (B, 3, H, W)")
    for picture in (image, reference):
        if not picture.is_floating_point():
            raise ValueError(f"the pictures are {picture.dtype}; they must be floats in [0, 1]")
    check_range(reference)


def check_range(reference: Tensor) -> None:
    """Refuse a reference that is no picture in [0, 1], such as one of 8-bit levels as floats.

    Clamped, it would agree with whatever is clamped likewise.

    Raises:
        ValueError: it has values outside, or NaN; the message has its range.
    """
    low, high = (float(value) for value in reference.detach().aminmax())
    if not (low >= -BEYOND and high <= 1 + BEYOND):  # NaN too
        raise ValueError(
            f"the reference has values from {low:g} to {high:g}; it must lie in [0, 1] "
            "(8-bit levels are divided by 255)"
        )
