"""Channels of result files, also those that this process does not have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import channels
from witt.errors import InputError
from witt.link.conditions import K_FACTOR_DB, OURS, Link


@dataclass(frozen=True)
class ForeignLink(Link):
    """A channel of somebody's own, as a result file tells of it: enough for a figure.

    Args:
        label: how it calls itself.
        told: JSON of its record.
    """

    label: str = ""
    told: str = "{}"

    def __post_init__(self) -> None:
        """Nothing is checked: whoever wrote it knew its own values."""

    @property
    def fades(self) -> bool:
        """Whether it says so, or how."""
        return bool(self.record().get("fades", self.fading))

    def module(self) -> channels.Channel:
        """There is no model of it here.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self}: this channel is not known here; it can only be drawn")

    def __str__(self) -> str:
        return self.label

    @property
    def slug(self) -> str:
        """For the names of files."""
        return "-".join(filter(None, (super().slug, self.fading)))

    def record(self) -> dict[str, Any]:
        """As it was read."""
        return dict(json.loads(self.told))


def plain_link(link: Link) -> Link:
    """The link without what its channel does not use, so that equal channels compare equal."""
    return read_link(link.record()) if type(link) is Link and link.is_ours else link


def read_link(record: dict[str, Any], label: str | None = None) -> Link:
    """The link of a record.

    Args:
        record: as `Link.record` makes it; a channel that is not ours may have more entries.
        label: how such a channel calls itself.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    channel, k_factor = record["channel"], record["k_factor_db"]
    if not isinstance(channel, str):
        raise TypeError(f"channel is {channel!r}")
    fading, coherence = record["fading"], record["coherence"]
    if channel in OURS:
        k_factor = K_FACTOR_DB if k_factor is None else float(k_factor)
        return Link(channel, fading or "fast", coherence, k_factor)
    told = json.dumps(record, sort_keys=True)
    return ForeignLink(channel, fading or "", coherence, label=label or channel, told=told)
