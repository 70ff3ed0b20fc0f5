"""`witt receive`: samples or channel symbols from a file to a picture."""

from __future__ import annotations

from pathlib import Path

import click
import torch

import channels
from witt.commands.fading import fading_options, make_links
from witt.commands.options import (
    HELP,
    ChannelType,
    SnrValueType,
    output_option,
    sample_rate_option,
    seed_option,
)
from witt.commands.receive_samples import Told, receive_samples
from witt.contract import Codec, Encoded
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.pictures.images import to_pixels
from witt.pictures.writing import write_png
from witt.radio.audio import is_sound
from witt.radio.samples import PIPE, is_samples
from witt.report import file_sha256
from witt.store.weights import load_weights, resolve


@click.command(
    "receive",
    context_settings=HELP,
    short_help="Decode a file of samples or of channel symbols to a picture.",
    epilog="Examples: witt receive rx.sigmf -o out.png; "
    "witt receive tx.npz -o out.png --channel rayleigh --snr 7 --seed 0",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--weights",
    metavar="NAME|FILE|FOLDER",
    help="Weights of the receiver, the same as the sender's.  [default: those that FILE names]",
)
@click.option(
    "--synchronisation",
    type=click.Choice(("own", "ideal")),
    default="own",
    show_default=True,
    help="Samples: find the frame and estimate the channel from them alone, or be told: that the "
    "frame begins with the first sample and the gain is 1, or what --csi says.",
)
@click.option(
    "--csi",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Samples: the true gains that witt channel --csi wrote, for ideal synchronisation.",
)
@sample_rate_option("Samples: how many a second the sender and this receiver agreed on.")
@click.option(
    "--channel",
    type=ChannelType(),
    help="Symbols: pass them through this channel first, with perfect CSI.  [default: decode them "
    "as they are]",
)
@click.option(
    "--snr",
    "snr_db",
    type=SnrValueType(),
    help="Signal-to-noise ratio in dB: of --channel, or that an ideal receiver of samples is told. "
    " [default: what the sender expected]",
)
@fading_options
@seed_option("the channel")
@output_option("The picture (PNG).", "out.png")
def command(
    file: Path,
    weights: str | None,
    synchronisation: str,
    csi: Path | None,
    sample_rate_hz: float,
    channel: str | None,
    snr_db: float | None,
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    seed: int,
    output: Path,
) -> None:
    """Decode what witt send made: samples as a radio records them, or channel symbols.

    A file of symbols holds them as `channels.receive` hands them on: straight from an AWGN channel,
    or after the MMSE equaliser with its error variances (noise_var).
    """
    if output.is_dir():
        raise InputError(f"{output}: is a folder; --out is the picture")
    if output.exists() and str(file) != PIPE and file.exists() and output.samefile(file):
        raise InputError(f"{output}: would be replaced, but is the input; choose another --out")
    if is_samples(file) or is_sound(file):
        if channel is not None or fading or coherence or k_factor_db is not None:
            raise InputError("samples go over a channel by witt channel: leave --channel out")
        told = Told(synchronisation == "ideal", csi, snr_db, sample_rate_hz)
        receive_samples(file, output, weights, told)
        return
    if synchronisation == "ideal" or csi is not None:
        raise InputError(f"{file}: --synchronisation and --csi are for samples (.sigmf)")
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
