"""`witt transmit`: pictures through the model and a channel, to files, a table or JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from witt.commands.fading import fading_options, make_links
from witt.commands.options import (
    HELP,
    adapt_option,
    channel_option,
    chosen_metrics,
    device_option,
    metric_options,
    one_condition_options,
    output_option,
    seed_option,
    weights_option,
)
from witt.commands.side_option import side_information_option
from witt.commands.transmit_map import unsaid, write_map
from witt.commands.transmit_table import show
from witt.contract import Codec
from witt.device import pick_device
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_bytes
from witt.link.choice import AUTO, choose
from witt.link.conditions import Link
from witt.link.evaluation import image_seed
from witt.link.per_image_optimisation import PerImageOptimisation, trained_for
from witt.link.profiles import OURS
from witt.link.requests import check_request
from witt.link.side_link import IDEAL
from witt.link.summary import failures, is_perfect, lost_line, quality_facts
from witt.link.transmission import Draw, transmit
from witt.link.values import Cbr
from witt.metrics.metric import MS_SSIM, Metric, Quantity, check_labels
from witt.metrics.quality import CAPPED
from witt.pictures.figure import comparison_png
from witt.pictures.images import Pixels, read_image
from witt.pictures.inputs import Input, conversions, gather
from witt.pictures.writing import mark_png, write_png
from witt.report import file_sha256, to_json
from witt.store.weights import load_weights, resolve
from witt.waiting import Advance, waiting

LONGEST_NAME = 255


class Request(NamedTuple):
    """What every picture of a call is sent with.

    seed: of the first picture; the others have their own, from `own_seed`.
    notes: what the weights were not trained for.
    """

    link: Link
    snr_db: float
    cbr: Cbr
    seed: int
    repeats: int
    weights: str
    weights_sha256: str
    optimisation: PerImageOptimisation | None
    metrics: tuple[Metric, ...]
    side_information: str
    notes: tuple[str, ...]
    with_map: bool


class Target(NamedTuple):
    """Where the results of a picture go; `map` with `--map` only."""

    received: Path
    comparison: Path
    map: Path | None = None


@click.command(
    "transmit",
    context_settings=HELP,
    short_help="Send pictures over a noisy channel.",
    epilog="Example: witt transmit photo.png --snr 3 --channel rayleigh --output out",
)
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
@one_condition_options("Signal-to-noise ratio of a channel symbol (Es/N0), in dB.")
@channel_option(many=False, help="Noise only, or fading too.")
@fading_options
@seed_option("the channel (for the first picture; the others get their own, see the results)")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Draws of the channel. The mean is shown, and of the first metric the 5th and 95th "
    "percentile; the pictures are those of the first draw.",
)
@metric_options
@side_information_option
@adapt_option
@weights_option(
    AUTO,
    " auto: witt_base or witt_light, whichever sent the validation photographs better at this SNR "
    "and CBR.",
)
@device_option()
@click.option(
    "--map",
    "with_map",
    is_flag=True,
    help="Also write <name>_map.png: how many channel uses each region got, and the error there, "
    "as the receiver expected it and as it is.",
)
@output_option("Folder for the pictures; input folders are mirrored in it.", "witt_out")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list and nothing else.")
def command(
    images: Sequence[Path],
    snr_db: float,
    cbr: Cbr,
    channel: str,
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    seed: int,
    repeats: int,
    metric: Sequence[str],
    with_ms_ssim: bool,
    side_information: str,
    adapt: int,
    weights: str,
    device: str,
    with_map: bool,
    output: Path,
    as_json: bool,
) -> None:
    """Send pictures over a noisy channel and look at what arrives.

    IMAGE is a picture file or a folder of them. For each, <name>_received.png and
    <name>_comparison.png (original, received, error map and received symbols) are written to the
    output folder, and <name>_map.png with --map. A picture that arrives without error counts as
    100 dB of PSNR and 60 dB of MS-SSIM.
    """
    (link,) = make_links([channel], fading, coherence, k_factor_db)
    metrics = chosen_metrics(metric, with_ms_ssim)
    check_labels(metrics, "a picture file")
    where = pick_device(device)
    if weights == AUTO:
        chosen = choose(snr_db, cbr.value, link.fades)
        weights = chosen.name
        click.echo(f"Note: {chosen}", err=True)
    path = resolve(weights)
    model, training = load_weights(path)
    digest = file_sha256(path)
    model = model.to(where)
    notes = tuple(check_request(model, [snr_db], [cbr.value], [link], training))
    optimisation = (
        PerImageOptimisation(adapt, link.module(), trained_for(training)) if adapt else None
    )
    request = Request(
        link,
        snr_db,
        cbr,
        seed,
        repeats,
        weights,
        digest,
        optimisation,
        metrics,
        side_information,
        notes,
        with_map,
    )
    pictures = gather(images, output=output)
    targets = output_files(pictures, output, with_map)
    for line in conversions(pictures):
        click.echo(f"Note: {line}", err=True)
    records, taken = [], set[int]()
    with waiting("Transmitting", len(pictures) * (adapt + repeats)) as advance:
        for picture, target in zip(pictures, targets, strict=True):
            pixels = read_image(picture.path).pixels
            own = own_seed(seed, pixels, taken)
            taken.add(own)
            records.append(process(picture, pixels, target, model, request, own, advance))
    title = f"{link}, SNR {snr_db:g} dB, CBR {cbr} asked, seed {seed}, {request.weights}"
    title += ", ideal side information" if side_information == IDEAL else ""
    show(records, [metric.quantity for metric in metrics], title, repeats, err=as_json)
    for line in unsaid(records):
        click.echo(f"Note: {line}", err=True)
    if as_json:
        click.echo(to_json(records))
    else:
        last = [output] if len(records) > 1 else [records[0]["comparison"], records[0].get("map")]
        click.echo(f"Look at {' and '.join(map(click.format_filename, filter(None, last)))}")


def output_files(pictures: Sequence[Input], output: Path, with_map: bool = False) -> list[Target]:
    """Make the folders and name the files, none of which may be an input.

    Raises:
        InputError: a file would replace an input or has too long a name, or a folder cannot be
            written.
    """
    inputs = {os.path.normcase(os.path.realpath(picture.path)) for picture in pictures}
    targets = []
    for picture in pictures:
        folder, stem = output / picture.relative.parent, picture.relative.stem
        names = ("received", "comparison", *(["map"] if with_map else []))
        target = Target(*(folder / f"{stem}_{name}.png" for name in names))
        for path in filter(None, target):
            if len(os.fsencode(path.name)) > LONGEST_NAME:
                raise InputError(f"{picture.path}: the name is too long for its output {path.name}")
            if os.path.normcase(os.path.realpath(path)) in inputs:
                raise InputError(
                    f"{path}: would be replaced, but is an input; choose another --output"
                )
        targets.append(target)
    for folder in dict.fromkeys(target.received.parent for target in targets):
        ensure_writable_folder(folder)
    return targets


def own_seed(seed: int, pixels: Pixels, taken: Set[int]) -> int:
    """Seed of a picture: as given for the first of a call, one of its own for the others.

    It is `image_seed`, so that it follows from the picture, not from its place; a picture that
    is there twice gets another one each time.

    Args:
        seed: of the call.
        pixels: of the picture.
        taken: seeds of the pictures before.
    """
    own = image_seed(seed, pixels) if taken else seed
    while own in taken:
        own = image_seed(own, pixels)
    return own


def process(
    picture: Input,
    pixels: Pixels,
    target: Target,
    model: Codec,
    request: Request,
    seed: int,
    advance: Advance,
) -> dict[str, Any]:
    """Send one picture, write its files and return its entry of the JSON list."""
    notes = [*picture.notes, *request.notes]
    notes += check_request(model, (), [request.cbr.value], sizes=[picture.size])
    draws = transmit(
        pixels,
        model,
        request.link,
        request.snr_db,
        request.cbr.value,
        seed=seed,
        repeats=request.repeats,
        optimisation=request.optimisation,
        metrics=request.metrics,
        side_information=request.side_information,
        weights_sha256=request.weights_sha256,
        advance=advance,
        regions=request.with_map,
    )
    lost = sum(any(draw.sent.lost) for draw in draws)
    if lost:
        notes.append(lost_line(lost, len(draws), [str(picture.path)]))
    if any(is_perfect(draw.figures) for draw in draws):
        notes.append(CAPPED)
    notes += failures([{"image": str(picture.path), **draw.figures} for draw in draws])
    first, main = draws[0], request.metrics[0].quantity.key
    height, width = picture.size
    record = {
        "image": str(picture.path),
        "width": width,
        "height": height,
        **_means(draws, [metric.quantity for metric in request.metrics]),
        "snr_db": request.snr_db,
        **request.link.record(),
        "channel_label": str(request.link),
        "cbr": first.sent.cbr,
        "cbr_requested": request.cbr.value,
        "channel_uses": first.sent.symbols.shape[1],
        "header_bits": first.sent.header_bits,
        "side_information": request.side_information,
        "side_uses": first.sent.side_uses,
        "side_information_lost": lost,
        "profile": OURS.name,
        "seed": seed,
        "repeats": request.repeats,
        "adapt": 0 if request.optimisation is None else request.optimisation.steps,
        "weights": request.weights,
        "weights_sha256": request.weights_sha256,
        "received": str(target.received),
        f"received_{main}": first.figures[main],
        "comparison": str(target.comparison),
        "notes": notes,
        "seconds": sum(draw.seconds for draw in draws) / len(draws),
    }
    facts = _facts(first, request, seed)
    symbols = first.sent.received[0].cpu().numpy()
    title = os.fsencode(picture.path.name).decode(errors="replace")
    drawn = comparison_png(pixels, first.pixels, symbols, title, facts)
    write_png(target.received, first.pixels, result="received")
    write_bytes(target.comparison, mark_png(drawn, "comparison"))
    if target.map is not None:
        write_map(target.map, pixels, first, record, title)
    return record


def _means(draws: Sequence[Draw], quantities: Sequence[Quantity]) -> dict[str, Any]:
    """The mean of each value, and how far that of the first metric spreads."""
    taken = {
        key: np.array([draw.figures[key] for draw in draws])
        for quantity in quantities
        for key in quantity.columns
    }
    means: dict[str, Any] = {key: float(values.mean()) for key, values in taken.items()}
    main = quantities[0].key
    low, high = np.percentile(taken[main], (5, 95)) if len(draws) > 1 else (np.nan, np.nan)
    means |= {f"{main}_p5": float(low), f"{main}_p95": float(high)}
    if MS_SSIM in quantities:
        means["ms_ssim_variant"] = draws[0].figures["ms_ssim_variant"]
    return means


def _side_fact(draw: Draw) -> str:
    if not draw.sent.lost:
        return IDEAL
    return "lost" if any(draw.sent.lost) else f"{draw.sent.side_uses:,.0f} symbols"


def _facts(draw: Draw, request: Request, seed: int) -> list[tuple[str, str]]:
    link = request.link
    name, _, fading = str(link).partition(", ")
    facts = [
        *quality_facts(draw.figures, [metric.quantity for metric in request.metrics]),
        ("SNR", f"{request.snr_db:g} dB"),
        ("Channel", name),
        ("Fading", fading.removesuffix(" fading").replace(" fading (", " (")),
        ("CBR", f"{draw.sent.cbr:.4g} ({request.cbr} asked)"),
        ("Uses", f"{draw.sent.symbols.shape[1]:,} symbols"),
        ("Header", f"{draw.sent.header_bits} bits"),
        ("Side info", _side_fact(draw)),
        ("Seed", str(seed)),
    ]
    return [fact for fact in facts if fact[1] or not fact[0]]
