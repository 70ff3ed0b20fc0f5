"""Schemes of one's own: anything that sends pictures, and any codec.

--schemes mine=./mycodec.py:MyCodec          a class with `encode` and `decode`
--schemes mine=./myscheme.py:MyScheme:q=3    one with `send`, called with q=3
--schemes mine=runs/mine                     weights of witt train
--schemes my_codec                           what an installed package offers by this name
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks.schemes.scheme import Sent
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import Pixels
from witt.registry import CODECS, OURS, PRESETS, SCHEMES, Registry, is_path, parse, short

LOUDEST = 1.005  # mean power; ours round the scale to what a header holds


class Sources(NamedTuple):
    """Names of schemes, and where those come from that were given with it.

    names: as results call them.
    sources: by name: weights, or what `registry_of` knows.
    """

    names: tuple[str, ...]
    sources: dict[str, str]


def split_sources(texts: Sequence[str]) -> Sources:
    """Take "name=source" apart; a file's thing without a name is called as in the file.

    Raises:
        InputError: two sources have one name.
    """
    names: list[str] = []
    sources: dict[str, str] = {}
    for text in texts:
        name, equals, source = text.partition("=")
        if not equals or ":" in name or "/" in name:
            name, source = (short(text), text) if is_path(parse(text).target) else (text, "")
        if not name or (equals and not source and name != text):
            raise InputError(f"--schemes {text}: write NAME=SOURCE, such as mine=./mine.py:MyCodec")
        if source and sources.get(name, source) != source:
            raise InputError(f"--schemes: {name} is both {sources[name]} and {source}")
        names.append(name)
        if source:
            sources[name] = source
    return Sources(tuple(dict.fromkeys(names)), sources)


def registry_of(text: str) -> Registry | None:
    """Where to find what a text stands for; None where it is no name of codec or scheme.

    A file is looked up as a codec's; what it is shows when it is there. Codecs and presets of ours
    are none: they have no weights of their own.
    """
    target = parse(text).target
    if is_path(target):
        return CODECS
    for registry in (SCHEMES, CODECS, PRESETS):
        if target in registry.names() and (registry is SCHEMES or registry.origin(target) != OURS):
            return registry
    return None


def make(text: str) -> Any:
    """What a text stands for: a class or function is called, with the settings after it.

    Raises:
        InputError: there is none, or it neither sends nor encodes and decodes.
    """
    registry = registry_of(text)
    if registry is None:
        raise InputError(f"{text}: no codec and no scheme is called so")
    thing = registry.find(text)
    with torch.random.fork_rng(devices=[]):  # weights that nobody trained are the same each time
        torch.manual_seed(0)
        made = registry.make(text) if inspect.isclass(thing) or _is_maker(thing) else thing
    if sends(made):
        return made
    if not (callable(getattr(made, "encode", None)) and callable(getattr(made, "decode", None))):
        raise InputError(
            f"{text}: {type(made).__name__} is no scheme, which has send, and no codec, which has "
            "encode and decode"
        )
    return made.eval() if isinstance(made, nn.Module) else made


def check_encoded(encoded: Any, batch: int) -> None:
    """Whether what a codec encoded can be sent; a louder sender would win by cheating.

    Raises:
        TypeError: it is not what `witt.contract.Codec.encode` returns.
    """
    try:
        symbols, header = encoded
    except (TypeError, ValueError):
        raise TypeError(
            f"encode must return witt.Encoded(symbols, header), not {type(encoded).__name__}"
        ) from None
    fits = isinstance(symbols, torch.Tensor) and symbols.is_complex() and symbols.ndim == 2
    if not fits or len(symbols) != batch:
        shape = tuple(symbols.shape) if isinstance(symbols, torch.Tensor) else symbols
        raise TypeError(f"encode must return complex symbols ({batch}, N), not {shape}")
    if not isinstance(getattr(header, "bits", None), int):
        raise TypeError(f"the header must be a witt.Header, not {type(header).__name__}")
    power = float(symbols.abs().square().mean(dim=1).max())
    if not power <= LOUDEST:  # NaN too
        raise TypeError(
            f"the symbols have a mean power of {power:.4g}, where 1 is allowed: "
            "channels.normalise_power(symbols).x has it"
        )


def _is_maker(thing: Any) -> bool:
    return callable(thing) and not sends(thing) and not hasattr(thing, "encode")


def sends(thing: Any) -> bool:
    """Whether it is a scheme by itself."""
    return callable(getattr(thing, "send", None))


def source_record(text: str, codec: Any = None) -> dict[str, Any]:
    """What tells versions of a thing apart: its source, and the weights that it has."""
    registry = registry_of(text)
    record: dict[str, Any] = {"source": text}
    version = None if registry is None else registry.source(text)
    if version is not None:
        record["version"] = version
    if isinstance(codec, nn.Module):
        record["weights_sha256"] = weights_sha256(codec)
    return record


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 over the weights of a module, in the order of their names."""
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


class Own:
    """A scheme of one's own, by the name that it was given.

    Args:
        name: in the results.
        source: as for `make`.
        scheme: what `make` made of it.
    """

    def __init__(self, name: str, source: str, scheme: Any) -> None:
        self.name, self.source, self._scheme = name, source, scheme

    @property
    def itself(self) -> Any:
        """What `make` made."""
        return self._scheme

    @property
    def family(self) -> str:
        """As the scheme says; by itself where it does not."""
        return str(getattr(self._scheme, "family", self.name))

    def record(self) -> dict[str, Any]:
        """What it says of itself, and which file or package it is from."""
        describe = getattr(self._scheme, "record", None)
        return {**source_record(self.source), **(describe() if callable(describe) else {})}

    def send(
        self,
        pictures: Sequence[Pixels],
        link: Link,
        snr_db: float,
        cbr: float,
        seeds: Sequence[int],
    ) -> list[Sent]:
        """See `Scheme.send`."""
        sent: list[Sent] = self._scheme.send(pictures, link, snr_db, cbr, seeds)
        return sent


def is_weights(source: str | Path, shipped: Mapping[str, Path]) -> bool:
    """Whether a source is weights: those of a name that is shipped, a file, or a folder."""
    text = str(source)
    return text in shipped or Path(text).exists() or registry_of(text) is None
