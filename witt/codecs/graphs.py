"""Encoder and decoder of a codec of features as graphs of tensors alone, to be exported.

The size is fixed, because windows, padding and the transform over the tokens are laid out for it.
I and Q of a symbol are the last dimension.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.contract import Header, SideInformation, rounded_scale, rounded_snr
from witt.store.onnx import Graph

CHECK_SNR_DB = 7.0
INPUTS = {"scale": "scale", "class map": "classes", "mask": "mask"}  # of what the header holds


def graphs(model: Any, size: tuple[int, int], cbr: float | None = None) -> list[Graph]:
    """The two graphs, with pictures and symbols to check them by.

    Args:
        model: a `FeatureCodec`, which offers this, on the CPU and in evaluation mode.
        size: (height, width).
        cbr: requested CBR; None is the highest that the weights serve.
    """
    k = model.feature_channels(size, cbr)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 3, *size), generator=generator)
    snr_db = torch.full((1,), CHECK_SNR_DB)
    with torch.no_grad():
        encoded = model.encode(image, snr_db, cbr)
    header, sent = encoded.header, torch.view_as_real(encoded.symbols)
    told = {INPUTS[name]: header.side[name].value for name in INPUTS if name in header.side}
    facts = {"feature_channels": k}
    inputs = {"image": image, "snr_db": snr_db}
    encoder = Graph(
        "encoder", EncoderGraph(model, size, k), inputs, {"symbols": sent, **told}, facts
    )
    noise_var = None
    taken = {"symbols": sent, "snr_db": snr_db, **told}
    if model.uses_error:
        taken["noise_var"] = noise_var = torch.rand(sent.shape[:2], generator=generator)
    with torch.no_grad():
        received = model.reconstruct(encoded.symbols, header, noise_var)
    outputs = {"image": received}
    return [encoder, Graph("decoder", DecoderGraph(model, size, k), taken, outputs, facts)]


class EncoderGraph(nn.Module):
    """A picture and the SNR to symbols of unit power; the arithmetic of `encode`.

    Args:
        model: both ends.
        size: (height, width) of the picture.
        k: feature channels that are sent.
    """

    def __init__(self, model: Any, size: tuple[int, int], k: int) -> None:
        super().__init__()
        self.model, self.size, self.k = model, size, k
        self.uses = model.tokens(size) * k // 2
        stride = model.config.stride
        self.padding = (0, -size[1] % stride, 0, -size[0] % stride)

    def forward(self, image: Tensor, snr_db: Tensor) -> tuple[Tensor, ...]:
        """`image` (1, 3, H, W), `snr_db` (1,) to symbols (1, N, 2) and what the header has of them.

        That is the scale (1, 1), where the model sends it, and the classes (1, h, w) or the mask
        (1, D), where it has some.
        """
        padded = F.pad(image, self.padding, mode="replicate")
        k = torch.full((1,), self.k)
        sending = self.model.transmit(padded, rounded_snr(snr_db), k, self.uses)
        symbols = self.model.with_side_symbols(sending.symbols, sending)
        energy = symbols.square().sum(dim=(1, 2))[:, None]
        scale = torch.sqrt(self.uses / torch.where(energy > 0, energy, torch.ones_like(energy)))
        symbols = symbols * scale[..., None]
        header = self.model.with_side_information(sending, Header(self.size, self.k // 2, snr_db))
        told = (rounded_scale(scale),) if self.model.sends_scale else ()
        return (symbols, *told, *(entry.value for entry in header.side.values()))


class DecoderGraph(nn.Module):
    """Equalised symbols to a picture; the arithmetic of `decode`.

    Args:
        model, size, k: as the encoder's.
    """

    def __init__(self, model: Any, size: tuple[int, int], k: int) -> None:
        super().__init__()
        self.model, self.size, self.k = model, size, k
        self.grid = model.grid(size)

    def forward(
        self,
        symbols: Tensor,
        snr_db: Tensor,
        noise_var: Tensor | None = None,
        scale: Tensor | None = None,
        classes: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """What is received of a picture to the picture (1, 3, H, W).

        `symbols` (1, N, 2), `snr_db` (1,), `noise_var` (1, N), `scale` (1, 1), `classes` (1, h, w),
        `mask` (1, D). `noise_var` is the error variance after the MMSE equaliser, which an AWGN
        channel has too; it, `scale`, `classes` and `mask` are inputs where the model looks at them.
        """
        k = torch.full((1,), self.k)
        snr_db = rounded_snr(snr_db)
        told = {"class map": classes, "mask": mask}
        side = {name: SideInformation(value) for name, value in told.items() if value is not None}
        allocation = self.model.allocate(Header(self.size, self.k // 2, snr_db, side), snr_db, k)
        error = symbols[..., 0] if noise_var is None else noise_var
        scale = torch.ones_like(snr_db)[:, None] if scale is None else scale
        image = self.model.receive(symbols, error, scale, snr_db, k, self.grid, allocation)
        return image[:, :, : self.size[0], : self.size[1]]
