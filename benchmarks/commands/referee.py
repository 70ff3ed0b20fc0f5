"""`witt referee`: what schemes really use, against what they claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.commands.benchmark import (
    check_weights,
    maker,
    split_names,
    weights_option,
)
from benchmarks.labels import cbr_label, count_label, scheme_label
from benchmarks.referee.choice import check_has_encoder
from benchmarks.referee.run import Condition, differences, look_at, needs_true_gains
from benchmarks.referee.verdict import TOLERANCES
from benchmarks.schemes.own import split_sources
from benchmarks.schemes.registry import name_weights
from benchmarks.schemes.scheme import own_record
from benchmarks.sweep.dataset import open_dataset
from benchmarks.sweep.provenance import run_record
from witt.commands.fading import fading_options, make_links
from witt.commands.options import (
    HELP,
    Registered,
    channel_option,
    chosen_metrics,
    metric_options,
    one_condition_options,
    output_option,
    seed_option,
)
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.link.side_link import CODED
from witt.link.values import Cbr
from witt.lock import sole_writer
from witt.metrics.metric import check_labels
from witt.pictures.sheets import TILE
from witt.registry import DATASETS, is_path, parse
from witt.report import console, number, plain, table, to_json
from witt.waiting import waiting

FORMAT = "witt-referee-1"
HOLDS, DIFFERS = "✓", "✗"

EPILOG = """\b
Examples:
  witt referee --schemes witt_light,hevc+ldpc --data kodak --limit 4 --snr 7
