"""A source codec over 5G: the whole MCS tables, long code blocks, all CRCs and control counted.

picture ─► codec ─► transport block ─► code blocks ─► LDPC ─► QAM ─┐
                                MCS and length ─► CRC, polar, QPSK ─┴─► channel uses of the picture

The mode is chosen for each picture by its expected PSNR. The sender knows the SNR and the block
error rates, not the gains.
"""

from __future__ import annotations

from typing import Any

from benchmarks.codecs.search import Searched
from benchmarks.ldpc.bicm import bicm_capacity
from benchmarks.ldpc.error_rates import block_error_rate
from benchmarks.ldpc.losses import RateOf
from benchmarks.ldpc.modes import Mode
from benchmarks.ldpc.nr import ALL_MCS, LONGEST_BLOCK
from benchmarks.ldpc.sionna_adapter import CHECK_NODES, DEMAPPER, MOST_ITERATIONS
from benchmarks.schemes.bounds import capacity
from benchmarks.schemes.digital import Control, Digital, Offer
from benchmarks.schemes.scheme import GREY
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import Pixels
from witt.radio.blocks import level_for

# Which MCS of both tables, how many channel uses, and the bytes of the payload.
CONTROL_BITS = 6 + 24 + 24
CONTROL_FAILURES = 1e-3


class Nr(Digital):
    """A codec over the downlink of 5G.

    Small pictures are joined as in `Digital`; they then have one control block.

    Args:
        name: as asked for on the command line.
        family: the codec's name.
        searched: the codec.
        rate_of: where block error rates come from.
    """

    def __init__(
        self, name: str, family: str, searched: Searched, rate_of: RateOf = block_error_rate
    ) -> None:
        super().__init__(name, family, searched, ALL_MCS, rate_of)

    def record(self) -> dict[str, Any]:
        """Plain values for the result file."""
        return {
            "codec": self.family,
            "modes": "TS 38.214, tables 5.1.3.1-1 and 5.1.3.1-2",
            "channel_code": "5G NR LDPC (TS 38.212), CRCs counted",
            "decoder": f"{CHECK_NODES} belief propagation, {MOST_ITERATIONS} iterations at most",
            "demapper": DEMAPPER,
            "longest_block": LONGEST_BLOCK[1],
            "control_bits": CONTROL_BITS,
            "control_failures": CONTROL_FAILURES,
            "lost_picture": f"grey {GREY}",
        }

    def control(self, link: Link, snr_db: float) -> Control:
        """The control block: the shortest that is lost once in 1,000 at this SNR, and drawn so."""
        uses = level_for(CONTROL_BITS, snr_db, link.fades)
        return Control(uses, CONTROL_FAILURES, CONTROL_BITS)

    def offers(
        self, pictures: list[Pixels], uses: list[int], link: Link, snr_db: float
    ) -> list[Offer]:
        """The modes that can be best.

        Those over the capacity of their QAM lose every picture; those under one that loses no
        block are as safe as it is, and carry less.
        """
        control = self.control(link, snr_db)
        offers: list[Offer] = []
        for mode in reversed(self.modes):
            if mode != self.modes[0] and not _may_arrive(mode, link, snr_db):
                continue
            offer = self.offer(pictures, uses, link, snr_db, mode, control)
            if offer is not None:
                offers.append(offer)
                if offer.losses.survival(range(offer.losses.blocks.count)) == 1:
                    break
        return offers


def _may_arrive(mode: Mode, link: Link, snr_db: float) -> bool:
    """Whether a mode is under the capacity of its QAM; of a channel, where that is not known."""
    if link.is_ours and link.channel in ("awgn", "rayleigh"):
        if link.channel == "awgn" or link.fading == "fast":
            return mode.efficiency <= bicm_capacity(mode.bits_per_symbol, snr_db, link.fades)
        return True  # a good gain carries nearly any
    if link.fades and link.fading != "fast":
        return True
    try:
        return float(mode.efficiency) <= capacity(link, snr_db)
    except InputError:
        return True
