"""The panels of neural codes: encode once, then only channel and decoder anew."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from benchmarks.demo.cache import Bounded
from benchmarks.demo.lanes import Check
from benchmarks.demo.maps import overlays
from benchmarks.demo.pictures import Photograph
from benchmarks.demo.received import Received, some_points
from benchmarks.demo.settings import Settings
from witt.contract import Codec, Encoded, nominal_snr
from witt.device import pick_device
from witt.link.choice import AUTO, choose
from witt.link.maps import maps_of, mean_figures, why_not
from witt.link.requests import check_request
from witt.link.side_link import carry_coded, encode_coded
from witt.pictures.images import to_pixels
from witt.report import file_sha256
from witt.side_information import Coding
from witt.store.weights import load_weights, resolve

KEPT_ENCODED = 24  # of at most 1.2 MB each
WHAT_WAS_LOST = "The header that tells the receiver what was sent did not arrive."


class Model(NamedTuple):
    """Weights, loaded."""

    codec: Codec
    training: dict[str, Any]
    sha256: str


class Neural:
    """Sends by shipped weights, as `witt transmit` does.

    Args:
        device: as `pick_device` has it.
    """

    def __init__(self, device: str = "auto") -> None:
        self.device = pick_device(device)
        self._models: dict[str, Model] = {}
        self._loading, self._asking = threading.Lock(), threading.Lock()
        self._encoded: Bounded[Encoded] = Bounded(KEPT_ENCODED)

    def model(self, name: str) -> Model:
        """Shipped weights, loaded when they are first asked for."""
        with self._loading:
            if name not in self._models:
                path = resolve(name)
                codec, training = load_weights(path)
                self._models[name] = Model(codec.to(self.device), training, file_sha256(path))
            return self._models[name]

    def send(
        self,
        photograph: Photograph,
        weights: str,
        settings: Settings,
        check: Check,
        with_maps: bool = False,
    ) -> Received:
        """One picture over the channel.

        Args:
            photograph: to send.
            weights: a name of shipped ones.
            settings: the channel; its weights are not looked at.
            check: raises where nobody waits any more; asked between the steps.
            with_maps: whether to draw `Received.maps`.

        Raises:
            InputError: the weights do not serve this.
        """
        model, channel = self.model(weights), settings.link.module()
        coding = Coding.of(channel, model.sha256)
        notes = self._notes(model, photograph, settings)
        with torch.inference_mode():
            encoded = self._encode(model, coding, photograph, weights, settings)
            check()
            generator = torch.Generator().manual_seed(settings.seed)
            sent = carry_coded(
                model.codec,
                encoded,
                channel,
                settings.snr_db,
                coding=coding,
                generator=generator,
                regions=with_maps,
            )
        lost = any(sent.lost)
        notes += (WHAT_WAS_LOST,) if lost else ()
        received = to_pixels(sent.image)
        check()
        facts = {
            "weights": weights,
            "weights_sha256": model.sha256,
            "channel_uses": sent.symbols.shape[1],
            "cbr": sent.cbr,
            "header_bits": sent.header_bits,
            "side_uses": sent.side_uses,
        }
        maps, unsaid = maps_of(sent, photograph.pixels, received), ""
        if maps is not None:
            facts |= mean_figures(maps)
            if maps.expected is None:
                unsaid = f"Nothing to show: {why_not(weights, sent)}."
        return Received.of(
            photograph,
            received,
            facts=facts,
            notes=notes,
            points=some_points(sent.received[0]),
            lost=lost,
            maps={} if maps is None else overlays(maps),
            unsaid=unsaid,
        )

    def _encode(
        self, model: Model, coding: Coding, photograph: Photograph, weights: str, settings: Settings
    ) -> Encoded:
        """What is sent, from the store if it was encoded for this channel and CBR before.

        Where the encoder knows no SNR, only the header differs between SNRs.
        """
        # The noise is not among it: another draw of the same channel needs no encoder.
        told = settings.snr_db if model.codec.encoder_knows_snr else None
        key = (photograph.id, weights, settings.cbr, told, coding)
        encoded = self._encoded.get(key)
        if encoded is None:
            image = photograph.image.to(self.device)
            encoded = self._encoded.put(
                key,
                encode_coded(model.codec, image, settings.snr_db, settings.ratio, coding=coding),
            )
        snr_db = nominal_snr(settings.snr_db, encoded.symbols)
        return replace(encoded, header=replace(encoded.header, snr_db=snr_db))

    def _notes(self, model: Model, photograph: Photograph, settings: Settings) -> tuple[str, ...]:
        size = photograph.pixels.shape[0], photograph.pixels.shape[1]
        # What it warns of is shown; and the filters of warnings are those of all threads.
        with self._asking, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = check_request(
                model.codec,
                [settings.snr_db],
                [settings.ratio],
                [settings.link],
                model.training,
                [size],
            )
        return tuple(f"{line[:1].upper()}{line[1:]}." for line in said)


def weights_for(settings: Settings) -> tuple[str, tuple[str, ...]]:
    """The weights of the neural panel, and a sentence where they were chosen for the visitor."""
    if settings.weights != AUTO:
        return settings.weights, ()
    chosen = choose(settings.snr_db, settings.ratio, settings.link.fades)
    return chosen.name, (f"{chosen}.",)
