"""`witt receive`: channel symbols from a file to a picture."""

from __future__ import annotations

from pathlib import Path

import click
import torch

import channels
from witt.commands.options import (
    HELP,
    ChannelType,
    SnrValueType,
    fading_options,
    make_links,
    output_option,
    seed_option,
)
from witt.contract import Codec, Encoded
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.pictures.images import to_pixels
from witt.pictures.writing import write_png
from witt.report import file_sha256
from witt.store.weights import load_weights, resolve


@click.command(
    "receive",
    context_settings=HELP,
    short_help="Decode a file of channel symbols to a picture.",
    epilog="Example: witt receive tx.npz -o out.png --channel rayleigh --snr 7 --seed 0",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--weights",
    metavar="NAME|FILE|FOLDER",
    help="Weights of the receiver, the same as the sender's.  [default: those that FILE names]",
)
@click.option(
    "--channel",
    type=ChannelType(),
    help="Pass the symbols through this channel first, with perfect CSI.  [default: decode them "
    "as they are]",
)
@click.option(
    "--snr",
    "snr_db",
    type=SnrValueType(),
    help="Signal-to-noise ratio of --channel in dB.  [default: what the sender expected]",
)
@fading_options
@seed_option("the channel")
@output_option("The picture (PNG).", "out.png")
def command(
    file: Path,
    weights: str | None,
    channel: str | None,
    snr_db: float | None,
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    seed: int,
    output: Path,
) -> None:
    """Decode channel symbols that witt send made, as they are or after a channel.

    FILE holds them as `channels.receive` hands them on: straight from an AWGN channel, or after the
    MMSE equaliser with its error variances (noise_var).
    """
    encoded = Encoded.load(file)
    if len(encoded.symbols) != 1:
        raise InputError(
            f"{file}: holds {len(encoded.symbols)} pictures, and witt receive takes one: decode "
            "them with witt.load(…).decode(symbols, header)"
        )
    model = _receiver(file, encoded, weights)
    if channel is not None:
        if encoded.noise_var is not None:
            raise InputError(f"{file}: went over a channel already; leave --channel out")
        (link,) = make_links([channel], fading, coherence, k_factor_db)
        over, level = link.module(), encoded.header.snr_db if snr_db is None else snr_db
        generator = torch.Generator().manual_seed(seed)
        out = over(encoded.symbols, level, generator=generator)
        encoded = encoded.received(*channels.receive(over, out))
    elif snr_db is not None or fading or coherence or k_factor_db is not None:
        raise InputError("--snr and the options of fading are those of --channel: give one")
    if output.is_dir():
        raise InputError(f"{output}: is a folder; --out is the picture")
    if output.exists() and output.samefile(file):
        raise InputError(f"{output}: would be replaced, but is the input; choose another --out")
    with torch.inference_mode():
        try:
            image = model.decode(encoded.symbols, encoded.header, encoded.noise_var)
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
    ensure_writable_folder(output.parent)
    write_png(output, to_pixels(image), result="received")
    height, width = encoded.header.size
    click.echo(f"{click.format_filename(output)}: {width}x{height} pixels")


def _receiver(file: Path, encoded: Encoded, weights: str | None) -> Codec:
    """The codec that made the symbols, or that was asked for.

    Raises:
        InputError: there is none, or these are other weights than the sender's.
    """
    name, expected = (encoded.source.get(key) for key in ("weights", "weights_sha256"))
    chosen = weights or name
    if chosen is None:
        raise InputError(f"{file}: does not say by which weights it was made: give --weights")
    path = resolve(chosen)
    found = file_sha256(path)
    if expected is not None and found != expected:
        raise InputError(
            f"{file}: was made by other weights than {chosen}: by {name} with SHA-256 "
            f"{expected[:12]}…, these have {found[:12]}…"
        )
    model: Codec = load_weights(path)[0]
    return model
