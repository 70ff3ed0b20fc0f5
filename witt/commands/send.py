"""`witt send`: a picture to a file of samples or channel symbols, which `witt receive` decodes."""

from __future__ import annotations

from pathlib import Path

import click
import torch

from witt.commands.fading import fading_options, make_links
from witt.commands.options import (
    HELP,
    channel_option,
    device_option,
    one_condition_options,
    output_option,
    sample_rate_option,
    weights_option,
)
from witt.contract import Encoded
from witt.device import pick_device
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_bytes
from witt.link.choice import AUTO, choose
from witt.link.framing import WAVEFORMS, frame_symbols
from witt.link.requests import check_request
from witt.link.transmission import memory_for
from witt.link.values import Cbr
from witt.pictures.images import read_image, to_tensor
from witt.pictures.inputs import conversions, gather
from witt.radio.audio import AUDIO, RATE_HZ, is_sound, to_sound, wav_bytes
from witt.radio.samples import PIPE, Recording, check_output, is_samples, write_samples
from witt.report import file_sha256
from witt.side_information import Coding
from witt.store.weights import load_weights, resolve


@click.command(
    "send",
    context_settings=HELP,
    short_help="Encode a picture to a file of samples or of channel symbols.",
    epilog="Example: witt send photo.png -o tx.sigmf --snr 10 && witt receive tx.sigmf -o out.png",
)
@click.argument("image", metavar="IMAGE", type=click.Path(path_type=Path))
@one_condition_options("Signal-to-noise ratio (Es/N0) in dB that the transmitter expects.")
@weights_option(AUTO, " auto: as in witt transmit.")
@device_option()
@click.option(
    "--waveform",
    type=click.Choice(list(WAVEFORMS)),
    default="single-carrier",
    show_default=True,
    help="Samples: one carrier, or OFDM for channels of several paths. The receiver finds out.",
)
@channel_option(
    many=False,
    help="Samples: the channel that the transmitter expects, by which side information is coded.",
)
@fading_options
@sample_rate_option("Samples a second, as the file says it.")
@output_option(
    "Samples (.sigmf, .sigmf-meta, or - for an archive to a pipe), sound (.wav) or symbols (.npz).",
    "tx.npz",
)
def command(
    image: Path,
    snr_db: float,
    cbr: Cbr,
    weights: str,
    device: str,
    waveform: str,
    channel: str,
    fading: str | None,
    coherence: int | None,
    k_factor_db: float | None,
    sample_rate_hz: float,
    output: Path,
) -> None:
    """Encode a picture to complex baseband samples, or to channel symbols, of unit mean power.

    Samples hold all that the receiver needs: a preamble, pilots, and the header in a channel code.
    A file of symbols holds the symbols and all that the receiver is told beside them. Send either
    over what you like, a simulation of your own or a radio, and hand what arrives to witt receive:

    \b
      tx = witt.Encoded.load("tx.npz")
      out = channels.Rayleigh()(tx.symbols, snr_db=10)
      tx.received(*channels.mmse(*out)).save("rx.npz")
    """
    if image.is_dir():
        raise InputError(f"{image}: is a folder; witt send takes one picture")
    (link,) = make_links([channel], fading, coherence, k_factor_db)
    pictures = gather([image])
    if is_samples(output):
        check_output(output, (image,))
    else:
        _check_symbols_output(output, image)
    if weights == AUTO:
        chosen = choose(snr_db, cbr.value, fades=link.fades)
        weights = chosen.name
        click.echo(f"Note: {chosen}", err=True)
    path = resolve(weights)
    model, training = load_weights(path)
    model = model.to(pick_device(device))
    check_request(model, [snr_db], [cbr.value], (), training)
    for line in conversions(pictures):
        click.echo(f"Note: {line}", err=True)
    pixels = to_tensor(read_image(image).pixels, model.device)
    if is_samples(output) or is_sound(output):
        coding = Coding.of(link.module(), file_sha256(path))
        with memory_for(pixels), torch.inference_mode():
            encoded = model.encode_with_side(pixels, snr_db, cbr.value, coding)
            row = frame_symbols(model, encoded, coding)
            side = coding.pack(model.side_codes(), encoded.header)
        if is_sound(output):
            sound = to_sound(AUDIO.assemble(row))
            ensure_writable_folder(output.parent)
            write_bytes(output, wav_bytes(sound))
            click.echo(
                f"{click.format_filename(output)}: {len(sound) / RATE_HZ:.1f} s of sound with "
                f"{len(row):,} symbols (CBR {len(row) / pixels.numel():.4g}), by {model.name}"
            )
            return
        samples = WAVEFORMS[waveform](row)
        facts = {"snr_db": snr_db, "cbr": cbr.value, "codec": model.name, "waveform": waveform}
        facts |= {"header_bits": len(side.header), "side_symbols": side.uses}
        write_samples(output, Recording(samples, sample_rate_hz, facts))
        click.echo(
            f"{click.format_filename(output)}: {len(samples):,} samples with {len(row):,} "
            f"symbols of picture and side information (CBR {len(row) / pixels.numel():.4g}), by "
            f"{model.name}",
            err=str(output) == PIPE,
        )
        return
    with memory_for(pixels), torch.inference_mode():
        symbols, header = model.encode(pixels, snr_db, cbr.value)
    ensure_writable_folder(output.parent)
    source = {"weights": weights, "weights_sha256": file_sha256(path)}
    Encoded(symbols, header, source=source).save(output)
    uses = symbols.shape[1]
    click.echo(
        f"{click.format_filename(output)}: {uses:,} symbols (CBR {uses / pixels.numel():.4g}) and "
        f"a header of {header.bits} bits, by {weights}"
    )


def _check_symbols_output(output: Path, image: Path) -> None:
    if output.is_dir():
        raise InputError(f"{output}: is a folder; --out is the file of symbols")
    if output.exists() and output.samefile(image):
        raise InputError(f"{output}: would be replaced, but is the input; choose another --out")