"""


@click.command(
    "referee",
    short_help="Measure what schemes really use, from their samples alone.",
    epilog=EPILOG,
    context_settings=HELP,
)
@click.option(
    "--data",
    cls=Registered,
    registry=DATASETS,
    required=True,
    metavar="DIR|NAME",
    type=click.Path(path_type=Path),
    help="A folder of pictures, or a data set by name.",
)
@click.option(
    "--schemes",
    default="witt",
    show_default=True,
    metavar="NAME[,NAME…]",
    help="Whose ends to run, as in witt benchmark.",
)
@one_condition_options("Signal-to-noise ratio (Es/N0) in dB, of samples of unit mean power.")
@channel_option(many=False, help="The channel.")
@fading_options
@click.option(
    "--true-gains/--own-estimates",
    default=None,
    help="Whether receivers are told the gain of each sample and the noise, or estimate them from "
    "preamble and pilots.  [default: told where the gain changes faster than pilots can follow]",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N pictures.")
@weights_option
@metric_options
@seed_option("the channel")
@output_option("JSON file for what was claimed and measured.", "referee.json")
@click.pass_obj
def command(
    obj: object,
    data: Path,
    schemes: str,
    snr_db: float,
    cbr: Cbr,
    channel: str,
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    true_gains: bool | None,
    limit: int | None,
    weights: tuple[tuple[str, str], ...],
    metric: tuple[str, ...],
    with_ms_ssim: bool,
    seed: int,
    output: Path,
) -> None:
    """Run transmitter and receiver of schemes as programs that share samples and nothing else.

    \b
      picture ─► transmitter ─► samples ─► channel ─► samples ─► receiver ─► picture
                  a process     measured               a process

    What the samples use (power, peaks, bandwidth, symbols) and the picture that arrives are
    measured and compared with what the scheme claims in witt benchmark at the same condition. What
    differs is marked.
    """
    (link,) = make_links([channel], fading, coherence, k_factor_db)
    metrics = chosen_metrics(metric, with_ms_ssim)
    check_labels(metrics, "what the referee sees")
    names, sources = split_sources(split_names(schemes))
    check_weights([name for name, _ in weights], names)
    given = {name: _absolute(source) for name, source in {**dict(weights), **sources}.items()}
    if output.is_dir():
        raise InputError(f"{output}: is a folder; --out is the file of what was measured")
    pictures = open_dataset(data, limit)
    tiles = set(pictures.sizes) == {(TILE, TILE)}
    names, renamed = name_weights(names, given, tiles=tiles)
    if renamed is not None:
        click.echo(f"Note: {renamed}", err=True)
    made = {scheme.name: scheme for scheme in maker(obj, CODED)(names, given)}
    for scheme in made.values():
        check_has_encoder(scheme)
    told = needs_true_gains(link) if true_gains is None else true_gains
    condition = Condition(link, snr_db, cbr.value, seed, told)
    originals = [pictures.read(index) for index in range(len(pictures))]
    ensure_writable_folder(output.parent)
    found: dict[str, dict[str, Any]] = {}
    document = {
        "format": FORMAT,
        "dataset": pictures.record(),
        "condition": condition.record(),
        "tolerances": TOLERANCES,
        "run": run_record(),
        "schemes": found,
    }
    # Of each picture: what is claimed, sent and received.
    total = 3 * len(originals) * len(made)
    with sole_writer(output), waiting("Looking", total) as advance:
        for number, (name, scheme) in enumerate(made.items(), start=1):
            click.echo(f"{name} ({number} of {len(made)}) …", err=True)
            mine = {key: source for key, source in given.items() if key in name}
            looked = look_at(scheme, mine, originals, condition, metrics, advance)
            found[name] = {"record": own_record(scheme), **looked}
            write_text(output, to_json(document) + "\n")  # what is finished stays
    title = f"{pictures.name} ({count_label(len(pictures))}), {link}, {snr_db:g} dB"
    show(f"{title}, CBR {cbr_label(cbr.value)}, {condition.record()['receiver']}", found)
    click.echo(f"Results: {output}", err=True)
    if failed := [f"{name}: {one['failed']}" for name, one in found.items() if "failed" in one]:
        raise InputError("; ".join(failed))


def show(title: str, found: dict[str, dict[str, Any]]) -> None:
    """A row for each scheme, its means, and a line for each claim that does not hold."""
    heads = ("Symbols", "Samples", "CBR", "Power", "PAPR dB", "between", "Band", "Side bits")
    rows = table(None, "Scheme", "", *heads, "PSNR dB", "claimed")
    lines = []
    for name, one in found.items():
        pictures = [each for each in one.get("pictures", ()) if each["measured"]]
        wrong = list(differences(one))
        mark = (DIFFERS if wrong else HOLDS) if "pictures" in one else "–"
        rows.add_row(scheme_label(name), mark, *_cells(pictures))
        if reason := one.get("no_ends"):
            lines.append(f"{name}: not looked at: {reason.removeprefix(f'{name}: ')}")
        lines += [f"{DIFFERS} {name}: {line}" for line in dict.fromkeys(map(str, wrong))]
    console().print(plain(title), style="bold")
    console().print(rows)
    for line in lines:
        click.echo(line)


def _cells(pictures: list[dict[str, Any]]) -> list[str]:
    """Means over pictures, of peaks the largest."""

    def values(key: str, of: str = "measured") -> list[float]:
        return [each[of][key] for each in pictures if each[of].get(key) is not None]

    def mean(key: str, digits: int, of: str = "measured") -> str:
        found = values(key, of)
        return number(float(np.mean(found)) if found else float("nan"), digits)

    return [
        mean("symbols", 0),
        mean("samples", 0),
        mean("cbr_with_preamble_and_pilots", 4),
        mean("mean_power", 3),
        number(max(values("papr_db"), default=float("nan")), 1),
        number(max(values("papr_between_db"), default=float("nan")), 1),
        mean("occupied_bandwidth", 3),
        mean("side_information_bits", 0),
        mean("psnr_db", 2),
        mean("psnr_db", 2, "claimed"),
    ]


def _absolute(source: str) -> str:
    """A source that another folder finds too."""
    if Path(source).exists():
        return str(Path(source).resolve())
    target = parse(source).target
    if is_path(target):
        file = target.rpartition(":")[0]
        return source.replace(file, str(Path(file).resolve()), 1)
    return source
