"""`witt info`: the presets, the weights that come with witt, and what computes here."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import click
import torch
from torch.utils.flop_counter import FlopCounterMode

from witt.codecs.backbones import FRAMES, backbone_configs
from witt.commands.options import HELP
from witt.contract import Codec
from witt.errors import InputError
from witt.link.requests import trained_channels
from witt.nn.meta import without_values
from witt.registry import CODECS, PRESETS, REGISTRIES, backbone_preset
from witt.report import console, file_sha256, plain, table, to_json, version
from witt.store.making import KEY, from_values, to_values
from witt.store.weights import load_weights, resolve, shipped
from witt.training.start import base_codec

SIDE = 256
PURPOSE = {
    "witt_base": "the paper's model for photographs",
    "witt_small": "the smaller one of SwinJSCC",
    "witt_large": "the larger one of SwinJSCC",
    "witt_cifar": "the paper's model for 32×32 pictures",
    "witt_light": "ours: trains and runs on a CPU, any CBR of its range",
    "witt_cifar_light": "ours for 32×32 pictures",
    "witt_narrow": "narrow, for photographs: to compare blocks at equal arithmetic",
    "witt_cifar_narrow": "the same for 32×32 pictures",
    "witt_narrow_dynamic": "witt_narrow, where a token sends what it is worth",
    "witt_cifar_narrow_dynamic": "the same for 32×32 pictures",
    "swinjscc_small": "SwinJSCC that adapts its rate too, small",
    "swinjscc_base": "SwinJSCC that adapts its rate too, in the paper's size",
    "swinjscc_large": "SwinJSCC that adapts its rate too, large",
    "deepjscc": "the CNN of Bourtsoulatze et al. 2019, to compare with",
}
BACKBONES = backbone_configs()


class Cost(NamedTuple):
    """What a model takes.

    parameters: number of trainable values.
    flops_per_pixel: of encoder and decoder together, two for each multiply-add.
    """

    parameters: int
    flops_per_pixel: float


def cost(codec: Codec, side: int = SIDE) -> Cost:
    """Count parameters, and operations on one square picture at the highest CBR served.

    Matrix products, convolutions and attention are counted, two operations for each
    multiply-add; sums, norms and activations are not. Nothing is computed, on PyTorch's meta
    device, but for a codec that sends something else of each picture: a grey one.

    Args:
        codec: its values do not matter.
        side: of the picture, in pixels.
    """
    return _cost(to_json(to_values(codec), indent=None), side)


@cache
def _cost(values: str, side: int) -> Cost:
    make = partial(from_values, json.loads(values))
    fixed = CODECS.find(json.loads(values)[KEY]).cost_is_fixed
    codec: Codec = without_values(make) if fixed else make().eval()
    image = torch.full((1, 3, side, side), 0.5, device=codec.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        codec.pass_through(image)
    parameters = sum(p.numel() for p in codec.parameters())
    return Cost(parameters, counter.get_total_flops() / side**2)


def describe_codec(codec: Codec) -> dict[str, Any]:
    """What a codec is made from with what follows from it, as plain values."""
    costs = cost(codec)
    stride = getattr(codec.config, "stride", None)
    return {
        **to_values(codec),
        **({} if stride is None else {"stride": stride}),
        "served_cbr": None if codec.served_cbr is None else list(codec.served_cbr),
        "parameters": costs.parameters,
        "kflop_per_pixel": round(costs.flops_per_pixel / 1e3, 1),
    }


def describe_weights(path: Path) -> dict[str, Any]:
    """A weights file: its size, hash, configuration and training record.

    Also what it was measured to do, where a file NAME.results.json beside it says so.

    Raises:
        InputError: a file is missing, damaged or of another kind.
    """
    model, training = load_weights(path)
    results = path.with_suffix(".results.json")
    return {
        "file": str(path),
        "megabytes": round(path.stat().st_size / 1e6, 2),
        "sha256": file_sha256(path),
        "config": describe_codec(model),
        "training": training,
        **({"results": read_results(results)} if results.is_file() else {}),
    }


def read_results(path: Path) -> dict[str, Any]:
    """What weights were measured to do, as the file beside them says.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a JSON file of results ({error})") from error
    if not isinstance(results, dict):
        raise InputError(f"{path}: not a JSON file of results")
    return results


