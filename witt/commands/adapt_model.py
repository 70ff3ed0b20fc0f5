"""`witt adapt-model`: weights a few gradient steps nearer to a new domain."""

from __future__ import annotations

import itertools
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

from witt.commands.options import (
    HELP,
    CbrListType,
    SnrType,
    channel_option,
    device_option,
    output_option,
    seed_option,
)
from witt.commands.side_option import side_information_option
from witt.device import pick_device
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.link.conditions import Link
from witt.link.evaluation import Condition
from witt.link.requests import check_request
from witt.link.values import Cbr, SnrSpec
from witt.pictures.inputs import Input, set_sha256
from witt.registry import short
from witt.report import console, file_sha256, number, table, to_json
from witt.store.weights import load_weights, resolve, save_weights, stored_dtype
from witt.training.adaptation import adapt_model, default_crop, measure, open_domain
from witt.training.config import TrainConfig
from witt.training.start import default_cbr

FORMAT = "witt-adaptation-1"
LR = 3e-4  # of AdamW: 50 steps at 3e-5 made deepjscc_cifar worse on photographs (docs/transfer.md)
WARMUP = 0.25  # share of the steps

EPILOG = """\b
Examples:
  witt adapt-model witt_light --data drone-pictures --steps 20 -o drone.safetensors
  witt adapt-model deepjscc_cifar --data photos --pictures 8 --val more-photos --steps 50 --cbr 1/12
"""


