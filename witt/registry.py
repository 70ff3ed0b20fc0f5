"""What a user may name: codecs, blocks, presets, channels, metrics, data sets, losses, schemes.

A name is one of ours (the tables below), one that an installed package offers as an entry point of
the group, or a file and a name in it:

    --channel rayleigh                         ours
    --channel impulsive                        [project.entry-points."witt.channels"] of a package
    --channel ./mine.py:Impulsive:p=0.05       class `Impulsive` in mine.py, called with p=0.05

Settings follow the name, each after a colon; numbers, true and false are read as such. Nothing is
imported before it is asked for.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from witt.errors import InputError, one_line

T = TypeVar("T")
OURS = "witt"  # where our own come from


class Spec(NamedTuple):
    """What a user wrote: where the thing is, and the settings it is made with.

    target: a name, or "file.py:Name".
    settings: keyword arguments.
    """

    target: str
    settings: dict[str, Any]


def parse(text: str) -> Spec:
    """Take "name", "name:key=value" or "file.py:Name:key=value" apart.

    Raises:
        InputError: a file without a name in it.
    """
    parts = text.split(":")
    count = len(parts)
    while count > 1 and "=" in parts[count - 1]:
        count -= 1
    target = ":".join(parts[:count])
    if is_path(target) and not target.rpartition(".py:")[2].isidentifier():
        raise InputError(f"{text}: name what is meant in this file, as in {target}:MyClass")
    settings = dict(part.split("=", 1) for part in parts[count:])
    return Spec(target, {key.strip(): _value(value) for key, value in settings.items()})


def is_path(target: str) -> bool:
    """Whether a name is one of a file: "file.py:Name"."""
    return ".py:" in target or target.endswith(".py")


def short(text: str) -> str:
    """A name without its folder and file: "Impulsive:p=0.05" of "./mine.py:Impulsive:p=0.05"."""
    return text.rpartition(".py:")[2]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Registry:
    """Things of one kind by name.

    Args:
        kind: what they are, in one word or two, for messages.
        group: of the entry points.
        built_in: "module:attribute" of ours by name.
    """

    def __init__(self, kind: str, group: str, built_in: dict[str, str]) -> None:
        self.kind, self.group = kind, group
        self._places: dict[str, str] = dict(built_in)
        self._given: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: give what follows a name in this process, in a notebook for instance."""

        def add(thing: T) -> T:
            self._given[name] = thing
            return thing

        return add

    def names(self) -> tuple[str, ...]:
        """All there are, ours first."""
        return tuple(dict.fromkeys((*self._places, *_installed(self.group), *self._given)))

    def origin(self, name: str) -> str:
        """Where one of `names` comes from: "witt", or the package that was installed."""
        if name in self._given:
            return "registered here"
        return OURS if name in self._places else _version(_installed(self.group)[name])

    def source(self, text: str) -> str | None:
        """What tells two versions of a thing apart: the hash of its file, or its package's version.

        None for ours and for what was registered in this process.

        Raises:
            InputError: there is no such file.
        """
        target = parse(text).target
        if is_path(target):
            path = Path(target.rpartition(":")[0])
            load_file(path)
            return f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
        if target in self._given or target in self._places:
            return None
        offered = _installed(self.group)
        return _version(offered[target]) if target in offered else None

    def find(self, text: str) -> Any:
        """What a name stands for, its settings left aside.

        Raises:
            InputError: there is no such name, file or entry; the message lists the names.
        """
        target = parse(text).target
        if target in self._given:
            return self._given[target]
        if target in self._places:
            return _attribute(
                importlib.import_module(self._places[target].split(":")[0]),
                target,
                self._places[target].split(":")[1],
            )
        if is_path(target):
            file, _, name = target.rpartition(":")
            return _attribute(load_file(file), file, name)
        offered = _installed(self.group)
        if target in offered:
            try:
                return offered[target].load()
            except Exception as error:
                raise InputError(
                    f"{self.kind} {target}: its package cannot be loaded: {one_line(error)}"
                ) from error
        raise InputError(
            f"unknown {self.kind} {target!r}: choose from {', '.join(self.names())}, or name one "
            "of your own as file.py:Name"
        )

    def name_of(self, thing: Any) -> str:
        """The name by which `find` finds a class or function: ours, a package's, or of its file."""
        for name, given in self._given.items():
            if given is thing:
                return name
        place = f"{thing.__module__}:{thing.__qualname__}"
        offered = {name: entry.value for name, entry in _installed(self.group).items()}
        for name, known in {**self._places, **offered}.items():
            if known == place:
                return name
        file = getattr(sys.modules.get(thing.__module__), "__file__", None)
        return place if file is None else f"{file}:{thing.__qualname__}"

    def make(self, text: str, **settings: Any) -> Any:
        """Call what a name stands for, with the settings that follow it and `settings`.

        Raises:
            InputError: as `find`, or it does not take these settings.
        """
        thing = self.find(text)
        given = {**settings, **parse(text).settings}
        try:
            inspect.signature(thing).bind(**given)
        except TypeError as error:
            raise InputError(f"{self.kind} {text}: {one_line(error)}") from error
        try:
            return thing(**given)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.kind} {text}: {one_line(error)}") from error


