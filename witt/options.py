"""What the commands share: the types of their options, and the options themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from witt.errors import InputError

if TYPE_CHECKING:
    import torch

CHANNELS = ("awgn", "rayleigh", "rician")
DEVICES = ("auto", "cpu", "cuda", "mps")
SNR_LIMIT_DB = 100.0
MOST_POINTS = 1000
# Every command has it of its own: click keeps the names that it first saw a command with.
HELP = {"help_option_names": ["-h", "--help"]}

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class SnrSpec:
    """SNRs in dB: a list, or the two ends of a range.

    values: the SNRs; (low, high) for a range.
    is_range: every value from low to high is meant.
    """

    values: tuple[float, ...]
    is_range: bool = False

    def points(self, step: float = 1.0) -> tuple[float, ...]:
        """The listed SNRs, or the range in steps of `step` dB, its ends included."""
        if not self.is_range:
            return self.values
        low, high = self.values
        return tuple(dict.fromkeys((*_steps(low, high, step), high)))

    def __str__(self) -> str:
        return (":" if self.is_range else ",").join(f"{value:g}" for value in self.values)


class Cbr(str):
    """A channel bandwidth ratio as it was written ("1/16"), with its value."""

    @property
    def value(self) -> float:
        """Complex channel uses over 3·H·W."""
        return float(Fraction(self))


class _Type(click.ParamType):
    """A type whose name is shown in the help as it is: click would make dB DB."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str | None:
        return self.name


