"""`python -m benchmarks.speed`: ours beside the plain network, on this machine, in one run.

{"format": …, "run": {command, commit, machine, …}, "timings": [{preset, size, work, ways: {…}}],
 "memory": [{preset, network, size, start_bytes, peak_bytes}], "end_to_end": {…},
 "profile": {preset: [{operator, share, calls}]}}

Sizes are [height, width].
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

import witt
from benchmarks.provenance import run_record
from benchmarks.speed.measure import Size, compare, interleaved, peak_memory, top_operators
from witt.config import PRESETS, ModelConfig
from witt.files import ensure_writable_folder, write_text
from witt.link import transmit
from witt.options import output_option
from witt.report import console, number, plain, table, to_json

FORMAT = "witt-speed-1"
SIZES: tuple[Size, ...] = ((256, 256), (512, 768))
LARGE: Size = (1080, 1920)
KODAK: Size = (512, 768)
QUICK = replace(PRESETS["witt_cifar"], name="tiny", dims=(16, 32), heads=(2, 4), depths=(1, 2))


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=7, show_default=True)
@click.option("--compile/--no-compile", "with_compile", default=True, show_default=True)
@click.option("--memory/--no-memory", "with_memory", default=True, show_default=True)
@click.option("--quick", is_flag=True, help="A tiny network and pictures: only to see it work.")
@output_option("Result file (JSON).", Path("out/speed.json"))
def command(repeats: int, with_compile: bool, with_memory: bool, quick: bool, output: Path) -> None:
    """Time our code beside a plain implementation of the published network, same weights."""
    ensure_writable_folder(output.parent)
    configs = [QUICK] if quick else [PRESETS["witt_base"], PRESETS["witt_cifar"]]
    sizes: tuple[Size, ...] = ((16, 24),) if quick else SIZES
    document: dict[str, Any] = {
        "format": FORMAT,
        "run": run_record(
            command=shlex.join(["python", "-m", "benchmarks.speed", *sys.argv[1:]]),
            threads=torch.get_num_threads(),
            repeats=repeats,
        ),
        "timings": [],
        "memory": [],
    }
    for config in configs:
        for size in sizes:
            for train in (False, True):
                click.echo(f"{config.name}, {_size(size)}, {'training' if train else 'inference'}")
                result = compare(config, size, train, with_compile and not quick, repeats)
                document["timings"].append(result)
    if with_memory and not quick:
        for which in ("plain", "ours"):
            document["memory"].append(peak_memory("witt_base", which, LARGE))
    document["end_to_end"] = end_to_end(configs[0], sizes[-1] if quick else KODAK, repeats)
    document["profile"] = {
        model.config.name: top_operators(model, sizes[-1], 8)
        for model in (witt.load("witt_light"), witt.WITT(configs[0]).eval())
    }
    write_text(output, to_json(document) + "\n")
    show(document)
    click.echo(f"Results: {click.format_filename(output)}")


def end_to_end(base: ModelConfig, size: Size, repeats: int) -> dict[str, Any]:
    """Seconds from the pixels of a picture to those received, with `witt_light` and with `base`.

    As `witt transmit` counts them: without start, files and metrics.
    """
    models = {"witt_light": witt.load("witt_light"), base.name: witt.WITT(base).eval()}
    pixels = torch.randint(
        0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    ).numpy()
    spent: dict[str, list[float]] = {name: [] for name in models}

    def way(name: str) -> None:
        cbr = 1 / 16 if name == "witt_light" else None
        (draw,) = transmit(pixels, models[name], cbr=cbr, with_ms_ssim=False)
        spent[name].append(draw.seconds)

    interleaved({name: lambda name=name: way(name) for name in models}, repeats)  # type: ignore[misc]
    return {
        "size": size,
        # Without the two calls that warm up.
        "seconds": {name: seconds[2:] for name, seconds in spent.items()},
    }


def show(document: dict[str, Any]) -> None:
    """What the file holds, as tables."""
    rows = table(
        "Seconds (median, least to most) and how many times as fast as plain", "", "s", "from",
        "to", "× plain", "warm-up s",
    )  # fmt: skip
    for result in document["timings"]:
        for name, way in result["ways"].items():
            what = f"{result['preset']} {_size(result['size'])} {result['work']}: {name}"
            rows.add_row(
                plain(what),
                number(way["median_s"], 3),
                number(min(way["seconds"]), 3),
                number(max(way["seconds"]), 3),
                number(way["times_plain"]),
                number(way["warm_up_s"], 1),
            )
    for name, seconds in document["end_to_end"]["seconds"].items():
        middle = sorted(seconds)[len(seconds) // 2]
        what = f"{name} {_size(document['end_to_end']['size'])} pixels to pixels"
        spread = [number(middle, 3), number(min(seconds), 3), number(max(seconds), 3)]
        rows.add_row(plain(what), *spread, "–", "–")
    console().print(rows)
    if document["memory"]:
        rows = table("Peak memory", "", "GB", "before, GB")
        for entry in document["memory"]:
            what = f"{entry['preset']} {_size(entry['size'])}: {entry['network']}"
            gigabytes = [number(entry[key] / 1e9) for key in ("peak_bytes", "start_bytes")]
            rows.add_row(plain(what), *gigabytes)
        console().print(rows)
    for name, operators in document["profile"].items():
        rows = table(f"Where inference of {name} spends its time", "operator", "share", "calls")
        for entry in operators:
            rows.add_row(entry["operator"], f"{entry['share']:.0%}", str(entry["calls"]))
        console().print(rows)


def _size(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
