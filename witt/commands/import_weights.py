"""`witt import-weights`: weights of the published WITT and SwinJSCC codes as a file of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import torch

from witt.codecs.published import IMPORTABLE, import_published
from witt.commands.options import HELP, SnrType, output_option
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.link.values import SnrSpec
from witt.report import file_sha256
from witt.store.weights import save_weights


@click.command(
    "import-weights",
    context_settings=HELP,
    short_help="Turn weights of the published code into a file of ours.",
    epilog="Example: witt import-weights published.model -o mine.safetensors",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    "name",
    type=click.Choice(IMPORTABLE),
    help="The network.  [default: told from the shapes in the file]",
)
@click.option(
    "--modulation/--no-modulation",
    default=True,
    show_default=True,
    help="--no-modulation is for weights trained without the Channel ModNet. Their file has one "
    "all the same, which is left out.",
)
@click.option(
    "--snr",
    type=SnrType(),
    default="1,4,7,10,13",
    show_default=True,
    help="SNRs that the weights were trained for: others give a warning when they are used.",
)
@output_option("The weights file to write (.safetensors).")
def command(
    file: Path, name: str | None, modulation: bool, snr: SnrSpec, output: Path | None
) -> None:
    """Turn FILE, a state dict of the published WITT or SwinJSCC code, into a weights file of ours.

    Whether a network of SwinJSCC adapts its rate is told from the names in FILE.

    Only tensors are unpickled. What the file holds beside the weights (attention masks for some
    picture size, tensors of the loss) is left out; a key that is missing, not known or of another
    shape is named. The file works with all commands that take --weights.
    """
    output = file.with_suffix(".safetensors") if output is None else output
    if output.is_dir():
        raise InputError(f"{output}: is a folder; --out is the weights file")
    if output.exists() and file.exists() and output.samefile(file):
        raise InputError(f"{output}: would be replaced, but is the input; choose another --out")
    model = import_published(file, name, modulation=modulation)
    ensure_writable_folder(output.parent)
    model.snr_range_db = (min(snr.values), max(snr.values))
    model.config = replace(model.config, snr_range_db=model.snr_range_db)
    source = {"file": file.name, "sha256": file_sha256(file)}
    save_weights(output, model, {"imported": source}, dtype=torch.float32)
    config, parameters = model.config, sum(p.numel() for p in model.parameters())
    rates = " to ".join(f"{cbr:.4g}" for cbr in dict.fromkeys(config.served_cbr))
    click.echo(
        f"{output}: {config.name}, {parameters / 1e6:.1f} M parameters, "
        f"{config.channels} feature channels, CBR {rates}"
        + ("" if config.modulation else ", without ModNet")
    )
