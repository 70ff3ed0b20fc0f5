"""Codecs by CompressAI's own wrappers: BPG, VTM and HM, and its learned codecs.

BPG, VTM and HM run where their programs are on PATH. Their wrappers report the size of the whole
stream only, so that is the payload: of BPG, whose header is a few bytes and holds size and
quality, and of VTM and HM too, with their parameter sets (of the order of 100 bytes).

A learned codec runs where its weights are in PyTorch Hub's folder; nothing is downloaded. Its
payload is its strings and `SIZE_AND_QUALITY_BYTES`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch

from benchmarks.codecs.base import SIZE_AND_QUALITY_BYTES, Encoded, check_quality
from witt.errors import InputError
from witt.pictures.images import Pixels, check_pixels, to_pixels, to_tensor
from witt.pictures.writing import write_png

# Those of the zoo that have published weights.
LEARNED = (
    "bmshj2018-factorized",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "mbt2018",
    "cheng2020-anchor",
    "cheng2020-attn",
)
# The largest stride of the learned codecs.
STRIDE = 64


class External:
    """A program behind a wrapper of `compressai.utils.bench.codecs`; the worst QP comes first."""

    def __init__(
        self,
        name: str,
        wrapper: str,
        programs: Sequence[str],
        largest_qp: int,
        configs: Sequence[str] = (),
        config_variable: str = "",
    ) -> None:
        """Make one.

        Args:
            name: as asked for on the command line.
            wrapper: the class.
            programs: encoder and decoder; both in one folder where there are configs.
            largest_qp: qualities are largest_qp - QP.
            configs: names of the encoder's configuration file, looked for beside the encoder and
                in the `cfg` folders beside and above it.
            config_variable: the environment variable that names that file instead.
        """
        self.name = name
        self.qualities: Sequence[int] = range(largest_qp + 1)
        self._wrapper = wrapper
        self._programs = programs
        self._largest_qp = largest_qp
        self._configs = configs
        self._config_variable = config_variable

    def check(self) -> None:
        """Raise InputError where CompressAI, a program or its configuration is missing."""
        self._arguments()
        _compressai(self.name, "utils.bench.codecs")

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        """Encode at QP = largest QP - quality and decode again; see `Codec.encode`."""
        check_pixels(pixels)
        check_quality(self, quality)
        arguments = self._arguments()
        wrapper = getattr(_compressai(self.name, "utils.bench.codecs"), self._wrapper)
        parser = argparse.ArgumentParser()
        wrapper.setup_args(parser)
        codec = wrapper(parser.parse_args(arguments))
        output = io.StringIO()
        with tempfile.TemporaryDirectory(prefix="witt-") as folder:
            path = Path(folder) / "picture.png"
            write_png(path, pixels)
            try:
                with contextlib.redirect_stdout(output):
                    qp = self._largest_qp - quality
                    info, decoded = codec.run(str(path), qp, metrics=[], return_rec=True)
            # The wrapper prints what its program said and exits.
            except (SystemExit, OSError, ValueError) as error:
                said = " ".join(output.getvalue().split()) or str(error)
                raise InputError(
                    f"{self.name}: {self._programs[0]} or {self._programs[1]} failed: {said[:200]}"
                ) from error
        size = round(info["bpp"] * pixels.shape[0] * pixels.shape[1] / 8)
        return Encoded(np.array(decoded.convert("RGB")), size, size, quality)

    def _arguments(self) -> list[str]:
        """What the wrapper's parser is given: where the programs are."""
        paths = [shutil.which(program) for program in self._programs]
        for program, path in zip(self._programs, paths, strict=True):
            if path is None:
                raise InputError(f"{self.name}: {program} is not on PATH; install it there")
        encoder = Path(str(paths[0]))
        if not self._configs:
            return []
        folder = encoder.parent
        named = os.environ.get(self._config_variable)
        places = [folder, folder / "cfg", folder.parent / "cfg", folder.resolve().parent / "cfg"]
        places.append(encoder.resolve().parent.parent / "cfg")
        candidates = [Path(named)] if named else [a / b for b in self._configs for a in places]
        for candidate in candidates:
            if candidate.is_file():
                return ["-b", str(folder), "-c", str(candidate)]
        raise InputError(
            f"{self.name}: the encoder's configuration ({named or ' or '.join(self._configs)}) is "
            f"not there; set {self._config_variable} to its path"
        )