@click.command(
    "adapt-model",
    short_help="Fit weights to a few pictures of a new domain.",
    epilog=EPILOG,
    context_settings=HELP,
)
@click.argument("weights", metavar="WEIGHTS")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="DIR",
    help="Pictures of the new domain: a folder, a picture, or a data set by name; may be repeated. "
    "Of CIFAR-10 sheets, training pictures.",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only the first N of them.",
)
@click.option(
    "--val",
    multiple=True,
    metavar="DIR",
    help="Pictures to measure on, before and after; may be repeated. Without it the last quarter "
    "of --data is held out for that.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Measure on the first N pictures only.",
)
@click.option(
    "--steps", type=click.IntRange(min=0), default=20, show_default=True, help="Gradient steps."
)
@click.option(
    "--snr",
    type=SnrType(),
    default="1,4,7,10,13",
    show_default=True,
    help="SNRs in dB to adapt and to measure at.",
)
@click.option(
    "--cbr",
    type=CbrListType(),
    help="CBRs to adapt and to measure at.  [default: the middle one of the usual ones that the "
    "weights serve]",
)
@channel_option(many=True, help="Channels to adapt and to measure on.")
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=LR,
    show_default=True,
    help="Peak learning rate of AdamW; it falls to 0 over the steps.",
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Crops a step."
)
@click.option(
    "--crop",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Side of the random crops.  [default: 128, or less where a picture is smaller]",
)
@seed_option("crops, noise and channel")
@side_information_option
@device_option()
@output_option("File for the adapted weights, .safetensors. Without it none are written.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON and nothing else.")
@click.pass_context
def command(
    ctx: click.Context,
    weights: str,
    data: Sequence[str],
    pictures: int | None,
    val: Sequence[str],
    limit: int | None,
    steps: int,
    snr: SnrSpec,
    cbr: Sequence[Cbr] | None,
    channel: Sequence[str],
    lr: float,
    batch: int,
    crop: int | None,
    seed: int,
    side_information: str,
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Take a few gradient steps on a few pictures of a new domain, and say what they gain.

    WEIGHTS is a name of weights that come with witt, a file or a folder of witt train. Mean PSNR is
    measured before and after on pictures that no step was taken on, as witt evaluate measures it.
    The result may be worse than before; the command says so. For more than some hundred steps take
    witt train --init, which validates on the way and can be resumed.
    """
    path = resolve(weights)
    codec, training = load_weights(path)
    if output is not None:
        _check_output(output, path)
    served = default_cbr(codec)
    cbrs = [Cbr(served[len(served) // 2])] if cbr is None else list(dict.fromkeys(cbr))
    ratios = [each.value for each in cbrs]
    check_request(codec, (), ratios)  # before the pictures are read, which takes longer
    domain = open_domain(data, val, pictures, limit)
    config = TrainConfig(
        preset=codec.name,
        data=tuple(data),
        val=tuple(val),
        snr=snr.values,
        snr_is_range=snr.is_range,
        cbr=tuple(map(str, cbrs)),
        channel=tuple(channel),
        steps=max(steps, 1),
        batch=batch,
        crop=default_crop(codec, domain.few) if crop is None else crop,
        lr=lr,
        muon_lr=0.0,
        warmup=round(WARMUP * steps),
        ema=0.0,
        seed=seed,
        device=device,
        precision="fp32",
        workers=0,
        init=str(weights),
    )
    links = [Link.of(each) for each in dict.fromkeys(channel)]
    snrs = tuple(dict.fromkeys(snr.points()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the domain is new to the weights is known
        sizes = [each.size for each in (*domain.few, *domain.held_out)]
        notes = check_request(codec, snrs, ratios, links, training, sizes)
    conditions = [
        Condition(*cell, side_information=side_information)
        for cell in itertools.product(links, cbrs, snrs)
    ]
    digest = file_sha256(path)
    codec = codec.to(pick_device(device))
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        before = measure(codec, domain.held_out, conditions, seed, digest)
        record, code = dict(training), 0
        if steps:
            dtype = stored_dtype(path)
            record, code = adapt_model(codec, training, config, domain.few, dtype)
        if code:
            click.echo("stopped: nothing is written", err=True)
            ctx.exit(code)
        after = measure(codec, domain.held_out, conditions, seed, digest) if steps else before
    results = _results(before, after)
    gain_db = sum(result["gain_db"] for result in results) / len(results)
    document = {
        "format": FORMAT,
        "command": shlex.join(["witt", *sys.argv[1:]]),
        "weights": {"name": weights, "sha256": digest},
        "steps": steps,
        "config": config.to_dict(),
        "adapted_on": _record(domain.few),
        "measured_on": _record(domain.held_out),
        "side_information": side_information,
        "gain_db": gain_db,
        "notes": notes,
        "results": results,
    }
    _show(document, err=as_json)
    if output is not None:
        if steps:
            kept = {name: document[name] for name in ("adapted_on", "measured_on", "gain_db")}
            record["adaptation"] = kept
        save_weights(output, codec, record, dtype=stored_dtype(path))
        click.echo(f"Weights: {output}", err=as_json)
    if as_json:
        click.echo(to_json(document))


def _check_output(output: Path, weights: Path) -> None:
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: weights are kept in a file whose name ends in .safetensors")
    if output.exists() and output.samefile(weights):
        raise InputError(f"{output}: holds the weights to start from; choose another --out")
    ensure_writable_folder(output.parent)


def _record(pictures: Sequence[Input]) -> dict[str, Any]:
    """Plain values that tell which pictures these are."""
    digest = set_sha256((picture.size, picture.sha256) for picture in pictures)
    names = [picture.relative.as_posix() for picture in pictures]
    return {"pictures": len(pictures), "sha256": digest, "names": names}


def _results(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What each condition gained; the figures of the pictures are those of before and after."""
    results = []
    for first, second in zip(before, after, strict=True):
        pairs = zip(first["images"], second["images"], strict=True)
        results.append(
            {
                **{k: v for k, v in first.items() if k not in ("images", "psnr_db", "seconds")},
                "before_psnr_db": first["psnr_db"],
                "after_psnr_db": second["psnr_db"],
                "gain_db": second["psnr_db"] - first["psnr_db"],
                "images": [
                    {
                        **{name: a[name] for name in ("image", "seed")},
                        "before_psnr_db": a["psnr_db"],
                        "after_psnr_db": b["psnr_db"],
                    }
                    for a, b in pairs
                ],
            }
        )
    return results


def _show(document: Mapping[str, Any], *, err: bool) -> None:
    few, held = (document[name]["pictures"] for name in ("adapted_on", "measured_on"))
    title = (
        f"{document['weights']['name']}, {document['steps']} steps on {few} pictures: PSNR in dB "
        f"of {held} held-out pictures"
    )
    rows = table(title, "Channel", "CBR", "SNR dB", "before", "after", "gain")
    for result in document["results"]:
        figures = (result[name] for name in ("before_psnr_db", "after_psnr_db"))
        rows.add_row(
            short(result["channel"]),
            result["cbr_label"],
            f"{result['snr_db']:g}",
            *map(number, figures),
            f"{round(result['gain_db'], 2) + 0.0:+.2f}",
        )
    console(err=err).print(rows)
    click.echo(said(document["gain_db"], document["results"]), err=err)


def said(gain_db: float, results: Sequence[Mapping[str, Any]]) -> str:
    """What the steps came to, in a sentence."""
    better = sum(image["after_psnr_db"] > image["before_psnr_db"] for image in _images(results))
    share = f"{better} of {len(_images(results))} transmissions"
    if not better and not gain_db:
        return "Nothing has changed."
    if gain_db > 0:
        return f"Better by {gain_db:.2f} dB on average; {share} are better."
    return (
        f"WORSE by {-gain_db:.2f} dB on average; {share} are better. Try fewer --steps, a smaller "
        "--lr or more pictures, or keep the weights as they were."
    )


def _images(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [image for result in results for image in result["images"]]
