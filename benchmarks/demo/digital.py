"""The digital panel: HEVC and 5G LDPC, at block error rates that were simulated beforehand.

A page cannot wait for a simulation, so points that the shipped table does not have are refused in
a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

import channels
from benchmarks.codecs import codec
from benchmarks.codecs.base import Codec, Encoded
from benchmarks.codecs.search import Searched
from benchmarks.demo.lanes import Check
from benchmarks.demo.pictures import Photograph
from benchmarks.demo.received import MOST_POINTS, Received, some_points
from benchmarks.demo.settings import BEST_MODE, Settings
from benchmarks.ldpc.modes import BLOCK_LENGTH, MODES, Mode, parse_mode
from benchmarks.ldpc.table import SHIPPED, Rate, Table, curve_of, known, read_table
from benchmarks.schemes.digital import Digital
from benchmarks.schemes.scheme import channel_uses
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.draws import draw_channel
from witt.link.evaluation import image_seed
from witt.pictures.images import Pixels

KEPT_BYTES = 64 * 2**20  # of decoded pictures
HOPELESS = 1e-6  # probability that a picture arrives


class Interruptible:
    """A codec that stops between two encodings of a search if nobody waits for it any more."""

    def __init__(self, inner: Codec) -> None:
        self.inner, self.name, self.qualities = inner, inner.name, inner.qualities
        self.wanted: Check = lambda: None

    def check(self) -> None:
        """As of the codec."""
        self.inner.check()

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        """As of the codec.

        Raises:
            Dropped: nobody waits.
        """
        self.wanted()
        return self.inner.encode(pixels, quality)


class DigitalSender:
    """Sends by `hevc+ldpc`; by JPEG where there is no HEVC. For one thread."""

    def __init__(self, name: str = "hevc") -> None:
        self.notes: tuple[str, ...] = ()
        found = codec(name)
        try:
            found.check()
        except InputError as error:
            self.notes = (f"JPEG stands in for HEVC here: {error}.",)
            found = codec("jpeg")
        self.name = found.name
        self._codec = Interruptible(found)
        self._searched = Searched(self._codec, KEPT_BYTES)

    def send(self, photograph: Photograph, settings: Settings, check: Check) -> Received:
        """One picture over the channel; arguments as of `Neural.send`."""
        pixels, link = photograph.pixels, settings.link
        self._codec.wanted = check
        uses = channel_uses(pixels, settings.ratio)
        try:
            modes = self._modes(settings, uses)
            # A new one each time: it would remember the PSNR of every picture there ever was.
            scheme = Digital("demo", self.name, self._searched, modes, shipped_rate)
            # The seed that `witt benchmark` gives this picture.
            seed = image_seed(settings.seed, pixels)
            (sent,) = scheme.send([pixels], link, settings.snr_db, settings.ratio, [seed])
        except InputError as error:
            return Received(None, float("nan"), notes=(*self.notes, f"{error}."))
        facts = {"codec": self.name, "channel_uses": sent.channel_uses, **sent.info}
        facts["cbr"] = sent.channel_uses / pixels.size
        if sent.pixels is None:
            reason = str(sent.info.get("reason", "it cannot be sent"))
            said = f"Not sent: {reason}."
            return Received(None, float("nan"), facts, (*self.notes, said))
        notes = self.notes
        if sent.info["lost"]:
            notes += (_what_was_lost(sent.info["lost_blocks"], sent.info["blocks"]),)
        points = some_points(_symbols(link, parse_mode(sent.info["mode"]), settings.snr_db, seed))
        return Received.of(
            photograph,
            sent.pixels,
            facts=facts,
            notes=notes,
            points=points,
            lost=bool(sent.info["lost"]),
        )

    def _modes(self, settings: Settings, uses: int) -> Sequence[Mode]:
        """The modes that may be the best one: a search for the others would be in vain."""
        if settings.mode != BEST_MODE:
            return [parse_mode(settings.mode)]
        modes = [parse_mode(name) for name in MODES]
        if settings.link.fading == "block" and settings.link.fades:
            return modes
        possible: list[Mode] = []
        safe: list[Mode] = []
        for mode in modes:
            blocks = mode.cut(uses)
            if blocks is None:
                continue
            rate = shipped_rate(settings.link, mode, settings.snr_db, blocks.rated_length)
            if rate.errors == 0:
                safe.append(mode)
            elif (1 - rate.bler) ** blocks.count > HOPELESS:
                possible.append(mode)
        # Of those that lose nothing the one with most bits gives the best picture.
        possible += sorted(safe, key=lambda mode: mode.bits_per_symbol * mode.rate)[-1:]
        return possible or modes[:1]


def _symbols(link: Link, mode: Mode, snr_db: float, seed: int) -> Tensor:
    """Received symbols (N,) as those of the code blocks look after the equaliser.

    Coded bits are as good as random, so each point of the constellation is as likely. One gain for
    the whole picture is the one that its code blocks meet.
    """
    bits = torch.Generator().manual_seed(seed)
    places = torch.randint(mode.order, (1, MOST_POINTS), generator=bits)
    channel = link.module()
    h, noise = draw_channel(channel, MOST_POINTS, [seed])
    out = channel(torch.from_numpy(mode.points)[places], snr_db, h=h, noise=noise)
    received, _ = channels.receive(channel, out)
    return received[0]


def shipped_rate(link: Link, mode: Mode, snr_db: float, block_length: int = BLOCK_LENGTH) -> Rate:
    """As `benchmarks.ldpc.error_rates.block_error_rate`, from the shipped table alone.

    Raises:
        InputError: it is not in there.
    """
    rate = known(_table().get(curve_of(link, mode, block_length), {}), snr_db)
    if rate is None:
        short = block_length < BLOCK_LENGTH
        why = f"code blocks of {block_length} bits, as so small a picture has" if short else link
        raise InputError(
            f"the digital chain is not shown here: its error rates for {why} have not been "
            "simulated beforehand (witt benchmark simulates them)"
        )
    return rate


@cache
def _table() -> Table:
    return read_table(SHIPPED)


def _what_was_lost(lost: int, blocks: int) -> str:
    if lost == blocks:
        return "Nothing arrived: at this SNR the channel code cannot correct the errors."
    many = f"{lost} of {blocks} code blocks were"
    return f"{'One code block was' if lost == 1 else many} lost, and the picture with it."