@cache
def _installed(group: str) -> dict[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=group)}


def _version(entry: metadata.EntryPoint) -> str:
    return "a package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def load_file(path: str | Path) -> ModuleType:
    """The module in a Python file, loaded once; files beside it can be imported from it.

    Raises:
        InputError: there is no such file, or it fails.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise InputError(f"{path}: no such file")
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look for it there
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(
            f"{path}: cannot be loaded: {type(error).__name__}: {one_line(error)}"
        ) from error
    finally:
        sys.path.remove(str(file.parent))
    return module


def _attribute(module: ModuleType, where: str, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        raise InputError(f"{where}: has nothing called {name}") from None


CHANNELS = Registry(
    "channel",
    "witt.channels",
    {
        "awgn": "channels:AWGN",
        "rayleigh": "channels:Rayleigh",
        "rician": "channels:Rician",
        "rayleigh-estimated": "channels:Estimated",
        "erasure": "channels:Erasure",
        "ofdm-awgn": "channels.named:ofdm_awgn",
        **{
            f"ofdm-{kind}-{model}": f"channels.named:ofdm_{kind}_{model}"
            for kind in ("tdl", "cdl")
            for model in "abcde"
        },
    },
)
CODECS = Registry(
    "codec",
    "witt.codecs",
    {
        "witt": "witt.codecs.witt:WITT",
        "swinjscc": "witt.codecs.swinjscc:SwinJSCC",
        "deepjscc": "witt.codecs.deepjscc:DeepJSCC",
        "dynamic": "witt.codecs.dynamic:DynamicWITT",
        "classified": "witt.codecs.classified.codec:ClassifiedCodec",
    },
)
_BLOCKS = ("swin", "mixer", "focal", "mvit", "hpvit", "convnext", "resnet")
BLOCKS = Registry(
    "block", "witt.blocks", {name: f"witt.nn.blocks.{name}:{name}" for name in _BLOCKS}
)


def backbone_preset(frame: str, block: str) -> str:
    """Name of the preset that is a frame with one kind of block; Swin is the frame's own."""
    return frame if block == "swin" else f"{frame}_{block}"


PRESETS = Registry(
    "preset",
    "witt.presets",
    {
        name: f"witt.codecs.presets:{name}"
        for name in (
            "witt_base",
            "witt_small",
            "witt_large",
            "witt_cifar",
            "witt_light",
            "witt_cifar_light",
            "swinjscc_small",
            "swinjscc_base",
            "swinjscc_large",
            "deepjscc",
            "witt_narrow_dynamic",
            "witt_cifar_narrow_dynamic",
            *(
                backbone_preset(frame, block)
                for frame in ("witt_narrow", "witt_cifar_narrow")
                for block in _BLOCKS
            ),
        )
    },
)
METRICS = Registry(
    "metric",
    "witt.metrics",
    {
        "psnr": "witt.metrics.quality:psnr",
        "ms-ssim": "witt.metrics.quality:ms_ssim_db",
        "ssim": "witt.metrics.perceptual:Ssim",
        "lpips": "witt.metrics.perceptual:Lpips",
        "accuracy": "witt.metrics.semantic.accuracy:Accuracy",
        "feature-distance": "witt.metrics.semantic.feature_distance:FeatureDistance",
    },
)
DATASETS = Registry(
    "data set", "witt.datasets", {"cifar10-held-out": "witt.pictures.sheets:held_out_set"}
)
LOSSES = Registry(
    "loss",
    "witt.losses",
    {"mse": "witt.metrics.loss:MSE", "ms-ssim": "witt.metrics.loss:MS_SSIM"},
)
SCHEMES = Registry("scheme", "witt.schemes", {"softcast": "benchmarks.schemes.softcast:SoftCast"})

REGISTRIES = (CHANNELS, CODECS, BLOCKS, PRESETS, METRICS, DATASETS, LOSSES, SCHEMES)
