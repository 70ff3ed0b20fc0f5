"""Both ends of SoftCast, its header sent like everything else.

picture ─► symbols ─────────────────────────────┐
       └─► powers of chunks ─► LDPC, QAM ───────┤
           size, scale, mode ─► control block ──┴─► frame ─► samples
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.referee import air, control
from benchmarks.referee.air import Csi
from benchmarks.referee.ends import Received, Sending
from benchmarks.schemes.scheme import channel_uses
from benchmarks.schemes.softcast import POWER_BITS, allocation_of, chunks_of, decode, encode
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import Pixels
from witt.radio.blocks import (
    LEVELS,
    MODES,
    decode_long,
    encode_long,
    encode_short,
    level_for,
    mode_for,
    uses_of,
)
from witt.radio.frame import assemble

FIELDS = {"height": 16, "width": 16, "uses": 24, "scale": 16, "mode": 4}
BITS = sum(FIELDS.values())


class SoftCastEnds:
    """See the module."""

    def transmit(self, pixels: Pixels, link: Link, snr_db: float, cbr: float) -> Sending:
        """See `Ends`."""
        uses = channel_uses(pixels, cbr)
        if not uses:
            raise InputError("softcast: not one channel use at this CBR")
        symbols, known, scale = encode(pixels, uses)
        plan = control.planned(link, snr_db)
        powers = np.unpackbits(known.levels.astype(np.uint8))
        mode = mode_for(len(powers), *plan)
        told = {
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "uses": uses,
            "scale": int(np.float16(scale).view(np.uint16)),
            "mode": MODES.index(mode),
        }
        head = encode_short(control.write(told, FIELDS), level_for(BITS, *plan))
        block = encode_long(powers, mode)
        row = torch.cat([head, block, symbols[0].to(torch.complex64)])
        side = len(head) + len(block)
        note = f"header by {mode.name}"
        return Sending(assemble(row.numpy()), BITS + len(powers), side, True, note)

    def receive(self, samples: NDArray[np.complex64], csi: Csi | None) -> Received:
        """See `Ends`."""
        try:
            reception = air.reception_of(samples, csi)
        except InputError as error:
            return Received(None, str(error))
        found = control.find_block(*air.equalised(reception, LEVELS[-1], whole=False), BITS)
        if found is None:
            return Received(None, "the control block is lost")
        told = control.read(found.bits, FIELDS)
        size, scale = (told["height"], told["width"]), _float16(told["scale"])
        if not (min(size) and told["uses"] and told["mode"] < len(MODES) and scale > 0):
            return Received(None, "the control block is of another scheme")
        chunks, mode = chunks_of(size), MODES[told["mode"]]
        bits = POWER_BITS * int(np.prod(chunks))
        start = found.uses + uses_of(bits, mode)
        x_hat, noise_var = air.equalised(reception, start + told["uses"], whole=True)
        missing = start + told["uses"] - len(x_hat)
        if missing:
            return Received(None, f"{missing:,} symbols are missing")
        block = slice(found.uses, start)
        powers = decode_long(x_hat[block], noise_var[block], bits, mode)
        if powers is None:
            return Received(None, "the powers of the chunks are lost")
        levels = np.packbits(powers).reshape(chunks).astype(np.int64)
        e = (noise_var / (1 + noise_var)).double()[start:]
        y = x_hat[start:] * (1 - e)  # MMSE again, of unbiased symbols
        known = allocation_of(levels, size, 2 * told["uses"])
        return Received(decode(y[None], e[None], known, scale))


def _float16(bits: int) -> float:
    return float(np.uint16(bits).view(np.float16))
