"""Models against domains: what each loses on channels and pictures that it was not trained for.

A domain is a channel and pictures. The model that was trained on it is its specialist, and the loss
of another model there is the specialist's PSNR less its own, dB.
"""

from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from witt.contract import Codec
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.evaluation import Condition, evaluate
from witt.link.profiles import OURS
from witt.link.requests import check_request
from witt.link.summary import summary
from witt.link.values import Cbr
from witt.metrics.metric import PSNR, make_metrics
from witt.pictures.inputs import Input

FORMAT = "witt-grid-1"

Cell = dict[str, Any]  # the figures of a model at a condition, plain values


@dataclass(frozen=True)
class Model:
    """A row.

    Args:
        name: unique.
        codec: trained, in evaluation mode.
        training: how, from the file of the weights.
        sha256: of that file.
    """

    name: str
    codec: Codec
    training: Mapping[str, Any]
    sha256: str


@dataclass(frozen=True)
class Domain:
    """A column.

    Args:
        name: unique.
        link: the channel.
        pictures: that are sent.
        sha256: of all their pixels.
        specialist: name of the model that was trained on it, None where there is none.
    """

    name: str
    link: Link
    pictures: Sequence[Input]
    sha256: str
    specialist: str | None


class Place(NamedTuple):
    """A cell of the grid that can be measured."""

    model: Model
    domain: Domain
    condition: Condition

    @property
    def key(self) -> str:
        """The same for cells that are the same, whatever their row and column are called."""
        record = self.condition.record()
        return key_of({**record, **self.hashes})

    @property
    def hashes(self) -> dict[str, str]:
        """What was sent, and by what."""
        return {"weights_sha256": self.model.sha256, "pictures_sha256": self.domain.sha256}


def key_of(cell: Mapping[str, Any]) -> str:
    """What tells a cell from others, as text: weights, pictures, channel, CBR and SNR."""
    names = ("weights_sha256", "pictures_sha256", "channel", "fading", "coherence", "k_factor_db")
    more = ("snr_db", "cbr_requested", "side_information")
    return json.dumps([*(cell[name] for name in (*names, *more)), cell.get("source")])


def places_of(
    models: Sequence[Model],
    domains: Sequence[Domain],
    cbrs: Sequence[Cbr],
    snrs_db: Sequence[float],
    side_information: str,
) -> tuple[list[Place], list[str]]:
    """The cells, row by row, and what must be said of them.

    A model that does not serve a CBR has no cells at it.

    Raises:
        InputError: no model serves any of the CBRs.
    """
    places, notes = [], []
    for model, cbr in itertools.product(models, cbrs):
        for domain in domains:
            sizes = [picture.size for picture in domain.pictures]
            try:
                with warnings.catch_warnings():
                    # That a model was not trained for a column is what the grid is about.
                    warnings.simplefilter("ignore")
                    notes += check_request(
                        model.codec, snrs_db, [cbr.value], [domain.link], model.training, sizes
                    )
            except InputError as error:
                notes.append(f"{model.name}, {domain.name}: {error}")
                continue
            conditions = [
                Condition(domain.link, cbr, snr_db, OURS, side_information) for snr_db in snrs_db
            ]
            places += [Place(model, domain, condition) for condition in conditions]
    notes = list(dict.fromkeys(notes))
    if not places:
        raise InputError(notes[0])
    return places, notes


def measure(
    places: Sequence[Place],
    seed: int,
    before: Mapping[str, Cell],
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[str, Cell]]:
    """Send the pictures of each cell, each different cell once.

    Args:
        places: from `places_of`.
        seed: of the channel.
        before: cells by their key that are there already; they are not sent again.
        advance: is told how many pictures are done.

    Yields:
        The key of a cell and the cell; its figures are those of `witt evaluate`.
    """
    metrics = make_metrics(["psnr"])
    done: set[str] = set()
    for place in places:
        key = place.key
        if key not in done:
            yield key, before.get(key) or _sent(place, seed, metrics)
            done.add(key)
        advance(len(place.domain.pictures))


def _sent(place: Place, seed: int, metrics: Any) -> Cell:
    entries: list[dict[str, Any]] = []
    work = evaluate(
        place.domain.pictures,
        place.model.codec,
        [place.condition],
        seed=seed,
        metrics=metrics,
        weights_sha256=place.model.sha256,
    )
    for _, each in work:
        entries += each
    return {**place.hashes, **place.condition.record(), **summary(entries, OURS, [PSNR])}


def matrices(
    places: Sequence[Place],
    cells: Mapping[str, Cell],
    models: Sequence[Model],
    domains: Sequence[Domain],
) -> list[dict[str, Any]]:
    """A matrix for each CBR, of the mean PSNR over the SNRs and of the loss, dB.

    Rows are models and columns domains, in their order. What was not measured is NaN; a mean needs
    all of its SNRs.
    """
    found = []
    for cbr in dict.fromkeys(place.condition.cbr for place in places):
        at: dict[tuple[str, str], list[float]] = {}
        for place in places:
            if place.condition.cbr == cbr:
                cell = cells.get(place.key, {})
                value = float(cell.get(PSNR.key, math.nan))
                at.setdefault((place.model.name, place.domain.name), []).append(value)
        psnr = [
            [_mean(at.get((model.name, domain.name), [math.nan])) for domain in domains]
            for model in models
        ]
        rows = {model.name: row for model, row in zip(models, psnr, strict=True)}
        best = [
            math.nan if domain.specialist is None else rows[domain.specialist][column]
            for column, domain in enumerate(domains)
        ]
        loss = [[b - value for b, value in zip(best, row, strict=True)] for row in psnr]
        found.append(
            {
                "cbr_requested": cbr.value,
                "cbr_label": str(cbr),
                "psnr_db": psnr,
                "loss_db": loss,
            }
        )
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
