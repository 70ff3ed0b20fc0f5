"""The classified codec: classified transform coding without bits, and Swin networks beside it.

    image ─► tokens in classes ─► KLT of the class ─► (× +) ─► power and bandwidth ─► symbols
                    │                                  ▲ Swin, ModNet      │
                    └── class map, among the symbols ──┘                   ▼ channel
    image ◄─ Swin, ModNet ◄─ inverse KLT ◄─ LMMSE estimate ◄───────── MMSE equaliser

This is another system than the paper's: its linear code does most of the work, its class map is
side information that costs channel uses, and its receiver needs the error variance of each symbol.
Where side information is coded, the header is among the symbols too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

import channels
from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.bandwidth_expansion import EncoderOutput, linear_equivalent
from witt.codecs.classified.class_map import MapCost, with_class_map
from witt.codecs.classified.config import ClassifiedConfig
from witt.codecs.classified.map_code import ClassMapCode
from witt.codecs.classified.refiner import RefiningDecoder, ShapingEncoder, lmmse
from witt.codecs.classified.regions import regions_of
from witt.codecs.classified.symbol_mapping import from_symbols
from witt.codecs.classified.transform_code import ClassifiedTransformCode, full_precision
from witt.codecs.features import FeatureCodec
from witt.codecs.sending import Draft, UnscaledSymbols
from witt.codecs.witt import condition_vector
from witt.contract import (
    SCALE_BITS,
    Encoded,
    Header,
    Preparation,
    SideInformation,
    nominal_snr,
    rounded_scale,
)
from witt.errors import InputError
from witt.regions import Regions
from witt.side_code import SideCode
from witt.side_information import Coding

CLASS_MAP = "class map"
TYPICAL_MAP_BITS = 2000  # for the price of a bit before there is a map
MOST_HEADER, MOST_SIDE = 3 / 4, 7 / 8  # of the channel uses, for the header and with the map


@dataclass(frozen=True)
class ClassifiedSymbols(UnscaledSymbols):
    """`UnscaledSymbols` with the features behind the symbols.

    encoder_output: what the symbols were made from.
    side_uses: (B,) of coded side information among the symbols; see `Header`.
    """

    encoder_output: EncoderOutput
    side_uses: Tensor | None = None

    @property
    def allocation(self) -> PictureAllocation:
        return self.encoder_output.allocation

    @property
    def latents(self) -> Tensor:
        """The features, expanded ones along their curves."""
        return self.encoder_output.features

    def moved(self, change: Tensor) -> Tensor:
        return self.encoder_output.symbols(change)

    def detached(self) -> ClassifiedSymbols:
        symbols, uses = self.symbols.detach().clone(), self.uses.clone()
        return ClassifiedSymbols(symbols, uses, self.encoder_output.clone(), self.side_uses)


class ClassifiedCodec(FeatureCodec):
    """A classified code (`transform_code.py`), and a network at each end that adds to what it does.

    The class map is among the symbols, at the end. Where side information is taken as received
    without error it takes as many as a code 4 dB short of Shannon's limit needs; where it is coded,
    map and header take what they do take.
    """

    Config = ClassifiedConfig
    config: ClassifiedConfig
    uses_error: ClassVar[bool] = True
    cost_is_fixed: ClassVar[bool] = False
    encoder: ShapingEncoder
    decoder: RefiningDecoder

    def __init__(self, config: ClassifiedConfig) -> None:
        super().__init__(config)
        self.code = ClassifiedTransformCode(
            config.stride, config.classes, config.smooth_channels, config.channels
        )
        self.encoder, self.decoder = ShapingEncoder(config), RefiningDecoder(config)
        self.uses_all_parameters = config.modulation

    def transmit(
        self,
        image: Tensor,
        snr_db: Tensor,
        k: Tensor,
        length: int,
        coding: Coding | None = None,
    ) -> ClassifiedSymbols:
        """As `FeatureCodec.transmit`; k features are sent of a token on average.

        The symbols of the class map are left to `with_side_symbols`, or to the link where `coding`
        says how side information is sent.
        """
        condition = condition_vector(self.config, snr_db, k).to(self.dtype)
        with full_precision(image.device):
            cost = None if coding is None else self._map_cost(snr_db, length, coding)
            shared, classes = self.code.tokens(image, snr_db, k, map_cost=cost)
            side_uses = None
            if coding is not None and cost is not None:
                classes, side_uses = self._with_side_uses(classes, snr_db, length, coding, cost)
            allocation = self.code.allocate(
                classes, snr_db, k, most_k=2 * length // classes[0].numel(), side_uses=side_uses
            )
            features = self.code.analyse(shared, classes)
        factors, summands = self.encoder(image, features, allocation, snr_db, condition)
        with full_precision(image.device):
            like = features.dtype
            factors = F.pad(factors.to(like), (self.code.smooth, 0), value=1.0)
            summands = F.pad(summands.to(like), (self.code.smooth, 0))
            output = EncoderOutput(features, factors, summands, allocation, snr_db, length)
            return ClassifiedSymbols(output.symbols(), allocation.uses, output, side_uses)

    def transmit_with_side(
        self, image: Tensor, snr_db: Tensor, k: Tensor, length: int, coding: Coding
    ) -> ClassifiedSymbols:
        return self.transmit(image, snr_db, k, length, coding)

    def receive(
        self,
        symbols: Tensor,
        error: Tensor,
        scale: Tensor,
        snr_db: Tensor,
        k: Tensor,
        grid: tuple[int, int],
        allocation: PictureAllocation | None = None,
    ) -> Tensor:
        if allocation is None:
            raise InputError(f"{self.name} needs the class map")
        condition = condition_vector(self.config, snr_db, k).to(self.dtype)
        amplitude = 1 / scale[:, :, None, None]
        with full_precision(symbols.device):
            received = from_symbols(symbols, error, allocation)
            features, error = linear_equivalent(received, allocation, snr_db, amplitude)
        return self.decoder(self.code, allocation, features, error, amplitude, condition)

    def regions(self, symbols: Tensor, header: Header, noise_var: Tensor | None = None) -> Regions:
        """As of `Codec`; the expected error is that of the LMMSE estimate.

        The decoder network starts from this estimate.
        """
        self.check_header(symbols, header)
        pairs, error, scale, snr_db, _, _, allocation = self.unpacked(symbols, header, noise_var)
        amplitude = 1 / scale[:, :, None, None]
        with full_precision(symbols.device):
            received = from_symbols(pairs, error, allocation)
            features, error = linear_equivalent(received, allocation, snr_db, amplitude)
            estimate, left = lmmse(allocation, features, error, amplitude)
            image = self.code.synthesise(estimate, allocation.classes)
        return regions_of(self.code, allocation, left, image, header.size, symbols.shape[1])

    # Side information

    def side_codes(self) -> dict[str, SideCode]:
        return {**super().side_codes(), CLASS_MAP: ClassMapCode(self.code.map_bits, self.grid)}

    def _map_cost(self, snr_db: Tensor, length: int, coding: Coding) -> MapCost:
        """What side information costs before there are classes."""
        codes, snrs = self.side_codes(), snr_db.tolist()
        rates = [coding.bits_a_use(TYPICAL_MAP_BITS, snr) for snr in snrs]
        header = [coding.header_uses(codes, snr) for snr in snrs]
        # Where there is hardly room for the header, all side information comes on top.
        inside = [uses if uses <= MOST_HEADER * length else 0 for uses in header]
        return MapCost(snr_db.new_tensor(rates), torch.tensor(inside, device=snr_db.device))

    def _with_side_uses(
        self, classes: Tensor, snr_db: Tensor, length: int, coding: Coding, cost: MapCost
    ) -> tuple[Tensor, Tensor]:
        """Classes whose map leaves room for the picture, and what side information takes (B,)."""
        code = ClassMapCode(self.code.map_bits, self.grid)
        taken, kept = cost.header_uses.tolist(), []
        for picture, snr in enumerate(snr_db.tolist()):
            mine = classes[picture]
            uses = coding.block_uses(len(code.bits_of(mine)), snr)
            if taken[picture] and taken[picture] + uses > MOST_SIDE * length:
                mine, uses = torch.full_like(mine, int(mine.flatten().mode().values)), 0
            kept.append(mine)
            taken[picture] += uses if taken[picture] else 0
        return torch.stack(kept), torch.tensor(taken, device=classes.device)

    def draft(
        self,
        image: Tensor,
        snr_db: float | Tensor,
        cbr: float | None = None,
        coding: Coding | None = None,
    ) -> Draft:
        draft = super().draft(image, snr_db, cbr, coding)
        uses, (height, width) = draft.header.side_uses, draft.header.size
        if uses is not None and not bool(uses.all()):
            asked = self.config.served_cbr[1] if cbr is None else cbr
            warnings.warn(
                f"a picture of {width}x{height} pixels cannot be sent at CBR {asked:.4g}: its "
                "header would take most of it, and comes on top",
                stacklevel=3,
            )
        return draft

    def with_side_information(self, sending: UnscaledSymbols, header: Header) -> Header:
        allocation: PictureAllocation = sending.allocation
        class_map = SideInformation(allocation.classes, symbols=allocation.map_uses)
        header = header.with_side(CLASS_MAP, class_map)
        uses = sending.side_uses if isinstance(sending, ClassifiedSymbols) else None
        return header if uses is None else header.with_side_uses(uses)

    def allocate(self, header: Header, snr_db: Tensor, k: Tensor) -> PictureAllocation | None:
        classes = header.get(CLASS_MAP)
        if classes is None:
            return None
        most_k, uses = 2 * header.rate, header.side_uses
        return self.code.allocate(classes, snr_db, k, most_k=most_k, side_uses=uses)

    def with_side_symbols(self, symbols: Tensor, sending: UnscaledSymbols) -> Tensor:
        coded = isinstance(sending, ClassifiedSymbols) and sending.side_uses is not None
        return symbols if coded else with_class_map(symbols, sending.allocation)

    def check_header(self, symbols: Tensor, header: Header) -> None:
        super().check_header(symbols, header)
        grid, classes = self.grid(header.size), header.get(CLASS_MAP)
        if classes is None or classes.shape != (len(symbols), *grid):
            raise InputError(
                f"{self.name} sends a class map: the header has none of {grid[0]}x{grid[1]} tokens"
            )

    # Power

    def at_unit_power(self, unscaled: Tensor, header: Header) -> Encoded:
        """The power is exactly 1: the receiver expects an error in the scale anyway."""
        uses = header.side_uses
        left = None if uses is None else unscaled.shape[1] - uses  # theirs have unit power too
        symbols, scale = channels.normalise_power(unscaled, left)
        if self.sends_scale:
            header = header.with_side("scale", SideInformation(rounded_scale(scale), SCALE_BITS))
        return Encoded(symbols, header)

    def equalised(
        self, symbols: Tensor, snr_db: Tensor, noise_var: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The MMSE estimates, of an AWGN channel too."""
        if noise_var is not None:
            return symbols, noise_var
        n0 = 10 ** (-snr_db[:, None] / 10)
        return channels.mmse(symbols, torch.ones_like(symbols[:, :1]), n0)

    def latent_power(self, encoded: Encoded) -> Tensor:
        """As of `Codec`; a feature with bandwidth expansion has the power of all its symbols.

        The features of a token are those of its class.
        """
        symbols, header = encoded
        snr = nominal_snr(header.snr_db, symbols)
        k = torch.full((len(snr),), 2 * header.rate, device=snr.device)
        allocation = self.allocate(header, snr, k)
        if allocation is None:
            raise InputError(f"{self.name} needs the class map")
        pairs = torch.view_as_real(symbols.contiguous())
        sent = from_symbols(pairs, torch.zeros_like(pairs[..., 0]), allocation)
        energy = sent.features.square().flatten(1)
        extra = sent.extra.square().sum(-1)
        energy = F.pad(energy, (0, 1)).scatter_add(1, allocation.expanded, extra)[:, :-1]
        each = energy.reshape(allocation.sent.shape).sum(dim=(1, 2))
        return each / pairs.square().sum(dim=(1, 2))[:, None]

    # Training

    def prepare(self, job: Preparation, say: Callable[[str], None]) -> None:
        """Take the classes from training pictures and, for MS-SSIM, what errors count."""
        from witt.codecs.classified.classes import start_classes
        from witt.codecs.classified.weighting import weigh_for_ms_ssim

        usual_cbr = self.config.served_cbr[1] / 2
        if job.new or not self.code.log_variance.any():
            say("making the classes of tokens from the training pictures …")
            start_classes(self.code, job.pictures, usual_cbr, job.seed)
        if job.loss == "ms-ssim" and not self.code.log_weight.any():
            say("weighing the errors in each class for MS-SSIM …")
            weigh_for_ms_ssim(self.code, job.pictures, usual_cbr, job.scales, job.seed)
