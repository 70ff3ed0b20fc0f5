"""Send every picture by every scheme at every channel condition.

The unit of work is a chunk of pictures and the schemes of one family, which share the work on
them. Every picture has its own seed, so neither the order nor who does it changes a result.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from benchmarks.schemes.scheme import Scheme, Sent, own_record, send_checked, what_failed
from benchmarks.sweep.dataset import Dataset, read_chunk
from benchmarks.sweep.measure import Measured, Row, measure
from benchmarks.sweep.results import Cell, Results
from benchmarks.sweep.time_left import Kind
from witt.link.evaluation import image_seed
from witt.metrics.metric import DEFAULT, Metric, make_metrics
from witt.pictures.images import Pixels

# Makes schemes from their names and the weights given for some; also in another process.
Maker = Callable[[Sequence[str], Mapping[str, str]], Sequence[Scheme]]


# What is measured in a unit: by the number of the picture and the hash of what arrived.
Known = dict[tuple[int, bytes], Measured]


class Unit(NamedTuple):
    """What is done in one go.

    start: index of the first picture.
    pictures: a chunk of the data set.
    seeds: one for each picture.
    cells: what to do, of schemes of one family.
    firsts: those of `cells` that pay for what the others of their scheme share.
    labels: the class of each picture, None where it is not known.
    """

    start: int
    pictures: tuple[Pixels, ...]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    firsts: frozenset[Cell]
    labels: tuple[int | None, ...]


class Outcome(NamedTuple):
    """A chunk of a cell, finished or failed.

    pictures: how many are in it.
    rows, infos: of each; none where it failed.
    variants: which kinds of MS-SSIM were measured.
    failed: what went wrong, where something did.
    """

    cell: Cell
    start: int
    pictures: int
    rows: list[Row]
    infos: list[dict[str, Any]]
    variants: set[str]
    kind: Kind
    seconds: float
    failed: str | None = None


@functools.lru_cache(maxsize=2)
def made(
    make: Maker, names: tuple[str, ...], weights: tuple[tuple[str, str], ...]
) -> dict[str, Scheme]:
    """The schemes by name; sweeps that follow each other share them, and what they encoded."""
    return {scheme.name: scheme for scheme in make(names, dict(weights))}


@dataclass(frozen=True)
class Plan:
    """What to compute.

    names: of the schemes, as asked for.
    weights: weights of some of them.
    conditions: cells in the order of the file.
    seed: of the run; pictures have their own from it.
    metrics: names of what to measure.
    """

    dataset: Dataset
    names: tuple[str, ...]
    weights: Mapping[str, str]
    cells: tuple[Cell, ...]
    make: Maker
    seed: int = 0
    metrics: tuple[str, ...] = DEFAULT

    @cached_property
    def schemes(self) -> dict[str, Scheme]:
        """The schemes by name.

        Raises:
            InputError: unknown, or something they need is not there.
        """
        return made(self.make, self.names, tuple(self.weights.items()))

    @cached_property
    def measures(self) -> tuple[Metric, ...]:
        """The metrics.

        Raises:
            InputError: unknown, or something they need is not there.
        """
        return make_metrics(self.metrics)

    def records(self) -> dict[str, dict[str, Any]]:
        """What the results of each scheme depend on.

        Raises:
            InputError: as of `schemes`; or one does not say.
        """
        found = self.schemes.items()
        return {name: {"family": one.family, **own_record(one)} for name, one in found}

    def family(self, scheme: str) -> tuple[str, ...]:
        """Names of the schemes that share work with one, itself among them."""
        mine = self.schemes[scheme].family
        return tuple(name for name, other in self.schemes.items() if other.family == mine)

    def missing(self, results: Results) -> list[tuple[range, tuple[Cell, ...]]]:
        """Chunks and what is still to be done with them, one family after the other."""
        families = dict.fromkeys(self.family(name) for name in self.schemes)
        work = []
        for family in families:
            mine = [cell for cell in self.cells if cell.scheme in family]
            for chunk in self.dataset.chunks:
                cells = tuple(c for c in mine if not results.is_done(c, chunk.start))
                if cells:
                    work.append((chunk, cells))
        return work

    def todo(self, results: Results) -> Counter[Kind]:
        """Pictures still to send, by kind of work."""
        todo: Counter[Kind] = Counter()
        for chunk, cells in self.missing(results):
            firsts = first_cells(cells)
            for cell in cells:
                todo[Kind(cell.scheme, cell in firsts)] += len(chunk)
        return todo

    def unit(self, chunk: range, cells: tuple[Cell, ...]) -> Unit:
        """The pictures of a chunk with what to do."""
        pictures = tuple(read_chunk(self.dataset, chunk))
        seeds = tuple(image_seed(self.seed, pixels) for pixels in pictures)
        known = self.dataset.labels
        labels = tuple(None if known is None else known[index] for index in chunk)
        return Unit(chunk.start, pictures, seeds, cells, first_cells(cells), labels)


def first_cells(cells: Sequence[Cell]) -> frozenset[Cell]:
    """The first cell of each scheme."""
    return frozenset({cell.scheme: cell for cell in reversed(cells)}.values())


def compute(
    unit: Unit, schemes: Mapping[str, Scheme], metrics: Sequence[Metric]
) -> Iterator[Outcome]:
    """Do a unit, cell by cell; a scheme that fails does not keep the others from theirs."""
    known: Known = {}
    for cell in unit.cells:
        started = time.perf_counter()
        scheme, failed = schemes[cell.scheme], None
        sent: list[Sent] = []
        measured: list[Measured] = []
        try:
            sent = send_checked(scheme, unit.pictures, cell.link, cell.snr_db, cell.cbr, unit.seeds)
            each = enumerate(zip(unit.pictures, sent, unit.labels, strict=True))
            measured = [_measure(known, i, *one, metrics) for i, one in each]
        except Exception as error:
            failed = what_failed(error)
            sent, measured = [], []
        yield Outcome(
            cell,
            unit.start,
            len(unit.pictures),
            [m.row for m in measured],
            [
                {**received.info, **({"reasons": m.reasons} if m.reasons else {})}
                for received, m in zip(sent, measured, strict=True)
            ],
            {m.ms_ssim_variant for m in measured if m.ms_ssim_variant is not None},
            Kind(cell.scheme, cell in unit.firsts),
            time.perf_counter() - started,
            failed,
        )


def _measure(
    known: Known,
    index: int,
    original: Pixels,
    sent: Sent,
    label: int | None,
    metrics: Sequence[Metric],
) -> Measured:
    """Measure a picture once: a mode of a code delivers the same one at most SNRs."""
    if sent.pixels is None:
        return measure(original, sent, metrics, label)
    key = (index, hashlib.sha256(sent.pixels.tobytes()).digest())
    if key not in known:
        known[key] = measure(original, sent, metrics, label)
    uses = {"channel_uses": sent.channel_uses, "cbr": sent.channel_uses / original.size}
    return known[key]._replace(row=known[key].row | uses)


def sweep_here(plan: Plan, results: Results) -> Iterator[Outcome]:
    """Everything that is missing, in this process."""
    for chunk, cells in plan.missing(results):
        yield from compute(plan.unit(chunk, cells), plan.schemes, plan.measures)


def probe(plan: Plan, results: Results) -> Iterator[Outcome]:
    """Two cells of each scheme, the first and another, to know how long the others take."""
    seen: set[str] = set()
    for chunk, cells in plan.missing(results):
        for name in dict.fromkeys(cell.scheme for cell in cells):
            mine = tuple(cell for cell in cells if cell.scheme == name)
            if name not in seen:
                seen.add(name)
                firsts = tuple(dict.fromkeys((mine[0], mine[-1])))
                yield from compute(plan.unit(chunk, firsts), plan.schemes, plan.measures)


def keep(results: Results, outcome: Outcome) -> None:
    """Put an outcome into the results; what failed is not done, and is tried again next time."""
    if outcome.failed is not None:
        results.fail(outcome.cell, outcome.failed)
        return
    results.add(outcome.cell, outcome.start, outcome.rows, outcome.infos)
    variants = {*results.head["ms_ssim_variants"], *outcome.variants}
    results.head["ms_ssim_variants"] = sorted(variants)
