"""Profiles: `ours`, and `published`, which does everything as the published WITT code does it.

That code differs from its paper (arXiv 2211.00937) in ways that change results. Each difference
is an entry of `Profile`; `published` is all of them, and every result names its profile.

================= ========== ======================================================================
entry             where      published; ours
================= ========== ======================================================================
batch_power       both       power is normalised over the whole batch, and undone at the receiver
                             with the exact value, for free; ours: for each image, and what the
                             receiver needs travels as a float16 in a header that is counted. So
                             with the mask of SwinJSCC (`witt.codecs.swinjscc`): free, or counted
half_pairs        both       I and Q of a symbol are the two halves of the flattened batch, so that
                             two images share a symbol; ours: adjacent features of a token. Of
                             SwinJSCC, which has 0 in the features that it does not send, the halves
                             are here those of the others
no_csi            both       a fading channel is a real gain abs(h) for each symbol, which the
                             receiver never learns: no equaliser, nothing for the decoder; ours:
                             complex h, perfect CSI, MMSE
float_pixels      evaluation metrics of clamped floats; ours: of the 8-bit picture
four_scales       evaluation MS-SSIM with 4 scales, weights renormalised, window 3 on small
                             pictures, the last scale in every factor; ours: the standard, 5 scales
mean_mse          evaluation CIFAR-10: PSNR of the mean MSE of 1,024 images; ours: mean of the PSNRs
centre_crop       evaluation photographs are cropped to multiples of 128; ours: any size is served
clamped_loss      training   pictures are clamped to [0, 1] before the loss, which kills gradients
one_snr           training   one integer SNR, and one rate, for a whole batch; ours: for each image
detached_modnet   training   no gradient from the gates to the features they look at
batch_loss        training   the mean of the squared error, or 1 − the MS-SSIM of `four_scales`;
                             ours: mean in dB, standard MS-SSIM
================= ========== ======================================================================

The noise is no difference: published, each real dimension has the deviation sqrt(1 / (2·snr)) at
unit power of a complex symbol, which is our CN(0, N0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

CROP = 128


@dataclass(frozen=True)
class Profile:
    """What is done the published way; the entries are explained above."""

    name: str
    batch_power: bool = False
    half_pairs: bool = False
    no_csi: bool = False
    float_pixels: bool = False
    four_scales: bool = False
    mean_mse: bool = False
    centre_crop: bool = False
    clamped_loss: bool = False
    one_snr: bool = False
    detached_modnet: bool = False
    batch_loss: bool = False

    @property
    def departures(self) -> tuple[str, ...]:
        """The entries that are done the published way."""
        return tuple(e.name for e in fields(self) if e.name != "name" and getattr(self, e.name))

    def only(self, entries: Sequence[str]) -> Profile:
        """Without a name, and with what is switched on among `entries` alone."""
        return Profile("", **{entry: True for entry in self.departures if entry in entries})


# What evaluation shows for each departure; those of training alone change no measurement.
MEASURED = {
    "batch_power": "power over the batch, undone for free",
    "half_pairs": "I and Q from the halves of the batch",
    "no_csi": "real |h|, unknown to the receiver",
    "float_pixels": "no rounding to 8 bits",
    "four_scales": "their MS-SSIM of 4 scales",
    "mean_mse": "PSNR of the batch-mean MSE",
    "centre_crop": f"centre crop to multiples of {CROP}",
}
# What changes a transmission; without a gain all symbols are alike, whoever shares them.
ON_THE_WAY = ("batch_power", "half_pairs", "no_csi", "centre_crop")
WITHOUT_GAIN = ("batch_power", "centre_crop")

OURS = Profile("ours")
PUBLISHED = Profile("published", *[True] * (len(fields(Profile)) - 1))
PROFILES = {profile.name: profile for profile in (OURS, PUBLISHED)}


def between(applying: Sequence[str]) -> list[Profile]:
    """From ours to published: ours, ours with each departure that applies by itself, published."""
    each = [replace(OURS, name=f"ours, {MEASURED[e]}", **{e: True}) for e in applying]
    return [OURS, *each, PUBLISHED]


def centre(size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the largest middle part whose sides are multiples of 128.

    A side shorter than that stays whole.
    """
    slices = []
    for side in size:
        kept = side - side % CROP or side
        first = round((side - kept) / 2)
        slices.append(slice(first, first + kept))
    return slices[0], slices[1]
