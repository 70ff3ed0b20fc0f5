"""Pictures that `witt transmit --json` lists, read from where they lie."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from benchmarks.labels import cbr_label
from benchmarks.report.content import Pictures, Source, Tile, flat
from witt.errors import InputError
from witt.pictures.images import Pixels, read_image
from witt.report import number

FIGURE = "received_psnr_db"  # of the draw that the picture is of
TEXTS = ("image", "received", "weights", "channel_label")
NUMBERS = ("snr_db", "cbr_requested", "seed")


class Sent(NamedTuple):
    """A picture as `witt transmit` told of it.

    record: its entry of the list.
    original, received: (H, W, 3) uint8.
    """

    record: dict[str, Any]
    original: Pixels
    received: Pixels


def read_transmitted(path: Path) -> list[Sent] | None:
    """What a list of `witt transmit` tells of; None where the file is something else.

    Paths in it are those of the folder in which the command ran: they are looked for from here,
    and then from where the list is.

    Raises:
        InputError: it is such a list, but damaged, or a picture is not there any more.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads results says what is wrong
    if not isinstance(records, list) or not records:
        return None
    for record in records:
        if not isinstance(record, dict):
            raise InputError(f"{path}: is damaged: an entry is no object")
        for kind, names in ((str, TEXTS), ((int, float), NUMBERS)):
            for name in names:
                if not isinstance(record.get(name), kind):
                    raise InputError(f"{path}: is damaged: {name} is {record.get(name)!r}")
    return [
        Sent(record, *(_picture(path, Path(record[name])) for name in ("image", "received")))
        for record in records
    ]


def _picture(path: Path, named: Path) -> Pixels:
    for place in (named, path.parent / named):
        if place.is_file():
            return read_image(place).pixels
    raise InputError(f"{named}: is not there any more; {path} tells of it, so send it again")


def pictures_of(sent: Sequence[Sent]) -> list[Pictures]:
    """A group for each photograph, channel and CBR: a row for each SNR, a tile for each weights."""
    groups: dict[tuple[str, str, float], list[Sent]] = {}
    for one in sent:
        record = one.record
        key = (record["image"], record["channel_label"], record["cbr_requested"])
        groups.setdefault(key, []).append(one)
    return [_group(image, channel, cbr, them) for (image, channel, cbr), them in groups.items()]


def _group(image: str, channel: str, cbr: float, members: Sequence[Sent]) -> Pictures:
    original = members[0].original
    rows = []
    for snr_db in sorted({one.record["snr_db"] for one in members}):
        tiles = [Tile("Original", "", _png(original))]
        for one in members:
            if one.record["snr_db"] == snr_db:
                value = one.record.get(FIGURE)
                said = number(float(value) if isinstance(value, int | float) else math.nan)
                tiles.append(Tile(_name(one.record), f"{said} dB", _png(one.received)))
        rows.append((f"SNR {snr_db:g} dB", tuple(tiles)))
    title = f"{Path(image).name}, {channel}, CBR {cbr_label(cbr)}"
    return Pictures(title, (original.shape[1], original.shape[0]), tuple(rows))


def _name(record: dict[str, Any]) -> str:
    weights = record["weights"]
    name = Path(weights).stem if Path(weights).suffix else weights
    return f"{name}, {record['adapt']} steps" if record.get("adapt") else name


def _png(pixels: Pixels) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def source_of_transmitted(path: Path, sent: Sequence[Sent]) -> Source:
    """The settings of a list: what all of its entries have in common."""
    first, *others = [one.record for one in sent]
    common = {
        key: value
        for key, value in first.items()
        if all(other.get(key) == value for other in others)
    }
    about = f"{len(sent)} picture{'' if len(sent) == 1 else 's'} as received"
    return Source(path.name, about, tuple(flat(common)), (), (), (), ())
