"""A joint source-channel model as a scheme."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.schemes.own import check_encoded, make, source_record
from benchmarks.schemes.scheme import Sent, probe, what_failed
from benchmarks.schemes.training import training_record
from channels import Channel, papr_db
from witt.contract import Codec, Encoded
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.draws import draw_channel
from witt.link.per_image_optimisation import PerImageOptimisation, trained_for
from witt.link.requests import check_request
from witt.link.side_link import CODED, carry_coded, encode_coded, method
from witt.pictures.images import Pixels, to_pixels, to_tensor
from witt.report import file_sha256
from witt.side_information import Coding
from witt.store.weights import load_weights

BATCH_PIXELS = 64 * 32 * 32
PROBE_CBR = 1 / 16


class Jscc:
    """A trained model, loaded when it is first used (a sweep sends schemes to its workers).

    Args:
        name: of the scheme.
        weights: file; or the source of a codec as text, see `benchmarks.schemes.own`.
        adapt: steps by which the transmitter improves what it sends of each picture.
        side_information: "coded", sent with the pictures, or "ideal", taken as received.
    """

    def __init__(
        self, name: str, weights: Path | str, adapt: int = 0, side_information: str = CODED
    ) -> None:
        self.name, self.weights, self.adapt = name, weights, adapt
        self.side_information = side_information

    def __getstate__(self) -> dict[str, object]:
        names = ("name", "weights", "adapt", "side_information")
        return {name: getattr(self, name) for name in names}

    @property
    def family(self) -> str:
        """Every model works by itself."""
        return self.name

    def record(self) -> dict[str, object]:
        """Plain values for the result file."""
        served = getattr(self.model, "served_cbr", None)
        # Files of before do not say that theirs was ideal.
        coded = {"side_information": CODED} if self.side_information == CODED else {}
        if isinstance(self.weights, Path):
            return {
                "weights_sha256": self._sha256,
                **coded,
                "training": training_record(self.weights),
                **probe(self, PROBE_CBR if served is None else served[1]),
            }
        try:
            probed = probe(self, PROBE_CBR if served is None else served[1])
        except Exception as error:  # whatever a stranger's codec raises
            raise InputError(f"{self.name}: {what_failed(error)}") from error
        return {**source_record(self.weights, self.model), **coded, **probed}

    @cached_property
    def _sha256(self) -> str:
        """Of the weights' file; "" where there is none."""
        return file_sha256(self.weights) if isinstance(self.weights, Path) else ""

    @cached_property
    def _loaded(self) -> tuple[Any, dict[str, Any]]:
        if isinstance(self.weights, Path):
            return load_weights(self.weights)
        return make(self.weights), {}

    @property
    def model(self) -> Any:
        """The codec, on the CPU."""
        return self._loaded[0]

    @torch.inference_mode()
    def send(
        self,
        pictures: Sequence[Pixels],
        link: Link,
        snr_db: float,
        cbr: float,
        seeds: Sequence[int],
    ) -> list[Sent]:
        """See `Scheme.send`; small pictures of one size go through the networks together."""
        sent: list[Sent] = []
        for batch in _batches(pictures):
            pixels = [pictures[index] for index in batch]
            sent += self._send_batch(pixels, link, snr_db, cbr, [seeds[index] for index in batch])
        return sent

    def _send_batch(
        self, pictures: list[Pixels], link: Link, snr_db: float, cbr: float, seeds: list[int]
    ) -> list[Sent]:
        """Pictures of one size; each has its own noise, from its own seed."""
        image = torch.cat([to_tensor(pixels) for pixels in pictures])
        channel = link.module()
        coding = Coding.of(channel, self._sha256) if self.side_information == CODED else None
        try:
            said = self._said(link, snr_db, cbr)
            with warnings.catch_warnings():  # more uses than asked for would be unfair
                warnings.filterwarnings("error", message=".* cannot be sent at CBR")
                encoded = self._encoded(image, channel, snr_db, cbr, coding)
            if coding is not None:
                sent = carry_coded(self.model, encoded, channel, snr_db, coding=coding, seeds=seeds)
            else:
                h, noise = draw_channel(channel, encoded.symbols.shape[1], seeds)
                sent = method(self.model, "carry")(encoded, channel, snr_db, h=h, noise=noise)
        except (InputError, UserWarning) as reason:
            return [Sent(None, 0, {"reason": str(reason)}) for _ in pictures]
        info: dict[str, object] = {"header_bits": sent.header_bits}
        if said:
            info["warnings"] = said
        counted = sent.symbols.shape[1]
        peaks = papr_db(sent.symbols).tolist()
        if coding is None:
            return [
                Sent(to_pixels(one[None]), counted, info | {"papr_db": peak})
                for one, peak in zip(sent.image, peaks, strict=True)
            ]
        info |= {"side_uses": sent.side_uses, "uses_on_top": sent.on_top}
        return [
            Sent(
                to_pixels(one[None]),
                counted,
                info | {"papr_db": peak, "side_information_lost": lost},
            )
            for one, peak, lost in zip(sent.image, peaks, sent.lost, strict=True)
        ]

    def _encoded(
        self,
        image: torch.Tensor,
        channel: Channel,
        snr_db: float,
        cbr: float,
        coding: Coding | None,
    ) -> Encoded:
        """What the codec sends.

        Raises:
            InputError: the codec does not serve this.
            TypeError: it does not keep to `witt.contract.Codec`.
        """
        encode, optimisation = self.model.encode, None
        if self.adapt:
            optimisation = PerImageOptimisation(self.adapt, channel, trained_for(self._loaded[1]))
            encode = partial(optimisation.encode, self.model)
        if coding is not None:
            encode = partial(encode_coded, self.model, coding=coding, optimisation=optimisation)
        encoded: Encoded = encode(image, channel.planned_db(snr_db), cbr)
        check_encoded(encoded, len(image))
        return encoded

    def _said(self, link: Link, snr_db: float, cbr: float) -> list[str]:
        """What there is to say against a request.

        Raises:
            InputError: the model does not serve it.
        """
        if not isinstance(self.model, Codec):  # it says nothing of what it was trained for
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they go into the results
            return check_request(self.model, [snr_db], [cbr], [link], self._loaded[1])


def _batches(pictures: Sequence[Pixels]) -> Iterator[range]:
    """Neighbours of one size, as many as make `BATCH_PIXELS`."""
    start = 0
    for end in range(1, len(pictures) + 1):
        pixels = pictures[start].size // 3
        if (
            end == len(pictures)
            or pictures[end].shape != pictures[start].shape
            or (end - start + 1) * pixels > BATCH_PIXELS
        ):
            yield range(start, end)
            start = end
