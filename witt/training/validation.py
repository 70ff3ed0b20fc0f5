"""Validation: quality over the SNRs, CBRs and channels that a run trains for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from witt.contract import Codec
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.profile_link import transmit_as
from witt.link.profiles import OURS, Profile
from witt.metrics.quality import BEST_MS_SSIM_DB, BEST_PSNR_DB, SMALLEST_WINDOW, ms_ssim, psnr
from witt.training.config import TrainConfig
from witt.training.pictures import Pictures, content_hash

CROP = 256  # side of the middle of a picture that is looked at
PIXELS = 32 * CROP**2  # looked at in all
BATCH_PIXELS = 4 * CROP**2
MOST_SNRS = 5


class Point(NamedTuple):
    """Conditions of a validation: channel, SNR in dB, CBR as text."""

    channel: str
    snr_db: float
    cbr: str

    def __str__(self) -> str:
        return f"{self.channel} {self.cbr} {self.snr_db:g} dB"


def points(config: TrainConfig) -> list[Point]:
    """For each channel 5 SNRs at the middle CBR, and each other CBR at the middle SNR.

    Of a range the SNRs are its ends and three between; of a longer list 5 of it.
    """
    snrs: list[float]
    if config.snr_is_range:
        snrs = [round(float(v), 2) for v in np.linspace(min(config.snr), max(config.snr), 5)]
    else:
        snrs = sorted(set(config.snr))
        if len(snrs) > MOST_SNRS:
            chosen = np.linspace(0, len(snrs) - 1, MOST_SNRS).round().astype(int)
            snrs = [snrs[i] for i in chosen]
    cbrs = sorted(dict.fromkeys(config.cbr), key=Fraction)
    middle, snr = cbrs[len(cbrs) // 2], snrs[len(snrs) // 2]
    found = []
    for channel in dict.fromkeys(config.channel):
        found += [Point(channel, float(value), middle) for value in snrs]
        found += [Point(channel, float(snr), cbr) for cbr in cbrs if cbr != middle]
    return found


class CentreCrops(NamedTuple):
    """The validation pictures as they are looked at.

    batches: uint8 (B, 3, H, W), the pictures of a batch equally large.
    content: `content_hash` of them: scores compare where it is the same.
    note: what the user should know of them, if anything.
    """

    batches: list[Tensor]
    content: str
    note: str | None


def centre_crops(pictures: Pictures, with_ms_ssim: bool) -> CentreCrops:
    """The centre crops of the pictures, in batches of equal size.

    Of more pictures than 2.1 megapixels in all, some that lie evenly are taken. Those that have
    no MS-SSIM are left out where that is the score.

    Raises:
        InputError: none is left.
    """
    crops: dict[tuple[int, ...], list[Tensor]] = {}
    found, left_out = [], []
    for i in range(len(pictures)):
        pixels = pictures[i]
        if with_ms_ssim and min(pixels.shape[:2]) < SMALLEST_WINDOW:
            left_out.append(pictures.name(i))
            continue
        top, left = (max(0, (side - CROP) // 2) for side in pixels.shape[:2])
        found.append(pixels[top : top + CROP, left : left + CROP])
    why = f"less than {SMALLEST_WINDOW} pixels high or wide, so without an MS-SSIM"
    if not found:
        raise InputError(f"--val: all pictures are {why} ({left_out[0]})")
    most = max(1, PIXELS * len(found) // sum(m[..., 0].size for m in found))
    chosen = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    for i in chosen:
        crop = torch.from_numpy(found[i].copy()).permute(2, 0, 1)
        crops.setdefault(tuple(crop.shape), []).append(crop)
    batches = [
        batch
        for shape, same in crops.items()
        for batch in torch.stack(same).split(max(1, BATCH_PIXELS // (shape[1] * shape[2])))
    ]
    content = content_hash(
        f"{tuple(image.shape)}".encode() + image.numpy().tobytes()
        for batch in batches
        for image in batch
    )
    note = f"--val: {len(left_out)} left out, {why}: {left_out[0]}" if left_out else None
    return CentreCrops(batches, content, note)


class Scores(NamedTuple):
    """Means over the validation pictures, in dB, by the name of the point.

    psnr: PSNR of the 8-bit pictures.
    ms_ssim: MS-SSIM in dB; empty where it was not asked for.
    """

    psnr: dict[str, float]
    ms_ssim: dict[str, float]


def mean(scores: dict[str, float]) -> float:
    """Mean over the points, in dB."""
    return round(sum(scores.values()) / len(scores), 4)


def summary(step: int, scores: Scores, at: Sequence[Point], best: bool) -> str:
    """What a validation found: the means in one line, then each point, a line for a channel."""
    first = f"step {step:,}: validation PSNR {mean(scores.psnr):.2f} dB"
    if scores.ms_ssim:
        first += f", MS-SSIM {mean(scores.ms_ssim):.2f} dB"
    lines = [first + (", the best so far" if best else "")]
    for channel in dict.fromkeys(point.channel for point in at):
        each = [
            f"{point.snr_db:g} dB {point.cbr} {scores.psnr[str(point)]:.2f}"
            for point in at
            if point.channel == channel
        ]
        lines.append(f"  {channel}: " + " | ".join(each))
    return "\n".join(lines)


@torch.inference_mode()
def validate(
    model: Codec,
    batches: Sequence[Tensor],
    at: Sequence[Point],
    with_ms_ssim: bool,
    stop: Callable[[], bool] = lambda: False,
    profile: Profile = OURS,
) -> Scores | None:
    """Mean quality of a model in evaluation mode at each point, with the same noise every time.

    Args:
        model: on any device.
        batches: from `centre_crops`.
        at: conditions.
        with_ms_ssim: measure MS-SSIM too, which takes longer than all the rest.
        stop: asked now and then; where it says so, None is returned.
        profile: how the pictures are sent; the figures are always those of `witt.metrics.quality`.
    """
    device = next(model.parameters()).device
    scores = Scores({}, {})
    for point in at:
        generator = torch.Generator().manual_seed(0)
        channel = Link.of(point.channel).module()
        cbr = None if model.fixed_rate else float(Fraction(point.cbr))
        quality, similarity = [], []
        for batch in batches:
            if stop():
                return None
            image = batch.to(device).float() / 255
            sent = transmit_as(
                profile, model, image, channel, point.snr_db, cbr, generator=generator
            )
            out = sent.image
            quality.append(psnr(out, image).clamp(max=BEST_PSNR_DB))
            if with_ms_ssim:
                similarity.append(ms_ssim(out, image).db.clamp(max=BEST_MS_SSIM_DB))
        scores.psnr[str(point)] = round(float(torch.cat(quality).mean()), 3)
        if with_ms_ssim:
            scores.ms_ssim[str(point)] = round(float(torch.cat(similarity).mean()), 3)
    return scores
