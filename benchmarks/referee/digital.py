"""Both ends of a digital chain, bit by bit.

picture ─► codec ─► payload ─► code blocks ─► QAM ─┐
                    mode, lengths ─► control block ┴─► frame ─► samples
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.codecs.wire import is_wired, pack, unpack
from benchmarks.referee import air, control, transport
from benchmarks.referee.air import Csi
from benchmarks.referee.ends import Received, Sending
from benchmarks.schemes.digital import Digital
from benchmarks.schemes.nr import Nr
from benchmarks.schemes.scheme import channel_uses
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import Pixels
from witt.radio.blocks import LEVELS, level_for
from witt.radio.frame import assemble


class DigitalEnds:
    """A transmitter and a receiver of one digital chain, which need not be the same object.

    Args:
        scheme: by whose rules modes are chosen and bits are counted.

    Raises:
        InputError: the payload of its codec is counted only.
    """

    def __init__(self, scheme: Digital) -> None:
        codec = scheme.searched.codec
        if not is_wired(codec):
            raise InputError(
                f"{scheme.name}: the payload of {codec.name} is only counted here, not taken out "
                "of its file: there are no bits to send"
            )
        self.scheme, self.codec = scheme, codec
        # Code blocks of 5G have CRCs; those of the published comparison do not.
        self.needs_crc = not isinstance(scheme, Nr)

    def transmit(self, pixels: Pixels, link: Link, snr_db: float, cbr: float) -> Sending:
        """See `Ends`."""
        uses = channel_uses(pixels, cbr)
        offer = self.scheme.choose([pixels], [uses], link, snr_db)
        coded = None if offer is None else offer.coded[0]
        if offer is None or coded is None:
            raise InputError(f"{self.scheme.name}: nothing fits into {uses:,} channel uses")
        payload = pack(self.codec, pixels, coded.quality)
        # A scheme that counts its control block has set channel uses aside for it.
        uses -= offer.control.uses
        crc = control.crc_of(payload) if self.needs_crc else None
        told = control.Control(self.scheme.modes.index(offer.mode), uses, len(payload), crc)
        side_bits = control.bits_of(self.needs_crc)
        head_uses = offer.control.uses or level_for(side_bits, *control.planned(link, snr_db))
        bits = np.unpackbits(np.frombuffer(payload, np.uint8))
        head = control.to_symbols(told, head_uses)
        symbols = torch.cat([head, transport.to_symbols(bits, uses, offer.mode)])
        note = f"{offer.mode.name}, quality {coded.quality}, {len(payload):,} bytes"
        return Sending(assemble(symbols.numpy()), side_bits, head_uses, True, note)

    def receive(self, samples: NDArray[np.complex64], csi: Csi | None) -> Received:
        """See `Ends`."""
        try:
            reception = air.reception_of(samples, csi)
            head = air.equalised(reception, LEVELS[-1], whole=False)
            found = control.find(*head, with_crc=self.needs_crc)
            if found is None:
                return Received(None, "the control block is lost")
            told, start = found
            if told.mode >= len(self.scheme.modes):
                return Received(
                    None, f"the control block says mode {told.mode}, which is not there"
                )
            mode = self.scheme.modes[told.mode]
            x_hat, noise_var = air.equalised(reception, start + told.uses, whole=True)
            if len(x_hat) < start + told.uses:
                return Received(None, f"{start + told.uses - len(x_hat):,} symbols are missing")
            bits = transport.to_bits(x_hat[start:], noise_var[start:], mode)
        except InputError as error:
            return Received(None, str(error))
        if bits is None:
            return Received(None, f"{mode.name}: a CRC failed")
        payload = np.packbits(bits[: 8 * told.payload_bytes]).tobytes()
        wrong = told.crc is not None and control.crc_of(payload) != told.crc
        if wrong or len(payload) != told.payload_bytes:
            return Received(None, f"{mode.name}: the CRC of the payload failed")
        try:
            return Received(unpack(self.codec, payload), mode.name)
        except InputError as error:
            return Received(None, str(error))
