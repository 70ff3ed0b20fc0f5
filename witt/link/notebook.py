"""Evaluation in one line, as a notebook wants it.

results = witt.evaluate(["witt_light", "runs/mine"], "photos", snr=[1, 4, 7], metrics="psnr")
results.plot("snr")
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

import channels as channel_models
from witt.device import pick_device
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.evaluation import Condition, Entries
from witt.link.evaluation import evaluate as evaluate_each
from witt.link.given import codecs_of, link_of
from witt.link.profiles import OURS
from witt.link.requests import check_request
from witt.link.results import FORMAT, Results
from witt.link.side_link import CODED, check_way
from witt.link.summary import remarks, summary
from witt.link.values import Cbr, read_cbr, read_snr, read_snrs
from witt.metrics.metric import Function, check_labels, make_metrics
from witt.pictures.inputs import gather_any, record_of, without_label
from witt.report import version


def evaluate(
    codecs: Any,
    images: Any,
    *,
    channel: str | Link | channel_models.Channel | Sequence[Any] = "awgn",
    snr: float | str | Iterable[float] = (1, 4, 7, 10, 13),
    cbr: float | str | Iterable[float | str] = 1 / 16,
    metrics: str | Function | Sequence[str | Function] = ("psnr",),
    seed: int = 0,
    repeats: int = 1,
    device: str = "auto",
    side_information: str = CODED,
) -> Results:
    """Send pictures by codecs at every channel, CBR and SNR, and measure what arrives.

    The numbers are those of `witt evaluate` for the same seed.

    Args:
        codecs: the name of weights that come with witt, a file, the folder of a run, a codec, or
            "file.py:Name" of one; a list of these, or a dict of them by label.
        images: a path, a folder, a PIL image, an array (H, W, 3) or (B, H, W, 3) uint8, a tensor
            (3, H, W) or (B, 3, H, W) in [0, 1], or a list of these.
        channel: a name ("rayleigh", "./mine.py:Impulsive:p=0.05") or a channel, or a list.
        snr: Es/N0 in dB: a number, a list, or text as of the command ("0:20").
        cbr: channel uses over 3·H·W: a number, text ("1/16"), or a list of these.
        metrics: names or functions (image, reference) -> (B,).
        seed: of the channel.
        repeats: independent draws of the channel for each picture.
        device: "auto", "cpu", "cuda"; a codec that was given as an object stays where it is.
        side_information: "coded", sent with the pictures, or "ideal", taken as received.

    Raises:
        InputError: something of that is not there, or is not served.
    """
    measures = make_metrics(metrics)
    quantities = [metric.quantity for metric in measures]
    listed: Sequence[Any] = channel if isinstance(channel, (list, tuple)) else [channel]
    links = [link_of(each) for each in listed]
    snrs, cbrs = _snrs(snr), _cbrs(cbr)
    if repeats < 1:
        raise InputError(f"repeats is {repeats}; it must be at least 1")
    check_way(side_information)
    found = codecs_of(codecs)
    pictures = gather_any(images)
    check_labels(measures, without_label(pictures))
    sizes = [picture.size for picture in pictures]
    cells = [
        Condition(*cell, OURS, side_information) for cell in itertools.product(links, cbrs, snrs)
    ]
    results, notes = [], []
    for label, (model, training, record) in found.items():
        if record["weights"] is not None:
            model = model.to(pick_device(device))
        ratios = [each.value for each in cbrs]
        notes += check_request(model, snrs, ratios, links, training, sizes)
        figures: dict[Condition, Entries] = {cell: [] for cell in cells}
        mode = model.training
        model.eval()
        digest = (record["weights"] or {}).get("sha256", "")
        work = evaluate_each(
            pictures,
            model,
            cells,
            seed=seed,
            repeats=repeats,
            metrics=measures,
            weights_sha256=digest,
        )
        for cell, entries in work:
            figures[cell] += entries
        model.train(mode)
        results += [
            {"codec": label, **cell.record(), **summary(entries, OURS, quantities)}
            for cell, entries in figures.items()
        ]
    notes += remarks(results)
    return Results(
        {
            "format": FORMAT,
            "version": version(),
            "torch": torch.__version__,
            "codecs": {label: each.record for label, each in found.items()},
            "dataset": record_of(pictures, _name(images)),
            "profile": OURS.name,
            "side_information": side_information,
            "metrics": [quantity.record() for quantity in quantities],
            "adapt": 0,
            "seed": seed,
            "repeats": repeats,
            "images": len(pictures),
            "complete": True,
            "notes": list(dict.fromkeys(notes)),
            "results": results,
        }
    )


def _snrs(snr: Any) -> list[float]:
    if isinstance(snr, str):
        points: Iterable[float] = read_snrs(snr).points()
    else:
        each = [snr] if isinstance(snr, (int, float)) else list(snr)
        points = [read_snr(str(value), str(value)) for value in each]
    return list(dict.fromkeys(points))


def _cbrs(cbr: Any) -> list[Cbr]:
    if isinstance(cbr, str):
        cbr = cbr.split(",")
    return list(dict.fromkeys(map(_cbr, [cbr] if isinstance(cbr, (int, float)) else cbr)))


def _cbr(value: float | str) -> Cbr:
    """A ratio as it would be written: 1/16, where the number is exactly that."""
    if isinstance(value, str):
        return read_cbr(value, value)
    simple = Fraction(value).limit_denominator(1000)
    text = str(simple) if float(simple) == value else repr(float(value))
    return read_cbr(text, text)


def _name(images: Any) -> str:
    """Of the folder, where it is one."""
    if isinstance(images, (str, Path)):
        return Path(images).resolve().name
    return "pictures"
