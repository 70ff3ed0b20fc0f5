"""`python -m benchmarks.speed`: ours beside the plain network, on this machine, in one run.

{"format": …, "run": {command, commit, machine, …},
 "timings": [{preset, size, batch, work, ways: {…}}],
 "memory": [{preset, network, size, start_bytes, peak_bytes}],
 "end_to_end": {size, seconds: {preset: […]}},
 "profile": [{preset, size, work, products, operators: [{operator, share, calls}]}]}

Sizes are [height, width]. The file is written after every part, so that a run that was cut off
leaves what it measured.
"""

from __future__ import annotations

import itertools
import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

import witt
from benchmarks.speed.measure import (
    LEAST,
    WORK,
    Size,
    compare,
    interleaved,
    peak_memory,
    top_operators,
)
from benchmarks.sweep.provenance import run_record
from witt.codecs.presets import preset
from witt.commands.options import HELP, output_option
from witt.files import ensure_writable_folder, write_text
from witt.link.transmission import transmit
from witt.metrics.metric import make_metrics
from witt.report import console, number, plain, table, to_json

FORMAT = "witt-speed-3"
PUBLISHED = ("witt_base", "witt_cifar")
# Sizes and pictures at a time: of its use.
CASES: dict[str, tuple[tuple[Size, int], ...]] = {
    "witt_base": (((256, 256), 1), ((512, 768), 1)),
    "witt_cifar": (((32, 32), 32),),
    "tiny": (((16, 24), 2),),
}
LARGE: Size = (1080, 1920)
QUICK = replace(preset("witt_cifar", dims=(16, 32), heads=(2, 4), depths=(1, 2)), name="tiny")


@click.command(context_settings=HELP)
@click.option(
    "--preset",
    "presets",
    type=click.Choice(PUBLISHED),
    multiple=True,
    default=PUBLISHED,
    show_default=True,
    help="What to time; may be given several times.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help=f"Of each measurement, at most; {LEAST} of them are made in any case.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="No further repeat of a measurement that would take longer than this in all.",
)
@click.option("--compile/--no-compile", "with_compile", default=True, show_default=True)
@click.option("--memory/--no-memory", "with_memory", default=True, show_default=True)
@click.option("--quick", is_flag=True, help="A tiny network and pictures: only to see it work.")
@output_option("Result file (JSON).", Path("out/speed.json"))
def command(
    presets: tuple[str, ...],
    repeats: int,
    budget: float,
    with_compile: bool,
    with_memory: bool,
    quick: bool,
    output: Path,
) -> None:
    """Time our code beside a plain implementation of the published network, same weights."""
    ensure_writable_folder(output.parent)
    configs = [QUICK] if quick else [preset(name) for name in dict.fromkeys(presets)]
    document: dict[str, Any] = {
        "format": FORMAT,
        "run": run_record(
            command=shlex.join(["python", "-m", "benchmarks.speed", *sys.argv[1:]]),
            threads=torch.get_num_threads(),
            repeats=repeats,
            budget_s=budget,
        ),
        "timings": [],
        "memory": [],
        "end_to_end": None,
        "profile": [],
    }

    def add(part: str, entry: dict[str, Any]) -> None:
        document[part].append(entry)
        write_text(output, to_json(document) + "\n")

    light, base = witt.load("witt_light"), witt.WITT(configs[0]).eval()
    photograph = CASES[configs[0].name][-1][0]
    document["end_to_end"] = end_to_end(light, base, photograph, repeats, budget)
    add("profile", top_operators(light, photograph, False, 8))
    if with_memory and not quick:
        for which in ("plain", "ours"):
            add("memory", peak_memory("witt_base", which, LARGE))
    for config in configs:
        cases = CASES[config.name]
        for (size, batch), train in itertools.product(cases, (False, True)):
            click.echo(f"{config.name}, {batch} of {_size(size)}, {WORK[train]}")
            # Another size compiles anew, for minutes; the gain is one of operators, not of sizes.
            first = size == cases[0][0]
            compiles = with_compile and not quick and first
            add("timings", compare(config, size, train, compiles, repeats, budget, batch))
            if first:
                add("profile", top_operators(witt.WITT(config).eval(), size, train, 8, batch))
    show(document)
    click.echo(f"Results: {click.format_filename(output)}")


def end_to_end(
    light: witt.WITT, base: witt.WITT, size: Size, repeats: int, budget_s: float
) -> dict[str, Any]:
    """Seconds from the pixels of a picture to those received, with either model.

    As `witt transmit` counts them: without start, files and metrics.
    """
    models = {model.config.name: model for model in (light, base)}
    pixels = torch.randint(
        0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    ).numpy()
    spent: dict[str, list[float]] = {name: [] for name in models}

    def way(name: str) -> None:
        cbr = 1 / 16 if name == "witt_light" else None
        (draw,) = transmit(pixels, models[name], cbr=cbr, metrics=make_metrics(["psnr"]))
        spent[name].append(draw.seconds)

    interleaved({name: partial(way, name) for name in models}, repeats, budget_s)
    return {
        "size": size,
        "seconds": {name: seconds[1:] for name, seconds in spent.items()},  # the first warmed up
    }


def show(document: dict[str, Any]) -> None:
    """What the file holds, as tables."""
    rows = table(
        "Seconds (median, least to most) and how many times as fast as plain", "", "s", "from",
        "to", "× plain", "warm-up s",
    )  # fmt: skip
    for result in document["timings"]:
        for name, way in result["ways"].items():
            what = f"{result['preset']}, {result['batch']} of {_size(result['size'])}, "
            what += f"{result['work']}: {name}"
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
    for entry in document["profile"]:
        what = f"{entry['work']} of {entry['preset']} at {_size(entry['size'])}"
        title = f"Where {what} spends its time: {entry['products']:.0%} matrix products"
        rows = table(title, "operator", "share", "calls")
        for top in entry["operators"]:
            rows.add_row(top["operator"], f"{top['share']:.0%}", str(top["calls"]))
        console().print(rows)


def _size(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
