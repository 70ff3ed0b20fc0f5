"""What the commands share: the types of their options, and the options themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from witt.device import DEVICES
from witt.errors import InputError
from witt.link.conditions import OURS, Link
from witt.link.values import Cbr, SnrSpec, as_text, read_cbr, read_snr, read_snrs
from witt.metrics.metric import Metric, make_metrics
from witt.radio.samples import SAMPLE_RATE_HZ
from witt.registry import CHANNELS, METRICS, Registry

# Every command has it of its own: click keeps the names that it first saw a command with.
HELP = {"help_option_names": ["-h", "--help"]}

F = TypeVar("F", bound=Callable[..., Any])


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
            return read_snr(str(value), f"{value}")
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
            return read_snrs(as_text(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CbrType(_Type):
    """One channel bandwidth ratio: "1/16" or "0.0625"."""

    name = "ratio"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Cbr:
        """A `Cbr` above 0, at most 1."""
        try:
            return read_cbr(str(value), str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CbrListType(_Type):
    """Channel bandwidth ratios: "1/16" or "1/48,1/24,0.0625"."""

    name = "ratio[,ratio…]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Cbr, ...]:
        """`Cbr`s in the order given; one named twice stays twice."""
        text = as_text(value)
        try:
            return tuple(read_cbr(part, text) for part in text.split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ChannelType(_Type):
    """A channel: "rayleigh", that of a package, or "file.py:Name:key=value"."""

    name = "channel"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Its name, of a channel that is there and does what a channel must."""
        return _channel(str(value), self, param, ctx)


class ChannelListType(_Type):
    """Channels: "awgn" or "awgn,./mine.py:Impulsive:p=0.05"."""

    name = "channel[,channel…]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Names in the order given; one named twice stays twice."""
        return tuple(_channel(part, self, param, ctx) for part in as_text(value).split(","))


def _channel(
    text: str, kind: click.ParamType, param: click.Parameter | None, ctx: click.Context | None
) -> str:
    name = text.strip()
    if name.lower() in OURS:
        return name.lower()
    try:
        Link.of(name)
    except InputError as error:
        kind.fail(str(error), param, ctx)
    return name


class Registered(click.Option):
    """An option whose help lists what is there, with the packages that are installed.

    Args:
        registry: what its values are of.
    """

    def __init__(self, *args: Any, registry: Registry, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.registry = registry

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """With the names: only now, since it takes time to look for them."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        names = ", ".join(self.registry.names())
        there = f"There are {names}, and your own as" if names else "Your own is"
        shown, default = record[1], ""
        if "  [" in shown:
            shown, _, default = shown.rpartition("  [")
            default = "  [" + default
        return record[0], f"{shown} {there} file.py:Name.{default}"


def channel_option(many: bool, help: str) -> Callable[[F], F]:
    """``--channel``: the parameter ``channel``, names for `make_links`, or one."""
    return click.option(
        "--channel",
        cls=Registered,
        registry=CHANNELS,
        type=ChannelListType() if many else ChannelType(),
        default="awgn",
        show_default=True,
        help=help,
    )


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


def one_condition_options(snr_help: str) -> Callable[[F], F]:
    """``--snr`` (the parameter ``snr_db``) and ``--cbr``, one value each: a float and a Cbr."""

    def add(command: F) -> F:
        snr = click.option(
            "--snr",
            "snr_db",
            type=SnrValueType(),
            default=10,
            show_default=True,
            help=snr_help,
        )
        cbr = click.option(
            "--cbr",
            type=CbrType(),
            default="1/16",
            show_default=True,
            help="Channel bandwidth ratio: complex channel symbols for each of the 3·H·W pixel "
            "values.",
        )
        return snr(cbr(command))

    return add


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
    channel = channel_option(many=True, help="Channels.")
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
    """``--weights``: the parameter ``weights``, for `witt.store.weights.resolve`."""
    return click.option(
        "--weights",
        default=default,
        show_default=True,
        metavar="NAME|FILE|FOLDER",
        help="Weights that come with witt (see witt info), a .safetensors file, or a folder of "
        f"witt train or save_pretrained.{more}",
    )


def sample_rate_option(help: str) -> Callable[[F], F]:
    """``--sample-rate``: the parameter ``sample_rate_hz``."""
    return click.option(
        "--sample-rate",
        "sample_rate_hz",
        type=click.FloatRange(1, 1e12),
        default=SAMPLE_RATE_HZ,
        show_default=True,
        metavar="Hz",
        help=help,
    )


class MetricListType(_Type):
    """Names of metrics: "psnr" or "psnr,ms-ssim,./mine.py:my_metric"."""

    name = "metric[,metric…]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Names in the order given."""
        return tuple(part.strip() for part in as_text(value).split(",") if part.strip())


def metric_options(command: F) -> F:
    """``--metric`` and ``--no-ms-ssim``: `metric` and `with_ms_ssim`, for `chosen_metrics`."""
    metric = click.option(
        "--metric",
        cls=Registered,
        registry=METRICS,
        type=MetricListType(),
        default="psnr,ms-ssim",
        show_default=True,
        help="What to measure.",
    )
    shorthand = click.option(
        "--ms-ssim/--no-ms-ssim",
        "with_ms_ssim",
        default=True,
        help="--no-ms-ssim leaves MS-SSIM out, which takes about half of the time on a CPU.",
    )
    return metric(shorthand(command))


def chosen_metrics(names: Sequence[str], with_ms_ssim: bool) -> tuple[Metric, ...]:
    """The metrics of `metric_options`.

    Raises:
        InputError: as of `make_metrics`.
    """
    return make_metrics([name for name in names if with_ms_ssim or name != "ms-ssim"])


def adapt_option(command: F) -> F:
    """``--adapt``: the parameter ``adapt``, a number of steps."""
    return click.option(
        "--adapt",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="STEPS",
        help="Steps of per-image optimisation at the transmitter: gradient descent on what is sent "
        "of each picture, through the decoder and noise of its own. Each step takes about twice as "
        "long as sending the picture, and 3.1 GB a megapixel. 10 steps have most of the gain.",
    )(command)


def profile_option(*choices: str, help: str) -> Callable[[F], F]:
    """``--profile``: the parameter ``profile``, a name."""
    return click.option(
        "--profile", type=click.Choice(choices), default="ours", show_default=True, help=help
    )


LARGEST_SEED = 2**63 - 1


class SeedType(click.ParamType):
    """A seed that PyTorch takes; the help is spared the 19 digits of the largest."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A whole number from 0 to LARGEST_SEED."""
        try:
            seed = int(value)
        except ValueError:
            seed = -1
        if not 0 <= seed <= LARGEST_SEED:
            self.fail(
                f"{value!r} is not a seed: give a whole number from 0 to {LARGEST_SEED}", param, ctx
            )
        return seed


def seed_option(what: str) -> Callable[[F], F]:
    """``--seed``; `what` it is the seed of."""
    return click.option(
        "--seed",
        type=SeedType(),
        default=0,
        show_default=True,
        help=f"Seed of {what}: the same seed gives the same bytes.",
    )
