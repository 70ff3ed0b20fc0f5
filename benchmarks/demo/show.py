"""What the page is sent after a slider moved: each panel as soon as it is there, then the curve."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.demo.cache import Bounded
from benchmarks.demo.digital import DigitalSender
from benchmarks.demo.lanes import CURVE, METRIC, PICTURE, Check, Dropped, Lane
from benchmarks.demo.neural import Neural, weights_for
from benchmarks.demo.pictures import Photograph
from benchmarks.demo.received import Received, in_words
from benchmarks.demo.settings import Settings
from witt.errors import InputError, one_line
from witt.memory import release_freed_memory

NEURAL, DEEPJSCC, DIGITAL = PANELS = ("neural", "deepjscc", "digital")
CURVE_SNRS_DB = (-5.0, -2.0, 1.0, 4.0, 7.0, 10.0, 13.0, 16.0, 19.0)
DIGITAL_SNRS_DB = tuple(float(snr) for snr in range(-5, 21))
KEPT_BYTES, KEPT_FIGURES = 64 * 2**20, 8192
TIDY_SECONDS = 10.0

Event = dict[str, Any]


class Show:
    """The senders, and what they made lately. One for all visitors: it knows none of them.

    Args:
        device: for the neural codes.
    """

    def __init__(self, device: str = "auto") -> None:
        self.neural, self.digital = Neural(device), DigitalSender()
        # The neural panel must answer while a finger is on the slider; the rest stands back.
        self.front, self.back = Lane("front"), Lane("back", niceness=10)
        self.received: Bounded[Received] = Bounded(KEPT_BYTES, lambda received: received.nbytes)
        self.figures: Bounded[Any] = Bounded(KEPT_FIGURES)
        self.closed = False
        self._tidied = float("-inf")
        self._open: set[asyncio.Queue[Event | None]] = set()

    def close(self) -> None:
        """End all `events`, for the program ends."""
        self.closed = True
        for queue in self._open:
            queue.put_nowait(None)

    def send(
        self, panel: str, photograph: Photograph, settings: Settings, check: Check
    ) -> Received:
        """What a panel shows, made now or kept from before.

        Raises:
            Dropped: nobody waits.
            InputError: it cannot be sent so, in a sentence.
        """
        key, make = self._plan(panel, photograph, settings, with_maps=True)
        found = self.received.get(key)
        if found is None:
            found = self.received.put(key, make(check))
        self.figures.put(key, found.psnr_db)
        return found

    def psnr_db(
        self, panel: str, photograph: Photograph, settings: Settings, check: Check
    ) -> float:
        """A point of the curve: as `send`, of which only the figure is kept."""
        key, make = self._plan(panel, photograph, settings)
        found = self.figures.get(key)
        if found is None:
            found = self.figures.put(key, make(check).psnr_db)
        return float(found)

    def ms_ssim(self, panel: str, photograph: Photograph, settings: Settings) -> dict[str, Any]:
        """The MS-SSIM of what `send` made; nothing where that is not kept any more."""
        key, _ = self._plan(panel, photograph, settings)
        found = self.figures.get(("ms-ssim", key))
        received = self.received.get(key)
        if found is None and received is not None:
            found = self.figures.put(("ms-ssim", key), received.ms_ssim(photograph))
        return dict(found or {})

    def _plan(
        self, panel: str, photograph: Photograph, settings: Settings, with_maps: bool = False
    ) -> tuple[tuple[Any, ...], Callable[[Check], Received]]:
        """What a panel depends on, and how it is made."""
        channel = (settings.snr_db, settings.cbr, settings.channel, settings.seed)
        if panel == DIGITAL:
            make = partial(self.digital.send, photograph, settings)
            return (panel, photograph.id, settings.mode, *channel), make
        weights = weights_for(settings)[0] if panel == NEURAL else DEEPJSCC
        make = partial(self.neural.send, photograph, weights, settings)
        if panel == NEURAL and with_maps:
            make = partial(make, with_maps=True)
        return (weights, photograph.id, *channel), make

    async def events(
        self, photograph: Photograph, settings: Settings, check: Check
    ) -> AsyncIterator[Event]:
        """What to show for some settings, as it comes.

        Args:
            photograph: to send.
            settings: the channel and the senders.
            check: raises `Dropped` when something newer is asked for.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        async def all_of_it() -> None:
            try:
                panels = (self._panel(each, photograph, settings, check, queue) for each in PANELS)
                await asyncio.gather(*panels)
                await self._curve(photograph, settings, check, queue)
                queue.put_nowait({"event": "done"})
            except Dropped:
                queue.put_nowait({"event": "dropped"})
            except Exception as error:  # the page says so, and the next move of a slider works
                queue.put_nowait({"event": "failed", "panel": None, "says": sentence(error)})
            finally:
                queue.put_nowait(None)

        task = asyncio.create_task(all_of_it())
        self._open.add(queue)
        try:
            while (event := await queue.get()) is not None:
                self._tidy_soon()
                yield event
        finally:
            self._open.discard(queue)
            task.cancel()

    def _tidy_soon(self) -> None:
        """Have memory that work left behind given back, a while after it: that costs time too."""
        now = time.monotonic()
        if now - self._tidied >= TIDY_SECONDS:
            self._tidied = now
            # In the lane in front, which no other work can hold up while it has the allocator.
            tidy = partial(self.front.submit, CURVE, lambda: None, release_freed_memory)
            asyncio.get_running_loop().call_later(TIDY_SECONDS, tidy)

    async def _panel(
        self,
        panel: str,
        photograph: Photograph,
        settings: Settings,
        check: Check,
        queue: asyncio.Queue[Event | None],
    ) -> None:
        lane = self.front if panel == NEURAL else self.back
        send = partial(self.send, panel, photograph, settings, check)
        try:
            received = await asyncio.wrap_future(lane.submit(PICTURE, check, send))
        except Dropped:
            raise
        except Exception as error:  # a sentence in this panel; the others go on
            queue.put_nowait({"event": "failed", "panel": panel, "says": sentence(error)})
            return
        queue.put_nowait(
            {"event": "panel", "panel": panel, **self._shown(panel, settings, received)}
        )
        measure = partial(self.ms_ssim, panel, photograph, settings)
        figures = await asyncio.wrap_future(self.back.submit(METRIC, check, measure))
        if figures:
            queue.put_nowait({"event": "ms-ssim", "panel": panel, **in_words(figures)})

    def _shown(self, panel: str, settings: Settings, received: Received) -> Event:
        chosen = weights_for(settings)[1] if panel == NEURAL else ()
        return {
            "png": base64.b64encode(received.png).decode(),
            "psnr_db": received.psnr_db,
            "facts": received.facts,
            "notes": [*chosen, *received.notes],
            "points": received.points,
            "lost": received.lost,
            "maps": {
                name: {**overlay._asdict(), "png": base64.b64encode(overlay.png).decode()}
                for name, overlay in received.maps.items()
            },
            "unsaid": received.unsaid,
        }

    async def _curve(
        self,
        photograph: Photograph,
        settings: Settings,
        check: Check,
        queue: asyncio.Queue[Event | None],
    ) -> None:
        """The PSNR at other SNRs: those nearby first."""
        wanted = [
            *((NEURAL, snr) for snr in CURVE_SNRS_DB),
            *((DEEPJSCC, snr) for snr in CURVE_SNRS_DB),
            *((DIGITAL, snr) for snr in DIGITAL_SNRS_DB),
        ]
        wanted.sort(key=lambda point: abs(point[1] - settings.snr_db))
        for done, (panel, snr_db) in enumerate(wanted, start=1):
            there = replace(settings, snr_db=snr_db)
            work = partial(self.psnr_db, panel, photograph, there, check)
            try:
                psnr_db = await asyncio.wrap_future(self.back.submit(CURVE, check, work))
            except InputError:
                psnr_db = float("nan")
            point = {"panel": panel, "snr_db": snr_db, "psnr_db": psnr_db}
            queue.put_nowait({"event": "point", **point, "done": done, "of": len(wanted)})


def sentence(error: BaseException) -> str:
    """An error for the page."""
    if isinstance(error, InputError):
        said = one_line(error)
        return said if said.endswith((".", "!", "?")) else f"{said}."
    return f"Something went wrong that should not: {type(error).__name__}: {one_line(error)}."