class SnrValueType(_Type):
    """One SNR in dB."""

    name = "dB"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """A finite number from -100 to 100."""
        try:
            return _snr(str(value), f"{value}")
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SnrType(_Type):
    """SNRs in dB: "1,4,7,10,13", the range "0:20", or "-2:20:2" for every 2 dB."""

    name = "dB[,dB…]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> SnrSpec:
        """A `SnrSpec`; a list or a number, as a config file has them, is taken too."""
        if isinstance(value, SnrSpec):
            return value
        try:
            return _snr_spec(_text(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CbrType(_Type):
    """One channel bandwidth ratio: "1/16" or "0.0625"."""

    name = "ratio"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Cbr:
        """A `Cbr` above 0, at most 1."""
        try:
            return _cbr(str(value), str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CbrListType(_Type):
    """Channel bandwidth ratios: "1/16" or "1/48,1/24,0.0625"."""

    name = "ratio[,ratio…]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Cbr, ...]:
        """`Cbr`s in the order given; one named twice stays twice."""
        text = _text(value)
        try:
            return tuple(_cbr(part, text) for part in text.split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ChannelListType(_Type):
    """Names of channels: "awgn" or "awgn,rayleigh"."""

    name = "channel[,channel…]"

    def __init__(self, choices: Iterable[str] = CHANNELS) -> None:
        self.choices = tuple(choices)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Names in the order given; one named twice stays twice."""
        names = tuple(part.strip().lower() for part in _text(value).split(","))
        for name in names:
            if name not in self.choices:
                self.fail(
                    f"{name!r} is not a channel: choose from {', '.join(self.choices)}", param, ctx
                )
        return names


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        InputError: unknown name, or this machine has no such device.
    """
    import torch

    if name not in DEVICES:
        raise InputError(f"unknown device {name!r}: choose from {', '.join(DEVICES)}")
    there: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    # float32 is float32 on every device; where speed counts, the networks compute in bfloat16.
    torch.backends.cudnn.allow_tf32 = False
    if name == "auto":
        return torch.device("cuda" if there["cuda"]() else "cpu")
    if not there[name]():
        raise InputError(f"device {name}: PyTorch finds none on this machine; use auto or cpu")
    return torch.device(name)


def output_option(help: str, default: str | Path | None = None) -> Callable[[F], F]:
    """``-o``, ``--out``, ``--output``: the parameter ``output``, a Path or None."""
    return click.option(
        "-o",
        "--out",
        "--output",
        "output",
        type=click.Path(path_type=Path),
        default=default,
        show_default=default is not None,
        help=help,
    )


def condition_options(command: F) -> F:
    """``--snr``, ``--cbr`` and ``--channel`` as lists: an SnrSpec, Cbrs and names of channels."""
    snr = click.option(
        "--snr",
        type=SnrType(),
        default="1,4,7,10,13",
        show_default=True,
        help="Signal-to-noise ratios of a channel symbol (Es/N0) in dB: a list, 0:20 for every "
        "1 dB, or -2:20:2 for every 2 dB.",
    )
    cbr = click.option(
        "--cbr",
        type=CbrListType(),
        default="1/16",
        show_default=True,
        help="Channel bandwidth ratios: complex channel symbols for each of the 3·H·W pixel "
        "values.",
    )
    channel = click.option(
        "--channel",
        type=ChannelListType(),
        default="awgn",
        show_default=True,
        help="Channels, of awgn, rayleigh and rician.",
    )
    return snr(cbr(channel(command)))


def device_option() -> Callable[[F], F]:
    """``--device``: the parameter ``device``, a name for `pick_device`."""
    return click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="Where to compute; auto is cuda, or else cpu.",
    )


def weights_option(default: str = "witt_light", more: str = "") -> Callable[[F], F]:
    """``--weights``: the parameter ``weights``, for `witt.weights.resolve`."""
    return click.option(
        "--weights",
        default=default,
        show_default=True,
        metavar="NAME|FILE|FOLDER",
        help="Weights that come with witt (see witt info), a .safetensors file, or a folder of "
        f"witt train or save_pretrained.{more}",
    )


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _snr(part: str, whole: str) -> float:
    try:
        snr = float(part)
    except ValueError:
        snr = math.nan
    if not abs(snr) <= SNR_LIMIT_DB:  # NaN too
        of = "" if part == whole else f" in {whole!r}"
        raise ValueError(
            f"{part.strip()!r}{of} is not an SNR: give a number of dB from "
            f"{-SNR_LIMIT_DB:g} to {SNR_LIMIT_DB:g}"
        )
    return snr + 0.0  # no -0


def _snr_spec(text: str) -> SnrSpec:
    if ":" not in text:
        return SnrSpec(tuple(_snr(part, text) for part in text.split(",")))
    low, high, *rest = (_snr(part, text) for part in text.split(":"))
    if len(rest) > 1 or not low < high:
        raise ValueError(f"{text!r} is not a range of SNRs: write low:high or low:high:step in dB")
    if not rest:
        return SnrSpec((low, high), is_range=True)
    if not rest[0] > 0 or (high - low) / rest[0] >= MOST_POINTS:
        raise ValueError(
            f"the step in {text!r} must be above 0 dB and make fewer than {MOST_POINTS} SNRs"
        )
    return SnrSpec(_steps(low, high, rest[0]))


def _steps(low: float, high: float, step: float) -> tuple[float, ...]:
    count = math.floor((high - low) / step + 1e-9) + 1
    # Rounded: 0.30000000000000004 dB would be another SNR than 0.3.
    return tuple(round(low + index * step, 9) + 0.0 for index in range(count))


def _cbr(part: str, whole: str) -> Cbr:
    text = "".join(part.split())
    try:
        # Not everything that Fraction takes: 1e999999999 keeps it busy for ever.
        plain = re.fullmatch(r"[0-9.]{1,30}(/[0-9]{1,30})?", text) is not None
        value = float(Fraction(text)) if plain else math.nan
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not 0 < value <= 1:
        of = "" if part == whole else f" in {whole!r}"
        raise ValueError(
            f"{part.strip()!r}{of} is not a CBR (channel uses per pixel value): "
            "give a number above 0, at most 1, such as 1/16 or 0.0625"
        )
    return Cbr(text)


def adapt_option(command: F) -> F:
    """``--adapt``: the parameter ``adapt``, a number of steps."""
    return click.option(
        "--adapt",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="STEPS",
        help="Steps of gradient descent by which the transmitter improves what it sends of each "
        "picture, through the decoder and noise of its own. Each takes about twice as "
        "long as the picture without; 3.1 GB a megapixel. 10 have most of the gain.",
    )(command)
