"""A scheme before the referee: its claim, its samples, what arrives, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.referee import processes
from benchmarks.referee.air import symbols_in
from benchmarks.referee.choice import by_commands, ends_of
from benchmarks.referee.measure import used
from benchmarks.referee.processes import Air, Arrived, Transmitted
from benchmarks.referee.verdict import Check, check_picture, check_samples, check_side
from benchmarks.schemes.scheme import GREY, Scheme, Sent, send_checked, what_failed
from benchmarks.sweep.measure import measure
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.evaluation import image_seed
from witt.metrics.metric import Metric
from witt.pictures.images import Pixels
from witt.radio.samples import Recording
from witt.waiting import Advance, nobody_waits

# Of what a scheme says of a picture, what the referee looks at.
CLAIMED = (
    *("header_bits", "side_uses", "control_uses", "side_information_lost"),
    *("mode", "lost", "survival", "reason"),
)


@dataclass(frozen=True)
class Condition:
    """What all schemes are looked at over.

    link: the channel.
    snr_db: Es/N0 of samples of unit mean power, dB.
    cbr: most channel uses over 3·H·W.
    seed: of the run; pictures have their own from it, as in `witt benchmark`.
    true_gains: whether the receiver is told the channel's gain of each sample and its noise; else
        it estimates them from preamble and pilots.
    """

    link: Link
    snr_db: float
    cbr: float
    seed: int
    true_gains: bool

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.link.record(),
            "channel_label": str(self.link),
            "snr_db": self.snr_db,
            "cbr": self.cbr,
            "seed": self.seed,
            "receiver": "true gains" if self.true_gains else "own estimates",
        }


def needs_true_gains(link: Link) -> bool:
    """Whether the gain changes faster than pilots can follow."""
    return link.fades and not (link.is_ours and link.fading == "block" and link.coherence is None)


def look_at(
    scheme: Scheme,
    weights: dict[str, str],
    pictures: Sequence[Pixels],
    condition: Condition,
    metrics: Sequence[Metric],
    advance: Advance = nobody_waits,
) -> dict[str, Any]:
    """Plain values of what a scheme claims and what it does, picture by picture.

    Args:
        scheme: as `benchmarks.schemes.registry.make_schemes` makes it.
        weights: those given for it, by name.
        pictures: (H, W, 3) uint8 each.
        condition: channel and more.
        metrics: of the pictures.
        advance: called with the pictures whose claim was computed, that were sent, or received.

    Returns:
        "pictures", a list; or "no_ends", why there is nothing to look at; or "failed".
    """
    if not by_commands(scheme):
        try:
            ends_of(scheme)
        except InputError as reason:
            return {"no_ends": str(reason)}
    seeds = [image_seed(condition.seed, pixels) for pixels in pictures]
    link, snr_db, cbr = condition.link, condition.snr_db, condition.cbr
    try:
        claims = []
        for pixels, seed in zip(pictures, seeds, strict=True):
            claims += send_checked(scheme, [pixels], link, snr_db, cbr, [seed])
            advance()
        sent = processes.transmit(scheme, weights, pictures, link, snr_db, cbr)
        advance(len(pictures))
        air = [
            None if each.samples is None else over(each.samples, condition, seed)
            for each, seed in zip(sent, seeds, strict=True)
        ]
        arrived = processes.receive(scheme, weights, air)
        advance(len(pictures))
    except Exception as error:  # whatever a stranger's scheme raises
        return {"failed": what_failed(error)}
    rows = zip(pictures, claims, sent, arrived, strict=True)
    return {"pictures": [_picture(*row, metrics) for row in rows]}


def over(samples: Any, condition: Condition, seed: int) -> Air:
    """Samples over the channel, y = h x + n; their power is left as it is.

    Args:
        samples: (N,) complex64.
        condition: the channel.
        seed: of the picture.
    """
    channel, x = condition.link.module(), torch.from_numpy(samples)[None]
    generator = torch.Generator().manual_seed(seed)
    h, noise = channel.draw(1, x.shape[1], dtype=x.dtype, device=None, generator=generator)
    out = channel(x, condition.snr_db, h=h, noise=noise)
    csi = None
    if condition.true_gains:
        gains = out.h.expand(x.shape)[0].numpy().astype(np.complex64)
        csi = Recording(gains, facts={"noise_variance": float(out.noise_var)})
    return Air(out.y[0].numpy(), csi)


def differences(result: dict[str, Any]) -> Iterator[Check]:
    """The claims of a scheme that do not hold, from what `look_at` returned."""
    for picture in result.get("pictures", ()):
        for check in picture["checks"]:
            if not check["holds"]:
                yield Check(**check)


def _picture(
    original: Pixels,
    claim: Sent,
    sent: Transmitted,
    arrived: Arrived,
    metrics: Sequence[Metric],
) -> dict[str, Any]:
    claimed = {key: claim.info[key] for key in CLAIMED if key in claim.info}
    claimed |= _figures(measure(original, claim, metrics).row)
    claimed["channel_uses"] = claim.channel_uses
    row: dict[str, Any] = {"claimed": claimed, "transmitter": sent.note}
    if sent.samples is None or claim.pixels is None:
        agree = sent.samples is None and claim.pixels is None
        said = claimed.get("reason", "sent") if sent.samples is None else sent.note
        checks = [Check("pictures sent", float(claim.pixels is not None), float(not agree), agree)]
        return {**row, "measured": None, "checks": [c._asdict() for c in checks], "said": said}
    amount = used(sent.samples)
    symbols = symbols_in(amount.samples) if sent.framed else amount.samples
    shown = arrived.pixels is not None and arrived.pixels.shape == original.shape
    pixels = arrived.pixels if shown else np.full_like(original, GREY)
    figures = measure(original, Sent(pixels, symbols, {}), metrics).row
    measured = {
        **amount._asdict(),
        "symbols": symbols,
        "cbr": symbols / original.size,
        "cbr_with_preamble_and_pilots": amount.samples / original.size,
        "side_information_bits": sent.side_bits,
        "side_information_symbols": sent.side_symbols,
        "lost": not shown,
        **_figures(figures),
    }
    checks = [
        *check_samples(claimed, amount, symbols),
        *check_side(claimed, sent.side_bits, sent.side_symbols),
        *check_picture(claimed, figures, shown, arrived.note),
    ]
    told = [check._asdict() for check in checks]
    return {**row, "receiver": arrived.note, "measured": measured, "checks": told}


def _figures(row: dict[str, float]) -> dict[str, float]:
    """The figures of pictures that there are."""
    apart = ("channel_uses", "cbr")
    return {k: v for k, v in row.items() if k not in apart and not math.isnan(v)}