def describe_devices() -> list[str]:
    """What `--device` can be here."""
    devices = [f"cpu ({os.cpu_count()} cores, {torch.get_num_threads()} threads)"]
    for index in range(torch.cuda.device_count()):
        devices.append(f"cuda ({torch.cuda.get_device_name(index)})")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


@click.command(
    "info",
    context_settings=HELP,
    short_help="Show presets, weights and devices.",
    epilog="Example: witt info runs/try/weights.safetensors",
)
@click.argument("weights", required=False, metavar="[NAME|FILE|FOLDER]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(weights: str | None, as_json: bool) -> None:
    """Show the presets, the weights that come with witt and this machine's devices.

    With NAME, FILE or FOLDER: how those weights are configured and how they were trained.
    """
    if weights is not None:
        record = describe_weights(resolve(weights))
        click.echo(to_json(record)) if as_json else show_weights(weights, record)
        return
    shown = [name for name in PRESETS.names() if as_json or name in FRAMES or name not in BACKBONES]
    presets = describe_presets(shown)
    files = {name: describe_weights(path) for name, path in shipped().items()}
    devices = describe_devices()
    if as_json:
        versions = {"version": version(), "torch": torch.__version__}
        found = {"presets": presets, "weights": files, "devices": devices}
        click.echo(to_json({**versions, **found, "names": names_by_kind()}))
        return
    show_presets(presets)
    show_shipped(files)
    show_names(names_by_kind())
    click.echo(f"Devices: {', '.join(devices)}; PyTorch {torch.__version__}")


def describe_presets(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What presets are; a warning for a package's that cannot be made."""
    described = {}
    for name in names:
        try:
            described[name] = describe_codec(base_codec(name, {}, None))
        except InputError as error:
            warnings.warn(str(error), stacklevel=2)
    return described


def names_by_kind() -> dict[str, dict[str, str]]:
    """What may be named of each kind, and where it comes from."""
    return {each.kind: {name: each.origin(name) for name in each.names()} for each in REGISTRIES}


def show_names(kinds: dict[str, dict[str, str]]) -> None:
    """The table of what may be named, a row for each place that it comes from."""
    rows = table("By name", "Kind", "Names", "From")
    for column in rows.columns:
        column.justify = "left"
    rows.columns[1].no_wrap = False
    rows.columns[1].overflow = "fold"
    for kind, origins in kinds.items():
        for origin in dict.fromkeys(origins.values()):
            mine = [name for name, place in origins.items() if place == origin]
            mine = [name for name in mine if name in FRAMES or name not in BACKBONES]
            rows.add_row(kind, plain(", ".join(mine)), plain(origin))
    console().print(rows)
    click.echo("Your own go everywhere as file.py:Name; docs/extending.md shows how.")


def show_presets(presets: dict[str, dict[str, Any]]) -> None:
    """The table of presets."""
    rows = table(
        "Presets",
        "Name",
        "Widths",
        "Blocks",
        "Stride",
        "Params\nM",
        "kFLOP\n/pixel",
        "CBR",
    )
    rows.columns[0].no_wrap = True
    for name, preset in presets.items():
        rows.add_row(
            name,
            _list(preset.get("dims", ())),
            _list(preset.get("depths", ())),
            str(preset.get("stride", "–")),
            f"{preset['parameters'] / 1e6:.1f}",
            f"{preset['kflop_per_pixel']:.0f}",
            _range(preset["served_cbr"]),
        )
    console().print(rows)
    for name in presets:
        if name in PURPOSE:
            click.echo(f"{name}: {PURPOSE[name]}")
    click.echo(
        f"kFLOP/pixel: encoder and decoder at {SIDE}×{SIDE}, 2 FLOP a multiply-add. "
        "Stride: pixels a token covers each way."
    )
    show_backbones()


def show_backbones() -> None:
    """The table of the presets that differ from a frame in their blocks: a row for each kind."""
    titles = [f"{frame}\n{figure}" for frame in FRAMES for figure in ("params M", "kFLOP/pixel")]
    rows = table("With other blocks, as witt_narrow_mixer", "Block", *titles)
    kinds = dict.fromkeys(block for frame in FRAMES.values() for block in frame.mlp_ratio)
    for block in kinds:
        cells = []
        for name, frame in FRAMES.items():
            made = backbone_preset(name, block)
            costs = cost(base_codec(made, {}, None), frame.side)
            cells += [f"{costs.parameters / 1e6:.1f}", f"{costs.flops_per_pixel / 1e3:.0f}"]
        rows.add_row(block, *cells)
    console().print(rows)
    sides = " and ".join(f"{frame.side}×{frame.side}" for frame in FRAMES.values())
    click.echo(f"kFLOP/pixel of these: at {sides}, where they are equal within 2 %.")


def show_shipped(files: dict[str, dict[str, Any]]) -> None:
    """The table of the weights that come with witt."""
    if not files:
        click.echo("Weights: none come with this copy of witt; train some with witt train")
        return
    rows = table(
        "Weights", "Name", "MB", "CBR", "SNR dB", "Channels", "Steps", "Hours", "On", "Data"
    )
    rows.columns[0].no_wrap = True
    for column in rows.columns[-2:]:
        column.no_wrap = False
    for name, record in files.items():
        config, training = record["config"], record["training"]
        settings = training.get("config", {})
        rows.add_row(
            name,
            f"{record['megabytes']:.1f}",
            _range(config["served_cbr"]),
            _span(config.get("snr_range_db")),
            ", ".join(sorted(trained_channels(training)[0])),
            *(str(training.get(f"total_{n}", training.get(n, "–"))) for n in ("steps", "hours")),
            plain(str(training.get("machine", "–"))),
            plain(_list(settings.get("data", ())) or shorten(str(training.get("data", "–")), 40)),
        )
    console().print(rows)
    click.echo("witt info NAME shows the rest: validation, settings of the training, hash.")


def show_weights(name: str, record: dict[str, Any]) -> None:
    """One weights file, entry by entry."""
    screen = console()
    rows = table(None, f"Weights {name}", "")
    last = rows.columns[-1]
    last.justify, last.no_wrap = "left", False
    for key in ("file", "megabytes", "sha256"):
        rows.add_row(key, plain(record[key]))
    for part in ("config", "training", "results"):
        rows.add_section()
        for key, value in _flat(record.get(part, {})):
            rows.add_row(plain(key), plain(value))
    screen.print(rows)


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for key, value in record.items():
        if isinstance(value, dict):
            entries += _flat(value, f"{prefix}{key}: ")
        else:
            shown = _list(value) if isinstance(value, (list, tuple)) else str(value)
            entries.append((f"{prefix}{key}", shown))
    return entries


def _list(values: Sequence[Any]) -> str:
    return ", ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)


def _span(ends: Sequence[float] | None) -> str:
    return "–" if ends is None else f"{ends[0]:g} to {ends[1]:g}"


def _range(ends: Sequence[float] | None) -> str:
    if ends is None:
        return "any"

    def ratio(value: float) -> str:
        whole = round(1 / value)
        return f"1/{whole}" if abs(value * whole - 1) < 1e-6 else f"{value:.4g}"

    low, high = ends
    return ratio(low) if low == high else f"{ratio(low)}–{ratio(high)}"
