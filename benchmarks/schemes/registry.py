"""Schemes by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.codecs import codec, codec_names
from benchmarks.codecs.search import Searched
from benchmarks.schemes.bounds import AtCapacity
from benchmarks.schemes.digital import ldpc_scheme
from benchmarks.schemes.jscc import Jscc
from benchmarks.schemes.nr import Nr
from benchmarks.schemes.own import Own, is_weights, make, registry_of, sends
from benchmarks.schemes.scheme import Scheme
from witt.errors import InputError
from witt.link.side_link import CODED, IDEAL
from witt.registry import CODECS, PRESETS, SCHEMES
from witt.store.weights import resolve, shipped

# What "witt" stands for: the network of the paper, and ours where its weights are not shipped.
PAPER, INSTEAD = "witt_base", "witt_light"
PAPER_TILES, INSTEAD_TILES = "witt_cifar", "witt_cifar_light"
OLD_NAMES = {"linear": "softcast"}


class Renamed(NamedTuple):
    """Names of schemes with weights in the place of "witt", and a line that says so, if so."""

    names: tuple[str, ...]
    note: str | None


def name_weights(names: Sequence[str], weights: Mapping[str, Any], tiles: bool) -> Renamed:
    """Say by name which weights "witt" (or "witt+adapt:STEPS") is, and renew old names.

    Args:
        names: as asked for.
        weights: those that were given a name; "witt" may be one of them.
        tiles: whether the pictures are of 32×32 pixels.
    """
    names = [name if name in weights else OLD_NAMES.get(name, name) for name in names]
    names = list(dict.fromkeys(names))
    asked = [name for name in names if name.partition("+")[0] == "witt"]
    if not asked or "witt" in weights:
        return Renamed(tuple(names), None)
    paper, instead = (PAPER_TILES, INSTEAD_TILES) if tiles else (PAPER, INSTEAD)
    there = paper in shipped() or paper in weights
    taken = paper if there else instead
    note = f"witt is {taken} here"
    if not there:
        note += f": {paper}, the network of the paper, comes without weights in this copy"
    renamed = (taken + name[len("witt") :] if name in asked else name for name in names)
    return Renamed(tuple(dict.fromkeys(renamed)), note)


def make_schemes(
    names: Sequence[str], weights: Mapping[str, str | Path], side_information: str = CODED
) -> list[Scheme]:
    """The schemes of these names.

    Args:
        names: "witt" or the name of shipped weights, also with "+adapt:STEPS", "softcast",
            "CODEC+ldpc" (the best mode for each picture and SNR), "CODEC+ldpc:16qam-1/2" (one
            mode), "CODEC+nr" (those of 5G), "CODEC+capacity", or what an installed package
            offers.
        weights: further names, with their weights or their sources (`benchmarks.schemes.own`).
        side_information: of codecs of symbols: "coded", sent with the pictures, or "ideal", taken
            as received.

    Raises:
        InputError: unknown scheme, codec or mode, or a file or a program that is missing.
    """
    searched: dict[str, Searched] = {}
    names = name_weights(names, weights, tiles=False).names
    return [_scheme(name, weights, searched, side_information) for name in names]


def ideal_schemes(names: Sequence[str], weights: Mapping[str, str | Path]) -> list[Scheme]:
    """As `make_schemes`, with side information taken as received; other processes find it too."""
    return make_schemes(names, weights, IDEAL)


def _scheme(
    name: str,
    weights: Mapping[str, str | Path],
    searched: dict[str, Searched],
    side_information: str,
) -> Scheme:
    source, plus, channel_code = name.partition("+")
    kind, colon, mode = channel_code.partition(":")
    model = name
    steps = 0
    if kind == "adapt":
        model, steps = source, _steps(name, mode)
    if model in weights:
        return _of_source(name, weights[model], steps, side_information)
    if model in shipped():
        return Jscc(name, resolve(model), steps, side_information)
    if registry_of(model) is not None:
        return _of_source(name, model, steps, side_information)
    if plus and (kind == "ldpc" or channel_code in ("nr", "capacity")):
        if source not in searched:
            found = codec(source)
            found.check()
            searched[source] = Searched(found)
        if kind == "ldpc":
            return ldpc_scheme(name, source, mode if colon else None, searched[source])
        if kind == "nr":
            return Nr(name, source, searched[source])
        return AtCapacity(source, searched[source])
    offered = (one for registry in (CODECS, PRESETS) for one in registry.names())
    others = [one for one in offered if registry_of(one) is not None]
    models = ", ".join(dict.fromkeys(["witt", *shipped(), *weights, *others]))
    raise InputError(
        f"no scheme is called {name!r}; there are {models}, each also with +adapt:STEPS, "
        f"{', '.join(SCHEMES.names())}, and CODEC+ldpc, CODEC+ldpc:MODE, CODEC+nr and "
        f"CODEC+capacity with CODEC one of {', '.join(codec_names())}; name your own as "
        "NAME=file.py:Name"
    )


def _of_source(name: str, source: str | Path, steps: int, side_information: str) -> Scheme:
    """A scheme from weights, or from a file or package that has a scheme or a codec."""
    if is_weights(source, shipped()):
        return Jscc(name, resolve(source), steps, side_information)
    made = make(str(source))
    if not sends(made):
        return Jscc(name, str(source), steps, side_information)
    if steps:
        raise InputError(f"{name}: a scheme that sends by itself cannot be adapted")
    return Own(name, str(source), made) if name != getattr(made, "name", None) else made


def _steps(name: str, text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise InputError(f"{name}: say how many steps after +adapt:, as in witt_light+adapt:5")
    return int(text)
