"""`witt evaluate`: mean quality over folders, for every channel, CBR and SNR asked for."""

from __future__ import annotations

import hashlib
import itertools
import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from rich.progress import Progress

from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.images import Pixels, read_image, to_tensor
from witt.inputs import Input, conversions, gather
from witt.link import Link, check_request, fading_options, make_links, seed_option, send
from witt.model import WITT
from witt.options import (
    Cbr,
    SnrSpec,
    condition_options,
    device_option,
    output_option,
    pick_device,
    weights_option,
)
from witt.report import console, file_sha256, number, table, to_json, version
from witt.weights import load_weights, resolve

FORMAT = "witt-evaluation-1"


class Condition(NamedTuple):
    """One cell of the table."""

    link: Link
    cbr: Cbr
    snr_db: float


def image_seed(seed: int, pixels: Pixels) -> int:
    """Seed of the channel for one picture, 32 bits from the seed of the run and the pixels.

    Pictures get independent noise; a picture gets the same at every condition, whatever else is
    in the run, so that conditions are compared fairly. `witt transmit --seed` with it gives the
    same picture.
    """
    digest = hashlib.sha256(f"{seed} {pixels.shape} ".encode() + pixels.tobytes()).digest()
    return int.from_bytes(digest[:4], "big")


def evaluate(
    pictures: Sequence[Input],
    model: WITT,
    conditions: Sequence[Condition],
    *,
    seed: int = 0,
    with_ms_ssim: bool = True,
) -> Iterator[tuple[Condition, dict[str, Any]]]:
    """Send every picture at every condition.

    Args:
        pictures: from `witt.inputs.gather`.
        model: trained, in evaluation mode.
        conditions: channel, CBR and SNR.
        seed: of the channel.
        with_ms_ssim: whether to measure it; NaN if not.

    Yields:
        A condition and the figures of one picture at it.

    Raises:
        InputError: as `witt.link.send`.
    """
    device = next(model.parameters()).device
    for picture in pictures:
        pixels = read_image(picture.path).pixels
        own_seed = image_seed(seed, pixels)
        image = to_tensor(pixels, device)
        for condition in conditions:
            draw = send(
                model,
                image,
                condition.link.module(),
                condition.snr_db,
                condition.cbr.value,
                torch.Generator().manual_seed(own_seed),
                with_ms_ssim=with_ms_ssim,
            )
            yield (
                condition,
                {
                    "image": str(picture.path),
                    "width": picture.size[1],
                    "height": picture.size[0],
                    "seed": own_seed,
                    "psnr_db": draw.psnr_db,
                    "ms_ssim": draw.ms_ssim,
                    "ms_ssim_db": draw.ms_ssim_db,
                    "ms_ssim_variant": draw.ms_ssim_variant,
                    "cbr": draw.sent.cbr,
                    "channel_uses": draw.sent.symbols.shape[1],
                    "header_bits": draw.sent.header_bits,
                    "seconds": draw.seconds,
                },
            )


