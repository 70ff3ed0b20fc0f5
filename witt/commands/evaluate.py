"""`witt evaluate`: mean quality over folders, for every channel, CBR and SNR asked for."""

from __future__ import annotations

import itertools
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
import torch
from click.core import ParameterSource

from witt.commands.evaluate_tables import show, show_both
from witt.commands.evaluation_file import Evaluated
from witt.commands.fading import fading_options, make_links
from witt.commands.grid import evaluate_grid
from witt.commands.options import (
    HELP,
    adapt_option,
    chosen_metrics,
    condition_options,
    device_option,
    metric_options,
    output_option,
    profile_option,
    seed_option,
    weights_option,
)
from witt.commands.side_option import side_information_option
from witt.device import pick_device
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.link.conditions import Link
from witt.link.evaluation import Condition, evaluate
from witt.link.given import split_label
from witt.link.per_image_optimisation import trained_for
from witt.link.profiles import MEASURED, OURS, PROFILES, Profile, between, centre
from witt.link.requests import check_request
from witt.link.results import FORMAT
from witt.link.side_link import IDEAL
from witt.link.summary import remarks
from witt.link.values import Cbr, SnrSpec
from witt.lock import sole_writer
from witt.metrics.metric import MS_SSIM, PSNR, Metric, check_labels
from witt.pictures.inputs import (
    Input,
    conversions,
    gather_with_sheets,
    record_of,
    without_label,
)
from witt.report import file_sha256, to_json, version
from witt.store.weights import load_weights, resolve
from witt.waiting import waiting


