"""`witt export`: encoder and decoder as ONNX files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from witt.codecs.published import export_published
from witt.commands.options import HELP, CbrType, output_option, weights_option
from witt.files import ensure_writable_folder
from witt.link.values import Cbr
from witt.report import file_sha256
from witt.store.onnx import export_onnx
from witt.store.weights import load_weights, resolve
from witt.waiting import waiting

LARGEST_SIDE = 8192


class SizeType(click.ParamType):
    """A picture size: "768x512", width first."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """(height, width)."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([0-9]{1,5})[x×]([0-9]{1,5})", str(value).strip().lower())
        width, height = map(int, found.groups()) if found else (0, 0)
        if not 1 <= min(width, height) <= max(width, height) <= LARGEST_SIDE:
            self.fail(
                f"{value!r} is not a size: give width and height like 768x512, each from 1 to "
                f"{LARGEST_SIDE}",
                param,
                ctx,
            )
        return height, width


@click.command(
    "export",
    context_settings=HELP,
    short_help="Write weights for other programs.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["onnx", "published"]),
    default="onnx",
    show_default=True,
    help="onnx: encoder.onnx and decoder.onnx; published: published.model, a state dict that the "
    "published WITT or SwinJSCC code loads.",
)
@weights_option()
@click.option(
    "--size",
    type=SizeType(),
    default="768x512",
    show_default=True,
    help="Width and height of the pictures that the files take.",
)
@click.option(
    "--cbr",
    type=CbrType(),
    help="Channel bandwidth ratio of the files.  [default: the highest that the weights serve]",
)
@output_option("Folder for the files.", "witt_export")
def command(kind: str, weights: str, size: tuple[int, int], cbr: Cbr | None, output: Path) -> None:
    """Write weights for other programs.

    ONNX files are checked against PyTorch in onnxruntime. A file takes one picture of one size at
    one CBR; the SNR is an input. I and Q are the last dimension of the symbols.

    The published codes take weights of their own architectures only: one CBR, or SwinJSCC, trained
    with the power scale sent (witt train --profile published, or --set sends_scale=true).
    """
    path = resolve(weights)
    model = load_weights(path)[0]
    if kind == "published":
        file = ensure_writable_folder(output) / "published.model"
        export_published(file, model, size)
        click.echo(f"{click.format_filename(file)}: for pictures of {size[1]}x{size[0]}")
        return
    ensure_writable_folder(output)
    value = None if cbr is None else cbr.value
    notes = {"weights": weights, "weights_sha256": file_sha256(path)}
    with waiting("Writing and checking the networks"):
        written = export_onnx(model, output, size, value, notes)
    for exported in written:
        shapes = ", ".join(f"{name} {shape}" for name, shape in exported.inputs.items())
        click.echo(
            f"{click.format_filename(exported.path)}: takes {shapes}; "
            f"within {exported.difference:.1e} of PyTorch"
        )
