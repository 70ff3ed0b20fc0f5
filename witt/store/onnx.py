"""`witt export`: encoder and decoder as ONNX files, for one picture size and one CBR.

ONNX has no complex numbers: I and Q of a symbol are the last dimension. The size is fixed, because
windows, padding and the transform over the tokens are laid out for it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.codecs.classified.class_map import with_class_map
from witt.codecs.model import WITT
from witt.contract import rounded_scale, rounded_snr
from witt.errors import InputError
from witt.files import write_bytes
from witt.report import to_json

TOLERANCE = 1e-3  # of symbols of unit power, and of pictures in [0, 1]
CHECK_SNR_DB = 7.0
OPSET = 18


class EncoderGraph(nn.Module):
    """A picture and the SNR to symbols of unit power; the arithmetic of `WITT.encode`.

    Args:
        model: any WITT model.
        size: (height, width) of the picture.
        k: feature channels that are sent.
    """

    def __init__(self, model: WITT, size: tuple[int, int], k: int) -> None:
        super().__init__()
        self.model, self.k = model, k
        self.uses = model.tokens(size) * k // 2
        stride = model.config.stride
        self.padding = (0, -size[1] % stride, 0, -size[0] % stride)

    def forward(self, image: Tensor, snr_db: Tensor) -> tuple[Tensor, ...]:
        """`image` (1, 3, H, W), `snr_db` (1,) to symbols (1, N, 2) and what the header has of them.

        That is the scale (1, 1), where the model sends it, and the classes (1, h, w), where it has
        some.
        """
        padded = F.pad(image, self.padding, mode="replicate")
        k = torch.full((1,), self.k)
        sending = self.model.transmit(padded, rounded_snr(snr_db), k, self.uses)
        symbols, allocation = sending.symbols, sending.allocation
        symbols = symbols if allocation is None else with_class_map(symbols, allocation)
        energy = symbols.square().sum(dim=(1, 2))[:, None]
        scale = torch.sqrt(self.uses / torch.where(energy > 0, energy, torch.ones_like(energy)))
        symbols = symbols * scale[..., None]
        told = (rounded_scale(scale),) if self.model.sends_scale else ()
        return (symbols, *told) if allocation is None else (symbols, *told, allocation.classes)


class DecoderGraph(nn.Module):
    """Equalised symbols to a picture; the arithmetic of `WITT.decode`.

    Args:
        model, size, k: as the encoder's.
    """

    def __init__(self, model: WITT, size: tuple[int, int], k: int) -> None:
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
    ) -> Tensor:
        """What is received of a picture to the picture (1, 3, H, W).

        `symbols` (1, N, 2), `snr_db` (1,), `noise_var` (1, N), `scale` (1, 1), `classes` (1, h, w).
        `noise_var` is the error variance after the MMSE equaliser, which an AWGN channel has too;
        it, `scale` and `classes` are inputs where the model looks at them.
        """
        k = torch.full((1,), self.k)
        code, allocation = self.model.code, None
        snr_db = rounded_snr(snr_db)
        if code is not None and classes is not None:
            allocation = code.allocate(classes, snr_db, k, most_k=self.k)
        error = symbols[..., 0] if noise_var is None else noise_var
        scale = torch.ones_like(snr_db)[:, None] if scale is None else scale
        image = self.model.receive(symbols, error, scale, snr_db, k, self.grid, allocation)
        return image[:, :, : self.size[0], : self.size[1]]


class Exported(NamedTuple):
    """An ONNX file and how close it came to torch.

    path: the file.
    inputs: names of its inputs, with their shapes.
    difference: largest absolute difference of its outputs in onnxruntime.
    """

    path: Path
    inputs: dict[str, list[int]]
    difference: float


def export_onnx(
    model: WITT,
    folder: Path,
    size: tuple[int, int],
    cbr: float | None = None,
    notes: dict[str, Any] | None = None,
) -> list[Exported]:
    """Write ``encoder.onnx`` and ``decoder.onnx``; neither if one of them differs from torch.

    Args:
        model: on the CPU, in evaluation mode.
        folder: exists.
        size: (height, width).
        cbr: requested CBR; None is the highest that the weights serve.
        notes: plain values kept in the files, beside the configuration.

    Raises:
        InputError: the export extra is missing, the CBR is not served, or the results differ
            from torch's by more than TOLERANCE.
    """
    _require_onnx()
    k, config = model.feature_channels(size, cbr), model.config
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 3, *size), generator=generator)
    snr_db = torch.full((1,), CHECK_SNR_DB)
    facts = {"config": config.to_dict(), "size": size, "feature_channels": k, **(notes or {})}

    with torch.no_grad():
        encoded = model.encode(image, snr_db, cbr)
    header, sent = encoded.header, torch.view_as_real(encoded.symbols)
    entries = {"scale": header.get("scale"), "classes": header.get("class map")}
    told = {name: value for name, value in entries.items() if value is not None}
    made: list[tuple[str, nn.Module, dict[str, Tensor], dict[str, Tensor]]]
    graph: nn.Module = EncoderGraph(model, size, k)
    made = [("encoder", graph, {"image": image, "snr_db": snr_db}, {"symbols": sent, **told})]

    noise_var = None
    taken = {"symbols": sent, "snr_db": snr_db, **told}
    if header.get("class map") is not None:
        taken["noise_var"] = noise_var = torch.rand(sent.shape[:2], generator=generator)
    with torch.no_grad():
        received = model.reconstruct(encoded.symbols, header, noise_var)
    made.append(("decoder", DecoderGraph(model, size, k), taken, {"image": received}))

    results, files = [], []
    for name, graph, inputs, expected in made:
        data = _to_onnx(graph, inputs, list(expected), {**facts, "part": name})
        path = folder / f"{name}.onnx"
        difference = _difference(data, inputs, tuple(expected.values()))
        if not difference <= TOLERANCE:  # NaN too
            raise InputError(
                f"{path}: not written, since its result is {difference:.3g} from PyTorch's"
            )
        shapes = {name: list(tensor.shape) for name, tensor in inputs.items()}
        results.append(Exported(path, shapes, difference))
        files.append((path, data))
    for path, data in files:
        write_bytes(path, data)
    return results


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"ONNX files need the {error.name} package: pip install 'witt[export]'"
        ) from error


def _to_onnx(
    graph: nn.Module, inputs: dict[str, Tensor], outputs: list[str], facts: dict[str, Any]
) -> bytes:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.export to its own authors
        program = torch.onnx.export(
            graph.eval(),
            (),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = "witt", to_json(facts)
    data: bytes = proto.SerializeToString()
    return data


def _difference(data: bytes, inputs: dict[str, Tensor], expected: tuple[Tensor, ...]) -> float:
    """Largest absolute difference of what onnxruntime computes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    gaps = [np.abs(a - b.numpy()).max() for a, b in zip(found, expected, strict=True)]
    return float(max(gaps))
