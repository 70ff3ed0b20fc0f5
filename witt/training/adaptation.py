"""Adapting trained weights to a new domain by a few gradient steps on a few of its pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from witt.codecs.features import FeatureCodec
from witt.contract import Codec
from witt.errors import InputError
from witt.link.evaluation import Condition, evaluate
from witt.link.profiles import OURS
from witt.link.summary import summary
from witt.metrics.metric import PSNR, make_metrics
from witt.pictures.inputs import Input, gather_with_sheets, pixels_sha256
from witt.pictures.sets import is_set
from witt.pictures.sheets import TILE, held_out
from witt.report import some
from witt.training.brief import train_briefly
from witt.training.config import TrainConfig
from witt.training.pictures import Pictures, training_sheets
from witt.training.start import initial_model, prepare

CROP = 128  # side of the training crops in pixels, where the pictures have it
HELD_OUT = 0.25  # share of the pictures that are measured on, where there are no others


class Domain(NamedTuple):
    """Pictures of the new domain.

    few: to take the steps on.
    held_out: to measure on.
    """

    few: list[Input]
    held_out: list[Input]


def open_domain(
    data: Sequence[str], val: Sequence[str], pictures: int | None, limit: int | None
) -> Domain:
    """The first pictures of `data` and of `val`; without `val` the last quarter of the former.

    Of a folder of CIFAR-10 sheets these are training pictures, for `val` the held-out ones; its
    test set is for reporting.

    Args:
        data, val: folders, pictures, or data sets by name.
        pictures: how many of `data` to take at most.
        limit: how many to measure on at most.

    Raises:
        InputError: there are too few, or some to measure on are also among the few.
    """
    few = _pictures(data, pictures, held=False)
    if val:
        measured = _pictures(val, limit, held=True)
    else:
        kept = len(few) - math.ceil(HELD_OUT * len(few))
        if not kept:
            raise InputError(f"{data[0]}: one picture, of which none can be held out: give --val")
        few, measured = few[:kept], few[kept:][:limit]
    mine = {picture.sha256 for picture in few}
    both = [str(picture) for picture in measured if picture.sha256 in mine]
    if both:
        raise InputError(
            f"{some(both)}: among the few pictures and among those to measure on; what is "
            "measured must be held out"
        )
    return Domain(few, measured)


def _pictures(sources: Sequence[str], limit: int | None, held: bool) -> list[Input]:
    found: list[Input] = []
    for source in sources:
        sheets = None if is_set(source) else training_sheets(Path(source))
        if sheets is None:
            left = None if limit is None else limit - len(found)
            found += gather_with_sheets([Path(source)], limit=left) if left != 0 else []
            continue
        first = len(sheets) - held_out(len(sheets))
        numbers = range(first, len(sheets)) if held else range(first)
        found += [
            Input(
                Path(source), Path(f"train-{n:05}"), (TILE, TILE), (), pixels_sha256(sheets[n]),
                sheets[n],
            )
            for n in numbers[:limit]
        ]  # fmt: skip
    return found[:limit]


def default_crop(codec: Codec, pictures: Sequence[Input]) -> int:
    """Side of the training crops, in pixels: whole strides within the smallest picture."""
    stride = codec.config.stride if isinstance(codec, FeatureCodec) else 1
    side = min(CROP, *(min(picture.size) for picture in pictures))
    return max(stride, side // stride * stride)


def adapt_model(
    codec: Codec,
    training: dict[str, Any],
    config: TrainConfig,
    pictures: Sequence[Input],
    dtype: torch.dtype,
) -> tuple[dict[str, Any], int]:
    """Take the steps of `config`; what the codec serves stays as it was.

    Args:
        codec: trained; is changed. Its weights are then as a file keeps them.
        training: its training record.
        config: of the steps; `init` names the weights.
        pictures: the few.
        dtype: that weights are kept in.

    Returns:
        The training record, and 0, or 128 and the number of the signal that ended the run.

    Raises:
        InputError: the codec cannot be trained so, or training diverged.
    """
    initial_model(config)  # refuses what cannot be trained
    few = Pictures((), None, [np.asarray(picture.read()) for picture in pictures])
    prepare(codec, config, few, lambda _: None, new=False)
    run, _, code = train_briefly(config, codec, few, before=training, figure="PSNR")
    state = {
        name: value.to(dtype).to(value.dtype) if value.is_floating_point() else value
        for name, value in run.average.state.items()
    }
    codec.load_state_dict(state)
    codec.eval()
    return dict(run.kept.record or {}), code


def measure(
    codec: Codec,
    pictures: Sequence[Input],
    conditions: Sequence[Condition],
    seed: int,
    sha256: str,
) -> list[dict[str, Any]]:
    """PSNR at each condition, with its figures of each picture, as `witt evaluate` has them."""
    figures: dict[Condition, list[dict[str, Any]]] = {condition: [] for condition in conditions}
    work = evaluate(
        pictures,
        codec,
        conditions,
        seed=seed,
        metrics=make_metrics(["psnr"]),
        weights_sha256=sha256,
    )
    for condition, entries in work:
        figures[condition] += entries
    return [
        {**condition.record(), **summary(entries, OURS, [PSNR])}
        for condition, entries in figures.items()
    ]
