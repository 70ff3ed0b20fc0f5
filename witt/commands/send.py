"""`witt send`: a picture to a file of channel symbols, which `witt receive` decodes."""

from __future__ import annotations

from pathlib import Path

import click
import torch

from witt.commands.options import (
    HELP,
    device_option,
    one_condition_options,
    output_option,
    weights_option,
)
from witt.contract import Encoded
from witt.device import pick_device
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.link.choice import AUTO, choose
from witt.link.requests import check_request
from witt.link.transmission import memory_for
from witt.link.values import Cbr
from witt.pictures.images import read_image, to_tensor
from witt.pictures.inputs import conversions, gather
from witt.report import file_sha256
from witt.store.weights import load_weights, resolve


@click.command(
    "send",
    context_settings=HELP,
    short_help="Encode a picture to a file of channel symbols.",
    epilog="Example: witt send photo.png -o tx.npz --snr 10 && witt receive tx.npz -o out.png",
)
@click.argument("image", metavar="IMAGE", type=click.Path(path_type=Path))
@one_condition_options("Signal-to-noise ratio (Es/N0) in dB that the transmitter expects.")
@weights_option(AUTO, " auto: as in witt transmit, over AWGN.")
@device_option()
@output_option("The file of symbols (.npz).", "tx.npz")
def command(image: Path, snr_db: float, cbr: Cbr, weights: str, device: str, output: Path) -> None:
    """Encode a picture to complex channel symbols of unit mean power.

    The file holds the symbols and all that the receiver is told beside them. Send them over what
    you like, a simulation of your own or a radio, and hand what arrives to witt receive:

    \b
      tx = witt.Encoded.load("tx.npz")
      out = channels.Rayleigh()(tx.symbols, snr_db=10)
      tx.received(*channels.mmse(*out)).save("rx.npz")
    """
    if image.is_dir():
        raise InputError(f"{image}: is a folder; witt send takes one picture")
    pictures = gather([image])
    if output.is_dir():
        raise InputError(f"{output}: is a folder; --out is the file of symbols")
    if output.exists() and output.samefile(image):
        raise InputError(f"{output}: would be replaced, but is the input; choose another --out")
    if weights == AUTO:
        chosen = choose(snr_db, cbr.value, fades=False)
        weights = chosen.name
        click.echo(f"Note: {chosen}", err=True)
    path = resolve(weights)
    model, training = load_weights(path)
    model = model.to(pick_device(device))
    check_request(model, [snr_db], [cbr.value], (), training)
    for line in conversions(pictures):
        click.echo(f"Note: {line}", err=True)
    pixels = to_tensor(read_image(image).pixels, model.device)
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
