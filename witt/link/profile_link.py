"""From picture to picture as a profile has it: power, pairing of I and Q, what the receiver knows.

    features ─► power of the batch ─► halves of the batch as I and Q ─► |h|·x + n ─► back ─► decoder

Any model can be sent that way; `ours` is `Codec.forward`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

import channels
from witt.codecs.features import FeatureCodec
from witt.contract import Codec, SideInformation, Transmission
from witt.errors import InputError
from witt.link.per_image_optimisation import PerImageOptimisation
from witt.link.profiles import Profile


def transmit_as(
    profile: Profile,
    model: Codec,
    image: Tensor,
    channel: channels.Channel,
    snr_db: float | Tensor,
    cbr: float | None = None,
    *,
    h: Tensor | None = None,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
    optimisation: PerImageOptimisation | None = None,
) -> Transmission:
    """Encode, channel and decode as a profile does; see `witt.link.profiles` for its entries.

    With `half_pairs` each feature meets the noise that it meets without, so that on AWGN, where
    nothing tells the symbols apart, the pairing changes nothing.
    With `batch_power` the scale is exact and costs no header, nor does a mask; symbols that a codec
    other than one of features has made at unit power are sent as they are. Weights that do not
    expect the power to be undone (`sends_scale`) are not given it by any profile.

    Args:
        profile: `batch_power`, `half_pairs` and `no_csi` matter here.
        model: both ends.
        image: (B, 3, H, W) in [0, 1].
        channel: any of `channels`.
        snr_db: Es/N0, a number or (B,); one for the batch where it shares symbols.
        cbr: requested CBR.
        h, noise, generator: as of `Codec.forward`; with `no_csi` the gain is |h|.
        optimisation: of what is sent, by whose way it knows only.

    Returns:
        `Transmission`; `symbols` are what crosses the channel, `received` what the decoder gets.
    """
    if not profile.only(("batch_power", "half_pairs", "no_csi")).departures:
        encode = model.encode if optimisation is None else partial(optimisation.encode, model)
        encoded = encode(image, channel.planned_db(snr_db), cbr)
        return model.carry(encoded, channel, snr_db, h=h, noise=noise, generator=generator)
    if optimisation is not None:
        raise InputError(
            f"per-image optimisation goes with the profile ours only, not {profile.name}"
        )
    decode = model.reconstruct if isinstance(model, FeatureCodec) else model.decode
    if profile.batch_power and isinstance(model, FeatureCodec):
        draft = model.draft(image, snr_db, cbr)
        unscaled, header = model.unscaled(draft), draft.header
        normalised = channels.normalise_power(unscaled.reshape(1, -1))
        symbols = normalised.x.reshape(unscaled.shape)
        # What the receiver is told beside the symbols costs nothing in that code.
        side = {name: entry._replace(bits=0) for name, entry in header.side.items()}
        header = replace(header, side=side)
        if model.sends_scale:
            scale = normalised.scale.expand(len(image), 1)
            header = header.with_side("scale", SideInformation(scale))
    else:
        symbols, header = model.encode(image, snr_db, cbr)
    if profile.half_pairs:
        symbols = pair_halves(symbols)
        noise = None if noise is None else pair_halves(noise)
    if profile.no_csi and channel.draws_state:
        raise InputError(f"profile {profile.name} goes with a gain for each symbol only")
    if profile.no_csi and channel.fading:
        if h is None or noise is None:
            own_h, own_noise = channel.draw(
                *symbols.shape, dtype=symbols.dtype, device=symbols.device, generator=generator
            )
            h = own_h if h is None else h
            noise = own_noise if noise is None else noise
        h = None if h is None else h.abs()
    out = channel(symbols, snr_db, h=h, noise=noise, generator=generator)
    received, error = out.y, None
    if channel.fading and not profile.no_csi:
        received, error = channels.mmse(*out)
    if profile.half_pairs:
        received = unpair_halves(received)
        error = None if error is None else _unpair_error(error)
    decoded = decode(received, header, error)
    cbr_sent = symbols.shape[1] / (3 * image.shape[2] * image.shape[3])
    return Transmission(decoded, symbols, received, cbr_sent, header.bits)


def pair_halves(symbols: Tensor) -> Tensor:
    """Symbols (B, N) whose I are the first half of all real features, and Q the second.

    The features follow each other image by image, token by token; `symbols` pairs neighbours.
    """
    first, second = torch.view_as_real(symbols.contiguous()).flatten().chunk(2)
    return torch.complex(first, second).reshape(symbols.shape)


def unpair_halves(symbols: Tensor) -> Tensor:
    """Inverse of `pair_halves`."""
    features = torch.cat((symbols.real.flatten(), symbols.imag.flatten()))
    return torch.view_as_complex(features.reshape(*symbols.shape, 2))


def _unpair_error(error: Tensor) -> Tensor:
    """Error variance (B, N) of neighbours' pairs: half of it is I's, and half Q's."""
    return torch.cat((error.flatten(), error.flatten())).reshape(*error.shape, 2).mean(dim=-1)
