"""Symbols and their header as a file: NumPy's .npz, with the header's plain values as JSON.

| entry | holds |
|---|---|
| symbols | (B, N) complex |
| snr_db | (B,) dB |
| noise_var | error variances, after a fading channel and its equaliser |
| side/NAME, uses/NAME | side information, and the channel uses that it takes |
| side_uses | channel uses of coded side information, where it is among the symbols |
| facts | JSON: format, size, rate, bits of the side information, which weights |
"""

from __future__ import annotations

import json
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from witt.errors import InputError, one_line
from witt.files import write_bytes
from witt.report import to_json

FORMAT = "witt-symbols-1"


def write_symbols(path: str | Path, encoded: Any) -> None:
    """Write a `witt.contract.Encoded`.

    Raises:
        InputError: it cannot be written.
    """
    header = encoded.header
    arrays: dict[str, Tensor] = {"symbols": encoded.symbols, "snr_db": header.snr_db}
    if encoded.noise_var is not None:
        arrays["noise_var"] = encoded.noise_var
    if header.side_uses is not None:
        arrays["side_uses"] = header.side_uses
    bits = {}
    for name, entry in header.side.items():
        arrays[f"side/{name}"] = entry.value
        arrays[f"uses/{name}"] = torch.as_tensor(entry.symbols)
        bits[name] = entry.bits
    facts = {
        "format": FORMAT,
        "size": list(header.size),
        "rate": header.rate,
        "bits": bits,
        "source": encoded.source,
    }
    held: dict[str, Any] = {k: tensor.detach().cpu().numpy() for k, tensor in arrays.items()}
    buffer = BytesIO()
    np.savez_compressed(buffer, facts=np.array(to_json(facts)), **held)
    write_bytes(path, buffer.getvalue())


def read_symbols(path: str | Path) -> dict[str, Any]:
    """The fields of a `witt.contract.Encoded`, those of its header among them.

    Raises:
        InputError: there is no such file, or it is damaged or of another kind.
    """
    try:
        data = BytesIO(Path(path).read_bytes())  # np.load leaves a damaged file open
        with np.load(data, allow_pickle=False) as file:
            arrays = {name: np.array(file[name]) for name in file.files}
        facts = json.loads(str(arrays.pop("facts")))
        if facts["format"] != FORMAT:
            raise InputError(
                f"{path}: symbols of format {facts['format']!r}, this version reads {FORMAT!r}"
            )
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        symbols, snr_db = tensors["symbols"], tensors["snr_db"]
        if symbols.ndim != 2 or not symbols.is_complex() or snr_db.shape != symbols.shape[:1]:
            raise ValueError(f"symbols {tuple(symbols.shape)} and SNRs {tuple(snr_db.shape)}")
        height, width = (int(side) for side in facts["size"])
        side = {
            str(name): (tensors[f"side/{name}"], int(bits), tensors[f"uses/{name}"])
            for name, bits in facts["bits"].items()
        }
        return {
            "size": (height, width),
            "rate": int(facts["rate"]),
            "snr_db": snr_db,
            "side": side,
            "side_uses": tensors.get("side_uses"),
            "symbols": symbols,
            "noise_var": tensors.get("noise_var"),
            "source": {str(key): str(value) for key, value in facts["source"].items()},
        }
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file of symbols") from error
    except (
        OSError,
        EOFError,
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path}: not a file of witt send, or a damaged one ({one_line(error)})"
        ) from error
