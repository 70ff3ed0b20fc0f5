"""Which code blocks of a transmission are lost, and how likely it is that none of some is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.ldpc.modes import Blocks, Mode
from benchmarks.ldpc.table import Rate
from witt.link.conditions import Link

RateOf = Callable[[Link, Mode, float, int], Rate]

# A gain that holds for whole code blocks makes the channel AWGN at an SNR of its own, which is
# rounded to the steps of the shipped table.
STEP_DB = 0.5
# No rate that is served works below (capacity 0.14 bit), none but a few fails above.
LOWEST_DB, HIGHEST_DB = -10.0, 60.0
GAINS = 20_000


class Drawn(NamedTuple):
    """What happened to each code block.

    rates: its error rate, at the gain that it met where the gain holds for it.
    lost: whether it was lost.
    """

    rates: list[Rate]
    lost: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Losses:
    """Loss of code blocks over a link.

    AWGN and fading that changes within a code block: blocks are lost independently, at the rate
    simulated for that channel. One gain for whole code blocks: the gain is drawn, and the blocks
    under it are lost at the rate of AWGN at SNR + 20 log10 |h|, rounded to 0.5 dB; a coherence
    is then rounded down to whole blocks.

    Args:
        link: the channel.
        mode: modulation and code rate.
        snr_db: Es/N0 in dB.
        blocks: the code blocks, as `benchmarks.ldpc.modes.cut` makes them.
        rate_of: `benchmarks.ldpc.error_rates.block_error_rate`.
    """

    link: Link
    mode: Mode
    snr_db: float
    blocks: Blocks
    rate_of: RateOf

    @property
    def hold(self) -> int:
        """Code blocks under one gain; 0 where the gain changes within one, or there is none."""
        if not self.link.fades or self.link.fading == "fast" or self.link.coherence == 1:
            return 0
        if self.link.coherence is None:
            return self.blocks.count
        return self.link.coherence // (self.blocks.length // self.mode.bits_per_symbol)

    def survival(self, span: range) -> float:
        """Probability that none of some consecutive blocks is lost, before any gain is known."""
        length = self.blocks.rated_length
        if not self.hold:
            rate = self.rate_of(self.link, self.mode, self.snr_db, length)
            return float((1 - rate.bler) ** len(span))
        together = Counter(block // self.hold for block in span).values()
        return math.prod(
            _mean_survival(self.link, self.mode, self.snr_db, length, count, self.rate_of)
            for count in together
        )

    def draw(self, seeds: Sequence[int]) -> Drawn:
        """Draw gains and losses.

        The same seeds draw the same numbers for every mode and SNR, and one gain for a picture is
        that of `witt.link.conditions.send` with the seed.

        Args:
            seeds: of the pictures whose blocks these are, each a whole number from 0.
        """
        length = self.blocks.rated_length
        if self.hold:
            link, snrs_db = Link(), self._snrs_db(seeds[0])
        else:
            link, snrs_db = self.link, [self.snr_db] * self.blocks.count
        at = {snr: self.rate_of(link, self.mode, snr, length) for snr in dict.fromkeys(snrs_db)}
        rates = [at[snr] for snr in snrs_db]
        numbers = np.random.default_rng(list(seeds)).random(self.blocks.count)
        return Drawn(rates, numbers < np.array([rate.bler for rate in rates]))

    def _snrs_db(self, seed: int) -> list[float]:
        """The SNR of each block under the gain that it meets."""
        generator = torch.Generator().manual_seed(seed)
        groups = -(-self.blocks.count // self.hold)
        coherence = self.link.coherence or 1
        h = self.link.module().sample_gain(1, groups * coherence, generator=generator)
        # One gain for all is a single column.
        gains = h[0, ::coherence].expand(groups).abs().double().numpy()
        snrs_db = _effective_db(self.snr_db, gains).tolist()
        return [snrs_db[block // self.hold] for block in range(self.blocks.count)]


def _effective_db(snr_db: float, gains: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """SNR under each gain |h|, rounded and kept within what is served."""
    exact = snr_db + 20 * np.log10(np.maximum(gains, 1e-9))
    rounded = np.round(exact / STEP_DB) * STEP_DB
    return np.asarray(np.clip(rounded, LOWEST_DB, HIGHEST_DB) + 0.0)


@lru_cache(maxsize=4096)
def _mean_survival(
    link: Link, mode: Mode, snr_db: float, length: int, count: int, rate_of: RateOf
) -> float:
    """Mean over the gain of the probability that `count` blocks under it all arrive."""
    snrs_db, often = np.unique(_effective_db(snr_db, _gains(link)), return_counts=True)
    arrive = [(1 - rate_of(Link(), mode, snr, length).bler) ** count for snr in snrs_db.tolist()]
    return float(np.average(arrive, weights=often))


@lru_cache(maxsize=8)
def _gains(link: Link) -> npt.NDArray[np.float64]:
    """Many |h| of a link, always the same."""
    generator = torch.Generator().manual_seed(0)
    one_each = Link(link.channel, "block", None, link.k_factor_db).module()
    h = one_each.sample_gain(GAINS, 1, generator=generator)
    gains: npt.NDArray[np.float64] = h[:, 0].abs().double().numpy()
    return gains
