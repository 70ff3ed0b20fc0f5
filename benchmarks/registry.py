"""Schemes by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.bounds import AtCapacity
from benchmarks.codecs import codec, codec_names
from benchmarks.codecs.search import Searched
from benchmarks.digital import ldpc_scheme
from benchmarks.jscc import Jscc
from benchmarks.linear import Linear
from benchmarks.scheme import Scheme
from witt.errors import InputError
from witt.weights import resolve, shipped

DEFAULT = "witt_light"  # what "witt" stands for


def make_schemes(names: Sequence[str], weights: Mapping[str, str | Path]) -> list[Scheme]:
    """The schemes of these names.

    Args:
        names: "witt", the name of shipped weights, either also with "+adapt:STEPS", "linear",
            "CODEC+ldpc" (the best mode for each picture and SNR), "CODEC+ldpc:16qam-1/2" (one
            mode), "CODEC+capacity".
        weights: further names of JSCC models, or "witt", with their files.

    Raises:
        InputError: unknown scheme, codec or mode, or a file or a program that is missing.
    """
    searched: dict[str, Searched] = {}
    return [_scheme(name, weights, searched) for name in names]


def _scheme(name: str, weights: Mapping[str, str | Path], searched: dict[str, Searched]) -> Scheme:
    source, plus, channel_code = name.partition("+")
    kind, colon, mode = channel_code.partition(":")
    model = name
    steps = 0
    if kind == "adapt":
        model, steps = source, _steps(name, mode)
    if model in weights:
        return Jscc(name, resolve(weights[model]), steps)
    if model == "witt" or model in shipped():
        return Jscc(name, resolve(DEFAULT if model == "witt" else model), steps)
    if name == "linear":
        return Linear()
    if plus and (kind == "ldpc" or channel_code == "capacity"):
        if source not in searched:
            found = codec(source)
            found.check()
            searched[source] = Searched(found)
        if kind == "ldpc":
            return ldpc_scheme(name, source, mode if colon else None, searched[source])
        return AtCapacity(source, searched[source])
    models = ", ".join(dict.fromkeys(["witt", *shipped(), *weights]))
    raise InputError(
        f"no scheme is called {name!r}; there are {models}, each also with +adapt:STEPS, linear, "
        f"and CODEC+ldpc, CODEC+ldpc:MODE and CODEC+capacity with CODEC one of "
        f"{', '.join(codec_names())}"
    )


def _steps(name: str, text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise InputError(f"{name}: say how many steps after +adapt:, as in witt+adapt:5")
    return int(text)