@click.command(
    "evaluate",
    short_help="Mean quality over folders of pictures.",
    epilog="Example: witt evaluate kodak --snr 1,4,7,10,13 --channel awgn,rayleigh -o kodak.json",
)
@click.argument(
    "images", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path)
)
@condition_options
@fading_options
@seed_option("the channel")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N pictures.")
@click.option(
    "--ms-ssim/--no-ms-ssim",
    "with_ms_ssim",
    default=True,
    show_default=True,
    help="Measure MS-SSIM too; without it the run takes about half as long on a CPU.",
)
@weights_option()
@device_option()
@output_option("JSON file for the results, with the figures of each picture.")
@click.option("--json", "as_json", is_flag=True, help="Print that JSON and nothing else.")
def command(
    images: Sequence[Path],
    snr: SnrSpec,
    cbr: Sequence[Cbr],
    channel: Sequence[str],
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    seed: int,
    limit: int | None,
    with_ms_ssim: bool,
    weights: str,
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure the mean quality over pictures, at every channel, CBR and SNR of the lists.

    DIR is a folder of pictures, or a picture. PSNR and MS-SSIM are taken of each 8-bit picture
    and averaged in dB. Every cell is the same whatever else is in the lists.
    """
    links = make_links(channel, fading, coherence, k_factor_db)
    snrs, cbrs = tuple(dict.fromkeys(snr.points())), tuple(dict.fromkeys(cbr))
    where = pick_device(device)
    path = resolve(weights)
    model = load_weights(path)[0].to(where)
    check_request(model, snrs, [ratio.value for ratio in cbrs])
    pictures = gather(images, limit=limit)
    if output is not None:
        check_output(output, pictures)
    for line in conversions(pictures):
        click.echo(f"Note: {line}", err=True)
    conditions = [Condition(*cell) for cell in itertools.product(links, cbrs, snrs)]
    figures: dict[Condition, list[dict[str, Any]]] = {condition: [] for condition in conditions}
    screen = console(err=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("Evaluating", total=len(pictures) * len(conditions))
        work = evaluate(pictures, model, conditions, seed=seed, with_ms_ssim=with_ms_ssim)
        for condition, entry in work:
            figures[condition].append(entry)
            progress.advance(task)
    results = [summary(condition, entries) for condition, entries in figures.items()]
    record = {
        "format": FORMAT,
        "command": shlex.join(["witt", *sys.argv[1:]]),
        "version": version(),
        "torch": torch.__version__,
        "device": str(where),
        "weights": {"name": weights, "sha256": file_sha256(path)},
        "config": model.config.to_dict(),
        "seed": seed,
        "images": len(pictures),
        "results": results,
    }
    text = to_json(record)
    if output is not None:
        write_text(output, text + "\n")
    show(results, f"{len(pictures)} pictures, {weights}, seed {seed}", err=as_json)
    warn_of_variants(results)
    if as_json:
        click.echo(text)


def check_output(output: Path, pictures: Sequence[Input]) -> None:
    """Refuse an output file that cannot be written or is an input.

    Raises:
        InputError: it is a folder or an input, or its folder cannot be written.
    """
    if output.is_dir():
        raise InputError(f"{output}: is a folder; --output is the file for the JSON")
    if output.exists() and any(output.samefile(picture.path) for picture in pictures):
        raise InputError(f"{output}: would be replaced, but is an input; choose another --output")
    ensure_writable_folder(output.parent)


def summary(condition: Condition, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The means of a condition, and the figures behind them."""

    def mean(name: str) -> float:
        return float(np.mean([entry[name] for entry in entries]))

    return {
        **condition.link.record(),
        "snr_db": condition.snr_db,
        "cbr_requested": condition.cbr.value,
        "cbr_label": str(condition.cbr),
        "cbr": mean("cbr"),
        "psnr_db": mean("psnr_db"),
        "ms_ssim": mean("ms_ssim"),
        "ms_ssim_db": mean("ms_ssim_db"),
        "seconds": mean("seconds"),
        "images": entries,
    }


def show(results: Sequence[dict[str, Any]], title: str, *, err: bool) -> None:
    """A row for each SNR, columns for each channel and CBR."""
    columns = list(dict.fromkeys((r["channel"], r["cbr_label"]) for r in results))
    cells = {(r["snr_db"], r["channel"], r["cbr_label"]): r for r in results}
    measured = any(r["images"][0]["ms_ssim_variant"] is not None for r in results)
    kinds = ("PSNR dB", "MS-SSIM dB") if measured else ("PSNR dB",)
    heads = [f"{name} {cbr}\n{kind}" for name, cbr in columns for kind in kinds]
    rows = table(title, "SNR dB", *heads)
    for snr in dict.fromkeys(r["snr_db"] for r in results):
        row = [f"{snr:g}"]
        for name, cbr in columns:
            cell = cells[snr, name, cbr]
            row += [number(cell[key]) for key in ("psnr_db", "ms_ssim_db")[: len(kinds)]]
        rows.add_row(*row)
    console(err=err).print(rows)


def warn_of_variants(results: Sequence[dict[str, Any]]) -> None:
    """Say which kinds of MS-SSIM the means are of, where it is not the standard one alone."""
    variants = Counter(entry["ms_ssim_variant"] for entry in results[0]["images"])
    if set(variants) - {"ms-ssim", None}:
        named = ", ".join(f"{name} ({count})" for name, count in variants.items())
        warnings.warn(
            f"the MS-SSIM is not the standard one of 5 scales for every picture: {named}",
            stacklevel=2,
        )
