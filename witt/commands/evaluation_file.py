"""The JSON of `witt evaluate`: written as it grows, and continued where it was cut short."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from witt.files import write_text
from witt.link.evaluation import Condition, Entries
from witt.link.summary import summary
from witt.metrics.metric import read_quantities
from witt.report import to_json

# What the figures follow from, beside the condition and the pixels.
SETTINGS = (
    *("format", "version", "torch", "device", "config", "metrics", "side_information", "adapt"),
    "seed",
)
SAVE_SECONDS = 5.0
SAVE_SHARE = 0.05  # of the time at most; the file of many pictures takes a while


class Evaluated:
    """The figures so far.

    Args:
        head: the settings of the run, which go in front of the results.
        conditions: in the order of the results.
        pictures: how many there are.
        output: the file; None for none.
    """

    def __init__(
        self,
        head: dict[str, Any],
        conditions: Sequence[Condition],
        pictures: int,
        output: Path | None,
    ) -> None:
        self.head, self.output, self.pictures = head, output, pictures
        self.quantities = read_quantities(head)
        self._figures: dict[Condition, Entries] = {condition: [] for condition in conditions}
        self._before = {} if output is None else _unfinished(output, head)
        self._saved, self._cost, self._new = time.monotonic(), 0.0, False

    @property
    def continues(self) -> bool:
        """Whether the file has figures of such a run that was cut short."""
        return bool(self._before)

    @property
    def share(self) -> float:
        """How much is finished, from 0 to 1."""
        done = sum(map(len, self._figures.values()))
        return done / (len(self._figures) * self.pictures)

    @property
    def results(self) -> list[dict[str, Any]]:
        """The figures and their means, for each condition that has any."""
        return [
            {
                "codec": self.head["codec"],
                **condition.record(),
                **summary(entries, condition.profile, self.quantities),
            }
            for condition, entries in self._figures.items()
            if entries
        ]

    def known(self, condition: Condition, batch: Entries) -> Entries | None:
        """The figures of a batch from the file that was found, where its pictures are the same.

        They are if their seeds are, which follow from their pixels.
        """
        entries = self._before.get(_key(condition.record()), [])
        mine = [entry for entry in entries if entry["batch"] == batch[0]["batch"]]
        same = [{name: entry[name] for name in batch[0]} for entry in mine] == batch
        return mine if same else None

    def add(self, condition: Condition, entries: Entries) -> None:
        """Keep figures, and the file up to date."""
        self._figures[condition] += entries
        self._new = True
        now = time.monotonic()
        if now - self._saved >= max(SAVE_SECONDS, self._cost / SAVE_SHARE):
            self.save()
            self._saved = time.monotonic()
            self._cost = self._saved - now

    def record(self, notes: Sequence[str] = ()) -> dict[str, Any]:
        """All of it, plain values for JSON."""
        return {
            **self.head,
            "images": self.pictures,
            "complete": self.share == 1,
            "notes": [*self.head["notes"], *notes],
            "results": self.results,
        }

    def save(self, notes: Sequence[str] = ()) -> None:
        """Write the file, whole or not at all; where nothing is new there is nothing to write."""
        if self.output is not None and self._new:
            write_text(self.output, to_json(self.record(notes)) + "\n")


def _key(record: dict[str, Any]) -> str:
    """A condition as text, whatever else is beside it, without how its CBR was written."""
    names = ("channel", "fading", "coherence", "k_factor_db", "departures", "snr_db")
    return json.dumps([*(record[name] for name in (*names, "cbr_requested")), record.get("source")])


def _unfinished(output: Path, head: dict[str, Any]) -> dict[str, Entries]:
    """The figures by condition that an interrupted run of the same settings has left.

    None where it is another file: it is replaced, as a finished one is.
    """
    try:
        found = json.loads(output.read_text(encoding="utf-8"))
        mine = json.loads(to_json(head))
        same = [found[name] == mine[name] for name in SETTINGS]
        if found["complete"] or found["weights"]["sha256"] != mine["weights"]["sha256"]:
            return {}
        columns = [key for quantity in read_quantities(head) for key in quantity.columns]
        results = {_key(result): result["images"] for result in found["results"]}
        for entry in (entry for images in results.values() for entry in images):
            for name in columns:
                entry[name] = math.nan if entry[name] is None else float(entry[name])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return results if all(same) else {}
