"""Channels and codecs as a notebook has them: names, files or objects."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

import channels
from witt.errors import InputError
from witt.link.conditions import Link
from witt.registry import CODECS, OURS, is_path, parse, short
from witt.report import file_sha256
from witt.store.weights import load_weights, resolve, shipped


@dataclass(frozen=True)
class GivenLink(Link):
    """A channel of one's own that is here as an object.

    Args:
        given: the channel.
    """

    given: channels.Channel | None = None

    def __post_init__(self) -> None:
        try:
            channels.check_channel(self.module())
        except Exception as error:  # whatever its own code raises
            raise InputError(f"channel {self.channel}: {error}") from error

    @property
    def fades(self) -> bool:
        """Whether the gain is random."""
        return self.module().fading

    def module(self) -> channels.Channel:
        """The channel itself."""
        if self.given is None:
            raise InputError("there is no channel")
        return self.given

    def __str__(self) -> str:
        return str(self.module().label or self.channel)

    @property
    def slug(self) -> str:
        """For the names of files."""
        return re.sub(r"[^\w.-]+", "-", self.channel)

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        how = dict.fromkeys(("fading", "coherence", "k_factor_db", "source"))
        return {"channel": self.channel, **how, "fades": self.fades}


def link_of(channel: str | Link | channels.Channel) -> Link:
    """The link of a name ("rician:k_factor_db=3"), or of a channel.

    Raises:
        InputError: it is neither, or a channel of one's own does not do what one must.
    """
    if isinstance(channel, Link):
        return channel
    if isinstance(channel, str):
        return Link.of(channel)
    if not isinstance(channel, channels.Channel):
        raise InputError(f"a channel is a name or a channels.Channel, not {channel!r}")
    if type(channel) is channels.AWGN:
        return Link()
    if type(channel) in (channels.Rayleigh, channels.Rician):
        name, coherence = type(channel).__name__.lower(), getattr(channel, "coherence", None)
        k_factor_db = getattr(channel, "k_factor_db", Link.k_factor_db)
        if coherence == 1:
            return Link(name, "fast", None, k_factor_db)
        return Link(name, "block", coherence, k_factor_db)
    return GivenLink(type(channel).__name__, given=channel)


class Trained(NamedTuple):
    """A codec with what is known of it.

    training: how it was trained, empty where that is not known.
    record: plain values for a result file: its weights, its configuration.
    """

    codec: Any
    training: dict[str, Any]
    record: dict[str, Any]


def codecs_of(codecs: Any) -> dict[str, Trained]:
    """Codecs by label.

    Args:
        codecs: the name of weights that come with witt, a file, the folder of a run, a codec, or
            "file.py:Name" of one; a list of these, or a dict of them by label.

    Raises:
        InputError: one is none of these, cannot be loaded, or two would have one label.
    """
    if isinstance(codecs, Mapping):
        return {str(label): _trained(codec) for label, codec in codecs.items()}
    found: dict[str, Trained] = {}
    for each in codecs if isinstance(codecs, (list, tuple)) else [codecs]:
        label = codec_label(each)
        if label in found:
            raise InputError(f"two codecs are called {label}: give a dict of label and codec")
        found[label] = _trained(each)
    if not found:
        raise InputError("there are no codecs")
    return found


def split_label(text: str) -> tuple[str, str]:
    """Weights as a user writes them, "mine=FILE" or a name or file alone, with their label."""
    label, equals, named = text.partition("=")
    if equals and label and named and not os.path.exists(text):
        return label, named
    return codec_label(text), text


def codec_label(codec: Any) -> str:
    """What a codec is called in a table: its name, or that of its file or run."""
    if _is_code(codec):
        return short(str(codec))
    if isinstance(codec, (str, Path)):
        path = Path(codec)
        if path.suffix != ".safetensors":
            return path.name or str(path)
        return path.parent.name if path.stem in ("weights", "model") else path.stem
    return str(getattr(codec, "name", type(codec).__name__))


def _is_code(codec: Any) -> bool:
    """Whether it names a codec to be made, as "file.py:Name" does, and no weights."""
    if not isinstance(codec, str) or codec in shipped():
        return False
    target = parse(codec).target
    known = target in CODECS.names() and CODECS.origin(target) != OURS
    return is_path(target) or (known and not os.path.exists(codec))


def _trained(codec: Any) -> Trained:
    if _is_code(codec):
        with torch.random.fork_rng(devices=[]):  # the same each time, though nobody trained it
            torch.manual_seed(0)
            return _trained(CODECS.make(codec).eval())
    if isinstance(codec, (str, Path)):
        path = resolve(codec)
        model, training = load_weights(path)
        weights = {"name": str(codec), "sha256": file_sha256(path)}
        return Trained(model, training, {"weights": weights, "config": _plain(model)})
    if not (callable(getattr(codec, "encode", None)) and callable(getattr(codec, "decode", None))):
        raise InputError(
            f"a codec is a name, a file, a folder or a witt.Codec, not {type(codec).__name__}"
        )
    return Trained(codec, {}, {"weights": None, "config": _plain(codec)})


def _plain(codec: Any) -> Any:
    config: Any = getattr(codec, "config", None)
    if hasattr(config, "to_dict"):
        return config.to_dict()
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
