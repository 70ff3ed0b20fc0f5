"""What a request asks of weights beyond what they were trained for: the one judge of requests.

Every command that sends pictures asks it, prints what it says and keeps that in its results.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from witt.contract import Codec
from witt.link.conditions import Link
from witt.registry import parse, short

NAMES = {"awgn": "AWGN", "rayleigh": "Rayleigh", "rician": "Rician"}


def check_request(
    model: Codec,
    snrs_db: Sequence[float],
    cbrs: Sequence[float],
    links: Sequence[Link] = (),
    training: Mapping[str, Any] | None = None,
    sizes: Iterable[tuple[int, int]] = (),
) -> list[str]:
    """Refuse what the weights do not serve, and warn of what they were not trained for.

    Args:
        model: the weights.
        snrs_db: Es/N0 asked for.
        cbrs: CBRs asked for.
        links: channels asked for.
        training: the record of the weights (`witt.store.weights.load_weights`). Channels are judged
            where it says which ones there were.
        sizes: (height, width) of the pictures.

    Returns:
        A sentence for each thing that the weights were not trained for, or that will not be as it
        was asked for; each is a warning too.

    Raises:
        InputError: a CBR is not served; the message has the range.
    """
    for cbr in cbrs:
        _needed(model, None, cbr)
    found = [
        *_beyond_snrs(model, snrs_db),
        *_other_channels(model.name, links, training or {}),
        *(
            line
            for size in dict.fromkeys(sizes)
            for cbr in cbrs
            for line in _needed(model, size, cbr)
        ),
    ]
    for line in found:
        warnings.warn(line, stacklevel=2)
    return found


def trained_channels(training: Mapping[str, Any]) -> tuple[set[str], bool]:
    """Names of the channels that weights were trained on, and whether that is the whole story.

    It is where `witt train` kept its settings; of a record in words the names in it are taken, and
    how they faded is not known. Runs that it began from (`before`) count.
    """
    names: set[str] = set()
    exact = True
    record: Any = training
    while isinstance(record, Mapping):
        settings = record.get("config")
        listed = settings.get("channel") if isinstance(settings, Mapping) else None
        if isinstance(listed, (list, tuple)):
            names |= {str(name) for name in listed}
        elif isinstance(words := record.get("channel"), str):
            names |= set(re.findall("|".join(NAMES), words.lower()))
            exact = False
        record = record.get("before")
    return names, exact


def _beyond_snrs(model: Codec, snrs_db: Sequence[float]) -> Iterator[str]:
    if model.snr_range_db is None:
        return
    low, high = model.snr_range_db
    beyond = [snr for snr in snrs_db if not low <= snr <= high]
    if beyond:
        named = ", ".join(f"{snr:g}" for snr in beyond)
        yield (
            f"SNR {named} dB is outside the {low:g} to {high:g} dB that {model.name} was "
            "trained for"
        )


def _other_channels(name: str, links: Sequence[Link], training: Mapping[str, Any]) -> Iterator[str]:
    known, exact = trained_channels(training)
    if not known:
        return
    names = {short(parse(text).target): text for text in known}
    told = " and ".join(sorted(NAMES.get(each, short(each)) for each in known))
    for link in links:
        mine = short(parse(link.channel).target)
        if mine not in names:
            yield f"{link} is a channel that {name} was not trained for: it knows {told}"
        elif exact and link.is_ours:
            usual = [str(Link.of(text)) for text in sorted(known) if parse(text).target == mine]
            if str(link) not in usual:
                yield (
                    f"{link} is a channel that {name} was not trained for: "
                    f"it knows {' and '.join(usual)}"
                )


def _needed(model: Codec, size: tuple[int, int] | None, cbr: float) -> list[str]:
    """What the model says of a picture that cannot be sent with so few symbols."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.check_cbr(cbr, size)
    return [str(warning.message) for warning in caught]
