"""Digital chains: source codec, 5G LDPC, QAM, channel, and the way back.

picture ─► codec ─► LDPC ─► QAM ─► channel ─► demapper ─► LDPC ─► codec ─► picture
                                                                   └─► grey if a block is lost

Information bits are channel uses × code rate × bits per symbol; the codec's best picture that
fits is sent. Code blocks are lost at simulated rates; no CRC is counted.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.codecs import codec
from benchmarks.codecs.base import Encoded
from benchmarks.codecs.search import Searched
from benchmarks.ldpc.error_rates import block_error_rate
from benchmarks.ldpc.losses import Losses, RateOf
from benchmarks.ldpc.modes import BLOCK_LENGTH, MODES, Blocks, Mode, parse_mode
from benchmarks.ldpc.sionna_adapter import CHECK_NODES, DEMAPPER, ITERATIONS
from benchmarks.schemes.scheme import GREY, Sent, channel_uses
from witt.link.conditions import Link
from witt.metrics.quality import psnr
from witt.pictures.images import Pixels, to_tensor

# Pictures that would not fill one code block in 4QAM share blocks with the others of a call.
SMALL_USES = BLOCK_LENGTH // 2
CONTROL = 0x00C7  # random numbers of its own


def ldpc_scheme(
    name: str, codec_name: str, mode: str | None, searched: Searched | None = None
) -> Digital:
    """A digital chain by names.

    Args:
        name: what it is called in results.
        codec_name: of `benchmarks.codecs`.
        mode: such as "16qam-1/2"; None takes, for each picture and SNR, the mode of the published
            comparison with the highest expected PSNR.
        searched: the codec, where another scheme has it already, to share what was encoded.

    Raises:
        InputError: no such codec or mode, or the codec is not usable here.
    """
    modes = [parse_mode(one) for one in (MODES if mode is None else (mode,))]
    if searched is None:
        source = codec(codec_name)
        source.check()
        searched = Searched(source)
    return Digital(name, codec_name, searched, modes)


class Control(NamedTuple):
    """What tells the receiver the mode, where that is sent.

    uses: channel uses of it, of those that the pictures have.
    failure_rate: how often it is lost, and the pictures with it.
    bits: in it, without its CRC.
    """

    uses: int = 0
    failure_rate: float = 0.0
    bits: int = 0


class Offer(NamedTuple):
    """What a group of pictures, which share code blocks, would get in a mode.

    control: what is sent beside the blocks.
    coded: the best that fits of each picture, None where nothing does.
    spans: the blocks that each picture's bits are in.
    survival: probability that each picture arrives.
    expected_db: mean PSNR of each, of the picture or grey.
    """

    mode: Mode
    losses: Losses
    control: Control
    coded: list[Encoded | None]
    spans: list[range]
    survival: list[float]
    expected_db: list[float]


class Digital:
    """A codec, and LDPC modes of which the best expected one is taken.

    Pictures of fewer than 3072 channel uses, which would not fill a code block in 4QAM, are
    joined: their bits follow each other in the blocks of the call, each has the share of its
    channel uses, and they have one mode. Others have blocks of their own. Channel uses that
    make no whole symbol in each of the equal blocks stay empty and are counted.

    Args:
        name: as asked for on the command line.
        family: the codec's name.
        searched: the codec.
        modes: one, or those to choose from (adaptive coding and modulation: the sender knows
            the SNR and the block error rates, not the gains).
        rate_of: where block error rates come from.
    """

    def __init__(
        self,
        name: str,
        family: str,
        searched: Searched,
        modes: Sequence[Mode],
        rate_of: RateOf = block_error_rate,
    ) -> None:
        self.name, self.family = name, family
        self.searched, self.modes, self.rate_of = searched, tuple(modes), rate_of
        self._measured: dict[tuple[bytes, int | None], float] = {}

    def record(self) -> dict[str, Any]:
        """Plain values for the result file."""
        return {
            "codec": self.family,
            "modes": [mode.name for mode in self.modes],
            "channel_code": "5G NR LDPC, no CRC counted",
            "decoder": f"{CHECK_NODES} belief propagation, {ITERATIONS} iterations",
            "demapper": DEMAPPER,
            "longest_block": BLOCK_LENGTH,
            "lost_picture": f"grey {GREY}",
        }

    def send(
        self,
        pictures: Sequence[Pixels],
        link: Link,
        snr_db: float,
        cbr: float,
        seeds: Sequence[int],
    ) -> list[Sent]:
        """See `Scheme.send`.

        Raises:
            InputError: of the codec, or of `block_error_rate`.
        """
        uses = [channel_uses(pixels, cbr) for pixels in pictures]
        sent: dict[int, Sent] = {}
        for group in _groups(uses):
            members = [pictures[index] for index in group]
            their_uses = [uses[index] for index in group]
            chosen = self.choose(members, their_uses, link, snr_db)
            if chosen is not None:
                results = _deliver(chosen, their_uses, [seeds[index] for index in group])
            else:
                reason = f"{sum(their_uses)} channel uses are too few for a code block"
                results = (Sent(None, count, {"reason": reason}) for count in their_uses)
            sent.update(zip(group, results, strict=True))
        return [sent[index] for index in range(len(pictures))]

    def choose(
        self, pictures: list[Pixels], uses: list[int], link: Link, snr_db: float
    ) -> Offer | None:
        """The best offer for a group of pictures; None where there is none."""
        offers = self.offers(pictures, uses, link, snr_db)
        return _choose(offers) if offers else None

    def control(self, link: Link, snr_db: float) -> Control:
        """What is sent beside the code blocks: nothing, the mode is taken as known."""
        return Control()

    def offers(
        self, pictures: list[Pixels], uses: list[int], link: Link, snr_db: float
    ) -> list[Offer]:
        """What a group of pictures would get in each mode that it can be sent in."""
        control = self.control(link, snr_db)
        offers = (self.offer(pictures, uses, link, snr_db, mode, control) for mode in self.modes)
        return [offer for offer in offers if offer is not None]

    def offer(
        self,
        pictures: list[Pixels],
        uses: list[int],
        link: Link,
        snr_db: float,
        mode: Mode,
        control: Control,
    ) -> Offer | None:
        """What the pictures would get in a mode; None where there are too few bits for a block."""
        total = sum(uses)
        blocks = mode.cut(max(total - control.uses, 0))
        if blocks is None:
            return None
        losses = Losses(link, mode, snr_db, blocks, self.rate_of)
        bits = blocks.bits
        offer = Offer(mode, losses, control, [], [], [], [])
        before = 0
        for pixels, own in zip(pictures, uses, strict=True):
            start, end = bits * before // total, bits * (before + own) // total
            before += own
            budget = (end - start) // 8
            coded = self.searched.best(pixels, budget)
            grey_db = self._psnr(pixels, None)
            offer.coded.append(coded)
            span, survival, expected_db = range(0), 0.0, grey_db
            if coded is not None:
                span = _span(start, 8 * coded.payload_bytes, blocks)
                survival = (1 - control.failure_rate) * losses.survival(span)
                if survival > 0:
                    received_db = self._psnr(pixels, coded)
                    expected_db = survival * received_db + (1 - survival) * grey_db
            offer.spans.append(span)
            offer.survival.append(survival)
            offer.expected_db.append(expected_db)
        return offer

    def _psnr(self, pixels: Pixels, coded: Encoded | None) -> float:
        """PSNR of what was encoded, or of grey, each measured once."""
        digest = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()
        key = digest, None if coded is None else coded.quality
        if key not in self._measured:
            received = np.full_like(pixels, GREY) if coded is None else coded.pixels
            self._measured[key] = float(psnr(to_tensor(received), to_tensor(pixels)))
        return self._measured[key]


def _groups(uses: Sequence[int]) -> Iterator[list[int]]:
    """Which pictures share code blocks: the small ones."""
    small = [index for index, own in enumerate(uses) if own < SMALL_USES]
    if small:
        yield small
    for index, own in enumerate(uses):
        if own >= SMALL_USES:
            yield [index]


def _span(start: int, bits: int, blocks: Blocks) -> range:
    """The code blocks that hold `bits` information bits from `start` on."""
    k = blocks.information_bits
    return range(start // k, -(-(start + bits) // k))


def _choose(offers: list[Offer]) -> Offer:
    """The offer with the highest mean expected PSNR; of equal ones that with the fewest bits."""
    bits = [offer.mode.bits_per_symbol * offer.mode.rate for offer in offers]
    means = [math.fsum(offer.expected_db) / len(offer.expected_db) for offer in offers]
    return max(zip(means, (-count for count in bits), offers, strict=True), key=lambda o: o[:2])[2]


def _deliver(offer: Offer, uses: list[int], seeds: list[int]) -> Iterator[Sent]:
    """Send the pictures of an offer."""
    blocks = offer.losses.blocks
    drawn = offer.losses.draw(seeds)
    control_lost = bool(
        np.random.default_rng([*seeds, CONTROL]).random() < offer.control.failure_rate
    )
    members = zip(offer.coded, offer.spans, offer.survival, offer.expected_db, uses, strict=True)
    for coded, span, survival, expected_db, own in members:
        info: dict[str, Any] = {
            "header_bits": 0,  # size and quality are in the payload
            "mode": offer.mode.name,
            "blocks": blocks.count,
            "block_length": blocks.length,
            "rated_block_length": blocks.rated_length,
            "joined_pictures": len(uses),
            "papr_db": offer.mode.papr_db,
        }
        if offer.control.uses:
            info["header_bits"] = offer.control.bits
            info |= {"control_uses": offer.control.uses, "control_lost": control_lost}
        if coded is None:
            bits = blocks.bits * own // sum(uses)
            yield Sent(None, own, {**info, "reason": f"the codec needs more than {bits} bits"})
            continue
        lost = int(drawn.lost[span.start : span.stop].sum())
        rates = [drawn.rates[block] for block in span]
        info |= {
            # Under one gain for a picture all are equal.
            "block_error_rate": math.fsum(rate.bler for rate in rates) / len(rates),
            "simulated_blocks": min(rate.blocks for rate in rates),
            "lost": lost > 0 or control_lost,
            "lost_blocks": lost,
            "survival": survival,
            "expected_psnr_db": expected_db,
            "quality": coded.quality,
            "payload_bytes": coded.payload_bytes,
            "file_bytes": coded.file_bytes,
        }
        received = np.full_like(coded.pixels, GREY) if info["lost"] else coded.pixels
        yield Sent(received, own, info)
