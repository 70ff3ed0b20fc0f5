"""The classified codec: classified transform coding without bits, and Swin networks beside it.

    image ─► tokens in classes ─► KLT of the class ─► (× +) ─► power and bandwidth ─► symbols
                    │                                  ▲ Swin, ModNet      │
                    └── class map, among the symbols ──┘                   ▼ channel
    image ◄─ Swin, ModNet ◄─ inverse KLT ◄─ LMMSE estimate ◄───────── MMSE equaliser

This is another system than the paper's: its linear code does most of the work, its class map is
side information that costs channel uses, and its receiver needs the error variance of each symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

import channels
from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.bandwidth_expansion import EncoderOutput, linear_equivalent
from witt.codecs.classified.class_map import with_class_map
from witt.codecs.classified.config import ClassifiedConfig
from witt.codecs.classified.refiner import RefiningDecoder, ShapingEncoder
from witt.codecs.classified.symbol_mapping import from_symbols
from witt.codecs.classified.transform_code import ClassifiedTransformCode, full_precision
from witt.codecs.features import FeatureCodec, UnscaledSymbols
from witt.codecs.witt import condition_vector
from witt.contract import SCALE_BITS, Encoded, Header, Preparation, SideInformation, rounded_scale
from witt.errors import InputError

CLASS_MAP = "class map"


@dataclass(frozen=True)
class ClassifiedSymbols(UnscaledSymbols):
    """`UnscaledSymbols` with the features behind the symbols.

    encoder_output: what the symbols were made from.
    """

    encoder_output: EncoderOutput

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
        return ClassifiedSymbols(symbols, uses, self.encoder_output.clone())


class ClassifiedCodec(FeatureCodec):
    """A classified code (`transform_code.py`), and a network at each end that adds to what it does.

    The class map is among the symbols, at the end, as many as a code 4 dB short of Shannon's limit
    needs; the simulation takes it as received without error, as it does the rest of the header.
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

    def transmit(self, image: Tensor, snr_db: Tensor, k: Tensor, length: int) -> ClassifiedSymbols:
        """As `FeatureCodec.transmit`; k features are sent of a token on average.

        The symbols of the class map are left to `with_side_symbols`.
        """
        condition = condition_vector(self.config, snr_db, k).to(self.dtype)
        with full_precision(image.device):
            shared, classes = self.code.tokens(image, snr_db, k)
            allocation = self.code.allocate(
                classes, snr_db, k, most_k=2 * length // classes[0].numel()
            )
            features = self.code.analyse(shared, classes)
        factors, summands = self.encoder(image, features, allocation, snr_db, condition)
        with full_precision(image.device):
            like = features.dtype
            factors = F.pad(factors.to(like), (self.code.smooth, 0), value=1.0)
            summands = F.pad(summands.to(like), (self.code.smooth, 0))
            output = EncoderOutput(features, factors, summands, allocation, snr_db, length)
            return ClassifiedSymbols(output.symbols(), allocation.uses, output)

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

    # Side information

    def with_side_information(self, sending: UnscaledSymbols, header: Header) -> Header:
        allocation: PictureAllocation = sending.allocation
        class_map = SideInformation(allocation.classes, symbols=allocation.map_uses)
        return header.with_side(CLASS_MAP, class_map)

    def allocate(self, header: Header, snr_db: Tensor, k: Tensor) -> PictureAllocation | None:
        classes = header.get(CLASS_MAP)
        if classes is None:
            return None
        return self.code.allocate(classes, snr_db, k, most_k=2 * header.rate)

    def with_side_symbols(self, symbols: Tensor, sending: UnscaledSymbols) -> Tensor:
        return with_class_map(symbols, sending.allocation)

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
        symbols, scale = channels.normalise_power(unscaled)
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
