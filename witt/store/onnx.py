"""`witt export`: the graphs of a codec as ONNX files, for one picture size and one CBR.

ONNX has no complex numbers: I and Q of a symbol are the last dimension.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from witt.errors import InputError
from witt.files import write_bytes
from witt.report import to_json
from witt.store.making import to_values

TOLERANCE = 1e-3  # of symbols of unit power, and of pictures in [0, 1]
OPSET = 18


class Graph(NamedTuple):
    """One end of a codec, for pictures of one size at one rate.

    name: of the file.
    module: takes `inputs` by their names.
    inputs: examples.
    outputs: what it should make of them, by name.
    facts: plain values kept in the file.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    facts: dict[str, Any]


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
    model: Any,
    folder: Path,
    size: tuple[int, int],
    cbr: float | None = None,
    notes: dict[str, Any] | None = None,
) -> list[Exported]:
    """Write ``encoder.onnx`` and ``decoder.onnx``; neither if one of them differs from torch.

    Args:
        model: a codec that has graphs, on the CPU, in evaluation mode.
        folder: exists.
        size: (height, width).
        cbr: requested CBR; None is the highest that the weights serve.
        notes: plain values kept in the files, beside the configuration.

    Raises:
        InputError: the export extra is missing, the CBR is not served, or the results differ
            from torch's by more than TOLERANCE.
    """
    _require_onnx()
    facts = {"config": to_values(model), "size": size, **(notes or {})}
    results, files = [], []
    for name, graph, inputs, expected, own in model.graphs(size, cbr):
        data = _to_onnx(graph, inputs, list(expected), {**facts, **own, "part": name})
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
    gaps = [
        np.abs(np.subtract(a, b.numpy(), dtype=np.float64)).max()  # masks too
        for a, b in zip(found, expected, strict=True)
    ]
    return float(max(gaps))