@click.command(
    "evaluate",
    context_settings=HELP,
    short_help="Measure the mean quality of received pictures.",
    epilog="Example: witt evaluate kodak --snr 1,4,7,10,13 --channel awgn,rayleigh -o kodak.json",
)
@click.argument(
    "images", nargs=-1, required=False, metavar="DIR...", type=click.Path(path_type=Path)
)
@click.option(
    "--grid",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Instead of DIR: measure several models on several channels and sets of pictures, as a "
    "matrix with the loss against the model that was trained for each (docs/transfer.md has the "
    "form of FILE). witt plot draws the JSON.",
)
@condition_options
@fading_options
@seed_option("the channel")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N pictures.")
@metric_options
@profile_option(
    "ours",
    "published",
    "both",
    help="How power, fading and metrics are taken: ours, as the published WITT code does it (its "
    "departures from its paper: docs/published.md), or both side by side with each departure by "
    "itself.",
)
@side_information_option
@adapt_option
@weights_option(more=" mine=FILE gives them another name in the results.")
@device_option()
@output_option(
    "JSON file for the results, with the figures of each picture. It is written as it grows; after "
    "Ctrl-C the same command goes on from there."
)
@click.option("--json", "as_json", is_flag=True, help="Print that JSON and nothing else.")
def command(
    images: Sequence[Path],
    grid: Path | None,
    snr: SnrSpec,
    cbr: Sequence[Cbr],
    channel: Sequence[str],
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    seed: int,
    limit: int | None,
    metric: Sequence[str],
    with_ms_ssim: bool,
    profile: str,
    side_information: str,
    adapt: int,
    weights: str,
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure the mean quality over pictures, at every channel, CBR and SNR of the lists.

    DIR is a folder of pictures or of CIFAR-10 sheets (its test set), a picture, or a data set by
    name (of an installed package, or file.py:Name). Metrics are taken of each 8-bit picture and
    averaged (PSNR and MS-SSIM in dB), unless --profile says otherwise; a picture that arrives
    without error counts as 100 dB of PSNR and 60 dB of MS-SSIM. Every cell is the same whatever
    else is in the lists.
    """
    snrs, cbrs = tuple(dict.fromkeys(snr.points())), tuple(dict.fromkeys(cbr))
    if grid is not None:
        evaluate_grid(
            grid,
            snrs_db=snrs,
            cbrs=cbrs,
            seed=seed,
            limit=limit,
            side_information=side_information,
            device=device,
            output=output,
            as_json=as_json,
        )
        return
    if not images:
        raise click.UsageError("Missing argument 'DIR...'.", click.get_current_context())
    links = make_links(channel, fading, coherence, k_factor_db)
    metrics = chosen_metrics(metric, with_ms_ssim)
    where = pick_device(device)
    label, weights = split_label(weights)
    path = resolve(weights)
    if adapt and profile != "ours":
        raise InputError(f"--adapt {adapt}: goes with --profile ours only, not {profile}")
    side_information = way_of(side_information, profile)
    model, training = load_weights(path)
    digest = file_sha256(path)
    model = model.to(where)
    ratios = [ratio.value for ratio in cbrs]
    check_request(model, (), ratios)  # before the pictures are read, which takes longer
    pictures = gather_with_sheets(images, limit=limit)
    check_labels(metrics, without_label(pictures))
    if output is not None:
        check_output(output, pictures)
    sizes = [picture.size for picture in pictures]
    notes = conversions(pictures)
    for line in notes:
        click.echo(f"Note: {line}", err=True)
    notes += check_request(model, snrs, ratios, links, training, sizes)
    conditions = [
        Condition(*cell, chosen, side_information)
        for cell in itertools.product(links, cbrs, snrs)
        for chosen in profiles_of(profile, pictures, cell[0], metrics)
    ]
    head = {
        "format": FORMAT,
        "command": shlex.join(["witt", *sys.argv[1:]]),
        "version": version(),
        "torch": torch.__version__,
        "device": str(where),
        "codec": label,
        "weights": {"name": weights, "sha256": digest},
        "config": model.plain_config(),
        "dataset": record_of(pictures, "+".join(path.resolve().name for path in images)),
        "profile": profile,
        "side_information": side_information,
        "metrics": [each.quantity.record() for each in metrics],
        "adapt": adapt,
        "seed": seed,
        "notes": notes,
    }
    with nullcontext() if output is None else sole_writer(output):
        evaluated = Evaluated(head, conditions, len(pictures), output)
        if evaluated.continues:
            click.echo(f"Note: {output}: going on from what is finished in it", err=True)
        with (
            _interruptible(evaluated),
            waiting("Evaluating", len(pictures) * len(conditions)) as advance,
        ):
            work = evaluate(
                pictures,
                model,
                conditions,
                seed=seed,
                metrics=metrics,
                adapt=adapt,
                loss=trained_for(training),
                weights_sha256=digest,
                known=evaluated.known,
            )
            for condition, entries in work:
                evaluated.add(condition, entries)
                advance(len(entries))
        results = evaluated.results
        said = remarks(results)
        evaluated.save(said)
    title = f"{len(pictures)} pictures, {weights}, seed {seed}, profile {profile}"
    title += f", {adapt} steps of per-image optimisation" if adapt else ""
    title += ", ideal side information" if side_information == IDEAL else ""
    tables = show_both if profile == "both" else show
    tables(results, evaluated.quantities, title, err=as_json)
    for line in said:
        warnings.warn(line, stacklevel=2)
    if as_json:
        click.echo(to_json(evaluated.record(said)))


def way_of(side_information: str, profile: str) -> str:
    """How side information is treated: the profiles other than ours take it as received.

    Raises:
        InputError: it was to be coded all the same.
    """
    if profile == OURS.name or side_information == IDEAL:
        return side_information
    source = click.get_current_context().get_parameter_source("side_information")
    if source is ParameterSource.COMMANDLINE:
        raise InputError(
            f"--side-information {side_information}: goes with --profile ours only, not {profile}"
        )
    return IDEAL


@contextmanager
def _interruptible(evaluated: Evaluated) -> Iterator[None]:
    """Keep what is finished, whatever ends the run, and say where it is after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as error:
        evaluated.save()
        if evaluated.output is None or not evaluated.share:
            raise
        raise InputError(
            f"interrupted: {evaluated.output} keeps what is finished ({evaluated.share:.0%}); "
            "the same command goes on from there"
        ) from error
    except Exception:
        evaluated.save()
        raise


def profiles_of(
    choice: str, pictures: Sequence[Input], link: Link, metrics: Sequence[Metric]
) -> list[Profile]:
    """The profiles to measure: one, or for "both" also each departure that can show here."""
    if choice != "both":
        return [PROFILES[choice]]
    cropped = any(centre(p.size) != (slice(0, p.size[0]), slice(0, p.size[1])) for p in pictures)
    measured = {each.quantity for each in metrics}
    shows = {
        "no_csi": link.fades,
        "four_scales": MS_SSIM in measured,
        "mean_mse": PSNR in measured and any(picture.tile is not None for picture in pictures),
        "centre_crop": cropped,
    }
    return between([entry for entry in MEASURED if shows.get(entry, True)])


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
