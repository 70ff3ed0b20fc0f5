"""Pictures over channels, measured as a profile has it: what `witt evaluate` computes."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from witt.contract import Codec, Transmission
from witt.link.conditions import Link
from witt.link.draws import draw_channel
from witt.link.per_image_optimisation import PerImageOptimisation
from witt.link.profile_link import transmit_as
from witt.link.profiles import ON_THE_WAY, OURS, WITHOUT_GAIN, Profile, centre
from witt.link.side_link import CODED, IDEAL, carry_coded, encode_coded
from witt.link.transmission import memory_for
from witt.link.values import Cbr
from witt.metrics.metric import DEFAULT, Figures, Labels, Metric, make_metrics
from witt.metrics.metric import measure as measure_all
from witt.pictures.images import Pixels, to_tensor
from witt.pictures.inputs import Input
from witt.pictures.sheets import TILE
from witt.side_information import Coding

TILES = 1024

Entries = list[Figures]  # the figures of the pictures of a batch


class Condition(NamedTuple):
    """One cell of the table."""

    link: Link
    cbr: Cbr
    snr_db: float
    profile: Profile = OURS
    side_information: str = IDEAL

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.link.record(),
            "channel_label": str(self.link),
            "profile": self.profile.name,
            "departures": list(self.profile.departures),
            "side_information": self.side_information,
            "snr_db": self.snr_db,
            "cbr_requested": self.cbr.value,
            "cbr_label": str(self.cbr),
        }


def image_seed(seed: int, pixels: Pixels) -> int:
    """Seed of the channel for one picture, 32 bits from the seed of the run and the pixels.

    Pictures get independent noise; a picture gets the same at every condition, whatever else is
    in the run, so that conditions are compared fairly. `witt transmit --seed` with it gives the
    same picture.
    """
    digest = hashlib.sha256(f"{seed} {pixels.shape} ".encode() + pixels.tobytes()).digest()
    return int.from_bytes(digest[:4], "big")


def evaluate(
    pictures: Sequence[Input],
    model: Codec,
    conditions: Sequence[Condition],
    *,
    seed: int = 0,
    repeats: int = 1,
    metrics: Sequence[Metric] | None = None,
    adapt: int = 0,
    loss: str = "mse",
    weights_sha256: str = "",
    known: Callable[[Condition, Entries], Entries | None] = lambda *_: None,
) -> Iterator[tuple[Condition, Entries]]:
    """Send every picture at every condition.

    Photographs go one by one, CIFAR-10 pictures in batches of 1,024. Profiles that differ in the
    measurement only share what was received, where they are neighbours.

    Args:
        pictures: from `witt.pictures.inputs.gather` or `gather_with_sheets`.
        model: trained, in evaluation mode.
        conditions: channel, CBR, SNR, profile, and whether side information is sent ("coded") or
            taken as received ("ideal").
        seed: of the channel.
        repeats: draws of the channel for each picture; the first is as if it were the only one.
        metrics: what to measure; None is the PSNR and MS-SSIM.
        adapt: steps of `PerImageOptimisation`, for the profile `ours`.
        loss: of these.
        weights_sha256: of the file of the model, which a coded header names.
        known: gives the figures of a batch at a condition where there are some from before, by
            the `image`, `seed` and `batch` of its pictures. It is not sent again.

    Yields:
        A condition and the figures of the pictures of one batch at it.

    Raises:
        InputError: a CBR or SNR that the model does not serve, or too little memory.
    """
    metrics = make_metrics(DEFAULT) if metrics is None else metrics
    device = model.device
    for number, batch in enumerate(batches(pictures)):
        pixels = [picture.read() for picture in batch]
        seeds = [image_seed(seed, each) for each in pixels]
        whole = torch.cat([to_tensor(each, device) for each in pixels])
        known_labels = [picture.label for picture in batch if picture.label is not None]
        labels = known_labels if len(known_labels) == len(batch) else None
        for repeat in range(repeats):
            if repeat:
                seeds = [image_seed(*each) for each in zip(seeds, pixels, strict=True)]
            named: Entries = [
                {"image": str(picture), "seed": own_seed, "batch": number}
                | ({"repeat": repeat} if repeats > 1 else {})
                for picture, own_seed in zip(batch, seeds, strict=True)
            ]
            for _, group in itertools.groupby(conditions, lambda condition: condition[:3]):
                receptions: dict[Profile, Reception] = {}
                for condition in group:
                    if (before := known(condition, named)) is not None:
                        yield condition, before
                        continue
                    fades = condition.link.fades
                    way = condition.profile.only(ON_THE_WAY if fades else WITHOUT_GAIN)
                    if way not in receptions:
                        channel = condition.link.module()
                        optimisation = PerImageOptimisation(adapt, channel, loss) if adapt else None
                        receptions[way] = send_batch(
                            model, whole, condition, seeds, optimisation, weights_sha256
                        )
                    figures = measure(receptions[way], condition.profile, metrics, labels)
                    both = zip(named, figures, strict=True)
                    yield condition, [name | figure for name, figure in both]


def batches(pictures: Sequence[Input]) -> Iterator[Sequence[Input]]:
    """Photographs one by one, 32×32 pictures that are no files by 1,024.

    So many the published code tests at a time.
    """
    start = 0
    while start < len(pictures):
        end = start + 1
        most = start + TILES if _is_tile(pictures[start]) else end
        while end < min(most, len(pictures)) and _is_tile(pictures[end]):
            end += 1
        yield pictures[start:end]
        start = end


def _is_tile(picture: Input) -> bool:
    return picture.tile is not None and picture.size == (TILE, TILE)


class Reception(NamedTuple):
    """What was sent, what was received, and the seconds that one picture took."""

    image: Tensor
    sent: Transmission
    seconds: float


def send_batch(
    model: Codec,
    image: Tensor,
    condition: Condition,
    seeds: Sequence[int],
    optimisation: PerImageOptimisation | None = None,
    weights_sha256: str = "",
) -> Reception:
    """Pictures of one size over the channel as the profile has it, each with its own noise."""
    profile = condition.profile
    if profile.centre_crop:
        rows, columns = centre((image.shape[2], image.shape[3]))
        image = image[:, :, rows, columns]
    channel, cbr = condition.link.module(), condition.cbr.value
    if condition.side_information == CODED:
        coding = Coding.of(channel, weights_sha256)
        started = time.perf_counter()
        with memory_for(image), torch.inference_mode():
            told_db = channel.planned_db(condition.snr_db)
            encoded = encode_coded(
                model, image, told_db, cbr, coding=coding, optimisation=optimisation
            )
            sent = carry_coded(
                model, encoded, channel, condition.snr_db, coding=coding, seeds=seeds
            )
        return Reception(image, sent, (time.perf_counter() - started) / len(image))
    h, noise = draw_channel(
        channel, model.channel_uses((image.shape[2], image.shape[3]), cbr), seeds
    )
    started = time.perf_counter()
    with memory_for(image), torch.inference_mode():
        sent = transmit_as(
            profile,
            model,
            image,
            channel,
            condition.snr_db,
            cbr,
            h=h,
            noise=noise,
            optimisation=optimisation,
        )
    return Reception(image, sent, (time.perf_counter() - started) / len(image))


def measure(
    reception: Reception, profile: Profile, metrics: Sequence[Metric], labels: Labels = None
) -> Entries:
    """The figures of each picture, measured as the profile has it, perfect ones capped."""
    image, sent, seconds = reception
    found = measure_all(
        metrics,
        sent.image,
        image,
        labels=labels,
        eight_bit=not profile.float_pixels,
        published=profile.four_scales,
    )
    shared = {
        "width": image.shape[3],
        "height": image.shape[2],
        "cbr": sent.cbr,
        "channel_uses": sent.symbols.shape[1],
        "header_bits": sent.header_bits,
        "side_uses": sent.side_uses,
        "uses_on_top": sent.on_top,
        "seconds": seconds,
    }
    lost = sent.lost or [False] * len(found)
    return [
        {**figures, **shared, "side_information_lost": grey}
        for figures, grey in zip(found, lost, strict=True)
    ]
