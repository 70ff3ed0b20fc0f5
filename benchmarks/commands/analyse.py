"""`witt analyse`: what codecs have learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from witt.commands.options import (
    HELP,
    CbrType,
    Registered,
    SnrType,
    channel_option,
    output_option,
    seed_option,
)
from witt.errors import InputError, one_line
from witt.link.conditions import Link
from witt.link.values import Cbr, SnrSpec
from witt.registry import DATASETS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F = TypeVar("F", bound=Callable[..., Any])
KINDS = (".png", ".svg", ".json")

EPILOG = """\b
Examples:
  witt analyse similarity witt_cifar_light deepjscc_cifar -o cka.png
  witt analyse attention witt_light --data photos -o attention.png
  witt analyse latents witt_light --snr -2:16:3 -o latents.png
"""


@click.group(
    "analyse",
    short_help="Show what codecs have learnt: layers, attention, latents.",
    epilog=EPILOG,
    context_settings=HELP,
)
def command() -> None:
    """Show what trained codecs have learnt.

    Each command writes its numbers as JSON, and a figure of them beside it as PNG and SVG. Models
    are names of weights that come with witt (see witt info), .safetensors files, or folders of
    witt train.
    """


def shared_options(snr: str, snr_help: str, output: str) -> Callable[[F], F]:
    """``--data``, ``--limit``, ``--snr``, ``--cbr``, ``--from`` and ``-o``, the same for all."""

    def add(function: F) -> F:
        for option in (
            output_option(
                f"Figure; its numbers go beside it as JSON.  [default: {output}]",
            ),
            click.option(
                "--from",
                "document",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Draw the JSON of an earlier run again; nothing is computed.",
            ),
            click.option(
                "--cbr",
                type=CbrType(),
                help="Channel bandwidth ratio.  [default: the highest that the models serve]",
            ),
            click.option("--snr", type=SnrType(), default=snr, show_default=True, help=snr_help),
            click.option(
                "--limit",
                type=click.IntRange(min=1),
                metavar="N",
                help="Only the first N pictures.",
            ),
            click.option(
                "--data",
                cls=Registered,
                registry=DATASETS,
                metavar="DIR|NAME",
                type=click.Path(path_type=Path),
                help="A folder of pictures, or a data set by name. Without it the sample that "
                "comes with witt is taken.",
            ),
        ):
            function = option(function)
        return function

    return add


@command.command(
    "similarity",
    short_help="Compare all layers of two models, by linear CKA over SNR.",
    context_settings=HELP,
)
@click.argument("models", nargs=-1, metavar="A B")
@shared_options("1,7,13", "SNRs of the channel (Es/N0) in dB, a panel each.", "similarity.png")
@click.option(
    "--crop",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Side of a crop.  [default: 64, or the side of the smallest picture]",
)
@click.option(
    "--crops",
    "most",
    type=click.IntRange(min=4),
    default=256,
    show_default=True,
    metavar="N",
    help="At most N crops, drawn from all.",
)
@channel_option(many=False, help="The channel.")
@seed_option("the choice of crops and the noise")
def similarity(
    models: tuple[str, ...],
    data: Path | None,
    limit: int | None,
    snr: SnrSpec,
    cbr: Cbr | None,
    crop: int | None,
    most: int,
    channel: str,
    seed: int,
    document: Path | None,
    output: Path | None,
) -> None:
    """Compare all layers of two models by linear CKA, over SNR.

    \b
    A, B  models; A and A again shows which layers of one model are alike.

    CKA is 1 where two layers see the same differences between pictures, up to a rotation and a
    scale of their features, and about 0 where what one sees says nothing of the other. The examples
    are crops of pictures. A layer is a module of the network, a block, what is sent or what is
    received.
    """
    from benchmarks.analysis import similarity as work
    from benchmarks.analysis.examples import crops_of, pictures_of
    from benchmarks.analysis.figures import similarity_figure
    from benchmarks.analysis.sending import named, shared_cbr

    def compute() -> dict[str, Any]:
        first, second = _exactly(models, 2, "two models, A and B")
        pictures = pictures_of(data, limit)
        crops = crops_of(pictures, crop, most, seed)
        codecs, link = [named(first), named(second)], Link.of(channel)
        ratio = shared_cbr(codecs, None if cbr is None else cbr.value)
        settings = {
            "dataset": pictures.record(),
            "crop": crops.side,
            "crops": len(crops.pixels),
            "channel": link.record(),
            "channel_label": str(link),
            "cbr": ratio,
            "seed": seed,
        }
        return settings | work.similarity(codecs, crops, link, snr.points(), ratio, seed, _say)

    _finish(document, output, "similarity.png", work.FORMAT, compute, similarity_figure)


@command.command(
    "attention",
    short_help="Measure how far each attention head of a model looks.",
    context_settings=HELP,
)
@click.argument("models", nargs=-1, metavar="A")
@shared_options("1,13", "SNRs of the channel (Es/N0) in dB, a colour each.", "attention.png")
@channel_option(many=False, help="The channel.")
@seed_option("the noise")
def attention(
    models: tuple[str, ...],
    data: Path | None,
    limit: int | None,
    snr: SnrSpec,
    cbr: Cbr | None,
    channel: str,
    seed: int,
    document: Path | None,
    output: Path | None,
) -> None:
    """Measure how far each attention head of a model looks, in pixels.

    It is the mean distance between a token and those that it attends to, by the weight that it
    gives them. Masks and position biases count as the block has them. A dashed line is where a head
    would be that looks at all of its window alike. Pictures are cut to whole windows. This is for
    Swin blocks, as the paper's network has them; others are left out.
    """
    from benchmarks.analysis import attention as work
    from benchmarks.analysis.examples import pictures_of
    from benchmarks.analysis.figures import attention_figure
    from benchmarks.analysis.sending import named, shared_cbr

    def compute() -> dict[str, Any]:
        (name,) = _exactly(models, 1, "one model, A")
        codec, link, pictures = named(name), Link.of(channel), pictures_of(data, limit)
        ratio = shared_cbr([codec], None if cbr is None else cbr.value)
        settings = {
            "dataset": pictures.record(),
            "channel": link.record(),
            "channel_label": str(link),
            "cbr": ratio,
            "seed": seed,
        }
        return settings | work.distances(codec, pictures, link, snr.points(), ratio, seed, _say)

    _finish(document, output, "attention.png", work.FORMAT, compute, attention_figure)


@command.command(
    "latents",
    short_help="Measure the power of each latent channel of a model.",
    context_settings=HELP,
)
@click.argument("models", nargs=-1, metavar="A")
@shared_options("-2:16:3", "SNRs in dB that the transmitter is told.", "latents.png")
def latents(
    models: tuple[str, ...],
    data: Path | None,
    limit: int | None,
    snr: SnrSpec,
    cbr: Cbr | None,
    document: Path | None,
    output: Path | None,
) -> None:
    """Measure the transmit power of each latent channel of a model, over SNR.

    A latent channel is one of the numbers that each token sends. The second panel is the least
    share of channels that together have 90 % of the power of all.
    """
    from benchmarks.analysis import latents as work
    from benchmarks.analysis.examples import pictures_of
    from benchmarks.analysis.figures import latents_figure
    from benchmarks.analysis.sending import named, shared_cbr

    def compute() -> dict[str, Any]:
        (name,) = _exactly(models, 1, "one model, A")
        codec, pictures = named(name), pictures_of(data, limit)
        ratio = shared_cbr([codec], None if cbr is None else cbr.value)
        settings = {"dataset": pictures.record(), "cbr": ratio}
        return settings | work.latents(codec, pictures, snr.points(), ratio, _say)

    _finish(document, output, "latents.png", work.FORMAT, compute, latents_figure)


def _exactly(models: tuple[str, ...], count: int, what: str) -> tuple[str, ...]:
    if len(models) != count:
        raise click.UsageError(f"name {what}: there are {len(models)}")
    return models


def _say(line: str) -> None:
    click.echo(line, err=True)


def _finish(
    source: Path | None,
    output: Path | None,
    default: str,
    form: str,
    compute: Callable[[], dict[str, Any]],
    draw: Callable[[dict[str, Any]], Figure],
) -> None:
    """Compute the document, or read one that is there, and draw it."""
    from benchmarks.figures.plot import paper_style, save
    from benchmarks.sweep.provenance import run_record
    from witt.files import ensure_writable_folder, write_text
    from witt.report import to_json

    output = output or source or Path(default)
    name = output.stem if output.suffix.lower() in KINDS else output.name
    folder = ensure_writable_folder(output.parent)
    if source is None:
        document = {"format": form, "run": run_record(), **compute()}
        written = folder / f"{name}.json"
        write_text(written, to_json(document, indent=None) + "\n")
        click.echo(f"Numbers: {written}")
    else:
        document = _read(source, form)
    with paper_style():
        for path in save(draw(document), folder, name):
            click.echo(f"Figure: {path}")


def _read(path: Path, form: str) -> dict[str, Any]:
    """An earlier document.

    Raises:
        InputError: it is missing, or is something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from error
    if not isinstance(document, dict) or document.get("format") != form:
        what = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise InputError(f"{path}: is {what!r}, and not {form!r} as this command writes it")
    return document
