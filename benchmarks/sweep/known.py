"""Data sets that are known by their pixels, whatever their folder is called."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parents[1] / "data" / "known_sets.json"
DIGITS = 16  # of a hash, kept in the file
KODAK, CIFAR = "kodak", "cifar10"
# A mean over so many pictures is within 0.1 dB or so of that over the whole set.
MANY = 1000


class Pictures(NamedTuple):
    """The pictures of a result file.

    key: of the known set that they are, or are the first of; None where they are not known.
    title: for people.
    number: how many there are.
    whole: how many the known set has; None where they are not known.
    sha256: of the pixels.
    """

    key: str | None
    title: str
    number: int
    whole: int | None
    sha256: str

    @property
    def complete(self) -> bool:
        """Whether they are all of a known set."""
        return self.number == self.whole

    @property
    def stands_for_all(self) -> bool:
        """Whether they are a known set, or so many of it that the mean is that of the set."""
        return self.complete or (self.key is not None and self.number >= MANY)


def pictures_of(dataset: dict[str, Any]) -> Pictures:
    """What the data set of a result file is, by its hash; its folder's name where not known.

    Args:
        dataset: as `benchmarks.sweep.dataset.Dataset.record` makes it.
    """
    name, count, sha256 = dataset["name"], dataset["pictures"], dataset["sha256"]
    for key, known in _sets().items():
        if known["first"].get(str(count)) == sha256[:DIGITS]:
            whole, title = known["pictures"], known["title"]
            if count < whole:
                title += f", first {count:,} of {whole:,}"
            return Pictures(key, title, count, whole, sha256)
    other = [known["title"] for key, known in _sets().items() if key == name.lower()]
    title = f"{name}, not the pictures of {other[0]}" if other else name
    return Pictures(None, title, count, None, sha256)


@functools.cache
def _sets() -> dict[str, dict[str, Any]]:
    sets: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["sets"]
    return sets
