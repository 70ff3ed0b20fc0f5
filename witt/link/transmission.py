"""One picture over one channel, measured: what `witt transmit` and `witt evaluate` share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from witt.contract import Codec, Transmission
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.per_image_optimisation import PerImageOptimisation
from witt.link.side_link import CODED, IDEAL, carry_coded, check_way, encode_coded
from witt.metrics.metric import DEFAULT, Figures, Metric, make_metrics, measure
from witt.pictures.images import Pixels, to_pixels, to_tensor
from witt.side_information import Coding
from witt.waiting import Advance, nobody_waits


class Draw(NamedTuple):
    """One transmission of a picture, measured on its 8-bit pixels.

    figures: the values of the metrics by key, "psnr_db", "ms_ssim", "ms_ssim_db" and
        "ms_ssim_variant" for the usual ones. A picture that arrives without error counts as
        100 dB of PSNR and 60 dB of MS-SSIM.
    """

    sent: Transmission
    pixels: Pixels
    figures: Figures
    seconds: float


@contextmanager
def memory_for(image: Tensor) -> Iterator[None]:
    """Say which picture was too large.

    Raises:
        InputError: there was too little memory in the block.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        raise InputError(
            f"a picture of {image.shape[3]}x{image.shape[2]} pixels needs more memory than there "
            f"is on {image.device}: make the picture smaller"
        ) from error


def transmit(
    pixels: Pixels,
    model: Codec,
    link: Link | None = None,
    snr_db: float = 10.0,
    cbr: float | None = 1 / 16,
    *,
    seed: int = 0,
    repeats: int = 1,
    metrics: Sequence[Metric] | None = None,
    optimisation: PerImageOptimisation | None = None,
    side_information: str = IDEAL,
    weights_sha256: str = "",
    advance: Advance = nobody_waits,
    regions: bool = False,
) -> list[Draw]:
    """Send a picture, with `repeats` independent draws of the channel.

        draws = transmit(witt.read_image("photo.png").pixels, witt.load("witt_light"))
        witt.write_png("received.png", draws[0].pixels)

    Args:
        pixels: (H, W, 3) uint8.
        model: trained, in evaluation mode.
        link: the channel; None is AWGN.
        snr_db: Es/N0 in dB.
        cbr: requested CBR; None sends all feature channels.
        seed: of the channel; the draws follow each other from it, so that the first one is the
            same however many there are.
        repeats: number of draws.
        metrics: what to measure; None is the PSNR and MS-SSIM (0.9 s for 768x512 pixels on a
            CPU).
        optimisation: how the transmitter improves what it sends, if at all.
        side_information: "coded", sent with the picture, or "ideal", taken as received.
        weights_sha256: of the file of the model, which a coded header names.
        advance: called after each step of `optimisation` and after each draw.
        regions: whether the first draw has the maps of `Codec.regions`; its `seconds` count them.

    Returns:
        A `Draw` for each; its `seconds` are from pixels to pixels, without the metrics, though the
        picture is encoded once for all of them.

    Raises:
        InputError: a CBR or SNR that the model does not serve, another way to treat side
            information, or too little memory.
    """
    check_way(side_information)
    metrics = make_metrics(DEFAULT) if metrics is None else metrics
    started = time.perf_counter()
    image = to_tensor(pixels, model.device)
    channel = (link or Link()).module()
    generator = torch.Generator().manual_seed(seed)
    with memory_for(image), torch.inference_mode():
        encode: Callable[..., Any] = model.encode
        if optimisation is not None:
            optimisation = replace(optimisation, advance=advance)
        if optimisation is not None:
            encode = partial(optimisation.encode, model)
        carry: Callable[..., Transmission] = model.carry
        if side_information == CODED:
            coding = Coding.of(channel, weights_sha256)
            encode = partial(encode_coded, model, coding=coding, optimisation=optimisation)
            carry = partial(carry_coded, model, coding=coding)
        encoded = encode(image, channel.planned_db(snr_db), cbr)
    encoding = time.perf_counter() - started
    draws = []
    for number in range(repeats):
        more = {"regions": True} if regions and number == 0 else {}
        started = time.perf_counter()
        with memory_for(image), torch.inference_mode():
            sent = carry(encoded, channel, snr_db, generator=generator, **more)
        received = to_pixels(sent.image)
        seconds = encoding + time.perf_counter() - started
        (figures,) = measure(metrics, sent.image, image)
        draws.append(Draw(sent, received, figures, seconds))
        advance()
    return draws
