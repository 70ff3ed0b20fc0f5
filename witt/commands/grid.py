"""`witt evaluate --grid`: models on channels and pictures of their own and of the others."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import torch
from click.core import ParameterSource

from witt.commands.grid_file import DomainEntry, Grid, ModelEntry, read_grid
from witt.device import pick_device
from witt.errors import InputError
from witt.files import ensure_writable_folder, write_text
from witt.link.conditions import Link
from witt.link.grid import FORMAT, Cell, Domain, Model, key_of, matrices, measure, places_of
from witt.link.summary import remarks
from witt.link.values import Cbr
from witt.lock import sole_writer
from witt.metrics.metric import PSNR
from witt.pictures.inputs import gather_with_sheets, record_of
from witt.report import console, file_sha256, number, table, to_json, version
from witt.store.weights import load_weights, resolve
from witt.waiting import waiting

# What the figures of a cell follow from, beside what its key has.
SETTINGS = ("format", "version", "torch", "device", "seed")
# Options of witt evaluate that the grid itself settles.
SETTLED = (
    "images",
    "channel",
    "fading",
    "coherence",
    "k_factor_db",
    "metric",
    "profile",
    "adapt",
    "weights",
)


def evaluate_grid(
    path: Path,
    *,
    snrs_db: Sequence[float],
    cbrs: Sequence[Cbr],
    seed: int,
    limit: int | None,
    side_information: str,
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure a grid, print its matrices, and write its JSON as it grows.

    Raises:
        InputError: the file is no grid, or something that it names cannot be used.
    """
    _refuse_settled()
    grid = read_grid(path)
    where = pick_device(device)
    models = [_model(entry, where) for entry in grid.models]
    domains, datasets = _domains(grid, limit)
    places, notes = places_of(models, domains, cbrs, snrs_db, side_information)
    if output is not None:
        if output.is_dir():
            raise InputError(f"{output}: is a folder; --output is the file for the JSON")
        if output.exists() and output.samefile(path):
            raise InputError(f"{output}: is the grid itself; choose another --output")
        ensure_writable_folder(output.parent)
    head = {
        "format": FORMAT,
        "command": shlex.join(["witt", *sys.argv[1:]]),
        "version": version(),
        "torch": torch.__version__,
        "device": str(where),
        "grid": {"name": path.name, "sha256": file_sha256(path)},
        "metrics": [PSNR.record()],
        "seed": seed,
        "side_information": side_information,
        "snr_db": list(snrs_db),
        "models": [_model_record(*each) for each in zip(grid.models, models, strict=True)],
        "domains": [_domain_record(*each) for each in zip(domains, datasets, strict=True)],
    }
    cells: dict[str, Cell] = {}
    wanted = {place.key for place in places}

    def document(said: Sequence[str] = ()) -> dict[str, Any]:
        return {
            **head,
            "complete": len(cells) == len(wanted),
            "notes": [*notes, *said],
            "matrices": matrices(places, cells, models, domains),
            "cells": list(cells.values()),
        }

    with nullcontext() if output is None else sole_writer(output):
        before = {} if output is None else known_cells(output, head)
        if taken := len(wanted & set(before)):
            click.echo(f"Note: {output}: {taken} of {len(wanted)} cells are there", err=True)
        sent = sum(len(place.domain.pictures) for place in places)
        with waiting("Evaluating", sent) as advance:
            for key, cell in measure(places, seed, before, advance):
                cells[key] = cell
                if output is not None and key not in before:  # after Ctrl-C it goes on from here
                    write_text(output, to_json(document()) + "\n")
        said = remarks(list(cells.values()))
        if output is not None:
            write_text(output, to_json(document(said)) + "\n")
    found = document(said)
    show(found, err=as_json)
    for line in dict.fromkeys([*(n for n in notes if "not served" in n), *said]):
        click.echo(f"Note: {line}", err=True)
    if as_json:
        click.echo(to_json(found))


def _refuse_settled() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)
        if name in SETTLED and given and context.params[name] not in ((), None):
            what = "DIR" if name == "images" else parameter.opts[0]
            raise InputError(f"{what} does not go with --grid: its file says what is measured")


def _model(entry: ModelEntry, device: torch.device) -> Model:
    path = resolve(entry.weights)
    codec, training = load_weights(path)
    return Model(entry.name, codec.to(device), training, file_sha256(path))


def _domains(grid: Grid, limit: int | None) -> tuple[list[Domain], list[dict[str, Any]]]:
    """The columns, and what a result file says of their pictures; each set is read once."""
    gathered: dict[tuple[str, int | None], Any] = {}
    domains, records = [], []
    for entry in grid.domains:
        most = min((n for n in (entry.limit, limit) if n is not None), default=None)
        if (entry.data, most) not in gathered:
            pictures = gather_with_sheets([Path(entry.data)], limit=most)
            gathered[entry.data, most] = pictures, record_of(pictures, _set_name(entry))
        pictures, record = gathered[entry.data, most]
        link, specialist = Link.of(entry.channel), entry.specialist or None
        domains.append(Domain(entry.name, link, pictures, record["sha256"], specialist))
        records.append(record)
    return domains, records


def _set_name(entry: DomainEntry) -> str:
    return Path(entry.data).resolve().name if Path(entry.data).exists() else entry.data


def _model_record(entry: ModelEntry, model: Model) -> dict[str, Any]:
    weights = {"name": entry.weights, "sha256": model.sha256}
    return {"name": model.name, "weights": weights, "config": model.codec.plain_config()}


def _domain_record(domain: Domain, dataset: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": domain.name,
        **domain.link.record(),
        "channel_label": str(domain.link),
        "dataset": dataset,
        "specialist": domain.specialist,
    }


def known_cells(output: Path, head: Mapping[str, Any]) -> dict[str, Cell]:
    """The cells by their key that the file of an earlier run has, where the settings are the same.

    Empty where it is another file, which is replaced.
    """
    try:
        found = json.loads(output.read_text(encoding="utf-8"))
        if any(found[name] != head[name] for name in SETTINGS):
            return {}
        for cell in found["cells"]:
            for figures in (cell, *cell["images"]):
                value = figures[PSNR.key]
                figures[PSNR.key] = math.nan if value is None else float(value)
        return {key_of(cell): cell for cell in found["cells"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def show(document: Mapping[str, Any], *, err: bool) -> None:
    """A table for each CBR: rows are models, columns domains, the loss in brackets."""
    screen = console(err=err)
    snrs = ", ".join(f"{snr:g}" for snr in document["snr_db"])
    names = [domain["name"] for domain in document["domains"]]
    for matrix in document["matrices"]:
        rows = table(
            f"CBR {matrix['cbr_label']}, mean over {snrs} dB: PSNR in dB (loss against the "
            "specialist of the column)",
            "Model",
            *(name.replace(", ", "\n") for name in names),
        )
        each = zip(document["models"], matrix["psnr_db"], matrix["loss_db"], strict=True)
        for model, psnr, loss in each:
            pairs = zip(psnr, loss, strict=True)
            rows.add_row(model["name"], *(f"{number(p)} ({number(gap)})" for p, gap in pairs))
        screen.print(rows)