class Learned:
    """A learned codec of CompressAI's zoo, trained for MSE."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._load = lru_cache(maxsize=2)(self._load_model)

    @property
    def qualities(self) -> Sequence[int]:
        """Those whose weights are there."""
        try:
            weights = self._weights()
        except InputError:
            return ()
        return sorted(quality for quality, path in weights.items() if path.is_file())

    def check(self) -> None:
        """Raise InputError where CompressAI or the weights are missing."""
        weights = self._weights()
        if not any(path.is_file() for path in weights.values()):
            quality, path = min(weights.items())
            function = self.name.replace("-", "_")
            raise InputError(
                f"{self.name}: no weights in {path.parent} ({path.name} and others); "
                f"`python -c 'from compressai.zoo import {function} as m; "
                f"m({quality}, pretrained=True)'` downloads those of quality {quality}"
            )

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        """Encode and decode again, padded to multiples of 64; see `Codec.encode`."""
        check_pixels(pixels)
        self.check()
        check_quality(self, quality)
        model = self._load(quality)
        height, width = pixels.shape[:2]
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        with torch.no_grad():
            x = torch.nn.functional.pad(to_tensor(pixels), padding, mode="replicate")
            coded = model.compress(x)
            x_hat = model.decompress(coded["strings"], coded["shape"])["x_hat"]
        size = sum(len(string) for part in coded["strings"] for string in part)
        decoded = to_pixels(x_hat[..., :height, :width])
        payload = size + SIZE_AND_QUALITY_BYTES
        return Encoded(decoded, payload, payload, quality)

    def _weights(self) -> dict[int, Path]:
        """Where PyTorch Hub keeps the weights of each quality, there or not."""
        urls = _compressai(self.name, "zoo.image").model_urls[self.name]["mse"]
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        return {quality: folder / Path(urlparse(url).path).name for quality, url in urls.items()}

    def _load_model(self, quality: int) -> Any:
        make = _compressai(self.name, "zoo").image_models[self.name]
        try:
            model = make(quality=quality, metric="mse", pretrained=True, progress=False)
        except Exception as error:
            raise InputError(
                f"{self._weights()[quality]}: cannot be read as {self.name}; delete it"
            ) from error
        model.eval()
        model.update()
        return model


def bpg() -> External:
    """BPG at CompressAI's settings: x265, 4:4:4, 8 bits, YCbCr."""
    return External("bpg", "BPG", ("bpgenc", "bpgdec"), 51)


def vtm() -> External:
    """VVC's reference software, 4:4:4 YCbCr."""
    return External(
        "vtm",
        "VTM",
        ("EncoderAppStatic", "DecoderAppStatic"),
        63,
        ("encoder_intra_vtm.cfg",),
        "WITT_VTM_CONFIG",
    )


def hm() -> External:
    """HEVC's reference software with screen content coding, 4:4:4 YCbCr."""
    return External(
        "hm",
        "HM",
        ("TAppEncoderStatic", "TAppDecoderStatic"),
        51,
        ("encoder_intra_main_scc.cfg", "encoder_intra_main_rext.cfg"),
        "WITT_HM_CONFIG",
    )


def _compressai(name: str, module: str) -> ModuleType:
    try:
        with warnings.catch_warnings():
            # It decorates with torch.jit.script, which is deprecated.
            warnings.filterwarnings("ignore", category=FutureWarning)
            return importlib.import_module(f"compressai.{module}")
    except ImportError as error:
        raise InputError(f"{name} needs CompressAI: pip install 'witt[baselines]'") from error
