"""What is sent of pictures, and what became of them on the way."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from torch import Tensor

from witt.header import Header, SideInformation
from witt.regions import Regions
from witt.store.symbols import read_symbols, write_symbols


@dataclass(frozen=True, eq=False)
class Encoded:
    """What is sent of pictures, `symbols, header = encoded`.

    symbols: (B, N) complex, unit mean power for each image; within 0.1 % (0.004 dB) where the
        power is undone before the network, since the transmitter then scales by what the header
        holds, so that the receiver undoes exactly that.
    header: what the receiver is told beside them.
    noise_var: of symbols that went over a fading channel and its MMSE equaliser, the error variance
        of each, broadcastable to them.
    source: "weights" and "weights_sha256" of the codec, where they are known.
    """

    symbols: Tensor
    header: Header
    noise_var: Tensor | None = None
    source: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        yield self.symbols
        yield self.header

    def received(self, symbols: Tensor, noise_var: Tensor | None = None) -> Encoded:
        """The same after a channel, whose symbols `channels.receive` hands on."""
        return replace(self, symbols=symbols, noise_var=noise_var)

    def save(self, path: str | Path) -> None:
        """Write symbols and header as a file (.npz), whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        write_symbols(path, self)

    @classmethod
    def load(cls, path: str | Path) -> Encoded:
        """Read what `save` wrote; nothing in the file is executed.

        Raises:
            InputError: it is missing, damaged, or no file of symbols.
        """
        held = read_symbols(path)
        side = {name: SideInformation(*entry) for name, entry in held.pop("side").items()}
        size, rate, snr_db = (held.pop(name) for name in ("size", "rate", "snr_db"))
        header = Header(size, rate, snr_db, side, held.pop("side_uses"))
        return cls(header=header, **held)


class Transmission(NamedTuple):
    """Pictures that went over a channel.

    image: (B, 3, H, W) reconstruction, not clamped.
    symbols: (B, N) sent.
    received: (B, N) after the equaliser, or straight from the channel where there is none.
    cbr: channel uses over 3·H·W of the original image, counted from what was sent.
    header_bits: side information for each image, in bits; not among the channel uses where it is
        taken as received.
    side_uses: channel uses that coded side information took of each image, on average; 0 where it
        is taken as received.
    on_top: of these, the ones that exceed what a CBR allows.
    lost: of each image, whether its side information was lost, so that it is grey; empty where it
        is taken as received.
    regions: where the channel uses went and what error is expected there; None unless asked for.
    """

    image: Tensor
    symbols: Tensor
    received: Tensor
    cbr: float
    header_bits: int
    side_uses: float = 0
    on_top: int = 0
    lost: tuple[bool, ...] = ()
    regions: Regions | None = None

    def metrics(self, image: Any, metrics: Any = ("psnr", "ms-ssim")) -> dict[str, Any]:
        """What metrics say of the pictures beside their originals; see `witt.link.look`."""
        return dict(_looked().metrics(self, image, metrics))

    def show(self, image: Any, picture: int = 0) -> Any:
        """The comparison of `witt transmit`, which a notebook shows; see `witt.link.look`."""
        return _looked().show(self, image, picture)

    def __repr__(self) -> str:
        count, _, height, width = self.image.shape
        pictures = f"{count} picture{'' if count == 1 else 's'} of {width}x{height}"
        uses = f"{self.symbols.shape[1]:,} symbols"
        return f"Transmission({pictures}, {uses}, CBR {self.cbr:.4g}, {self.header_bits} bits)"


def _looked() -> ModuleType:
    # By name: this file is below everything, and imports nothing of it.
    return importlib.import_module("witt.link.look")
