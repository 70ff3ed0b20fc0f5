"""The same crop of one photograph as several schemes deliver it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.labels import scheme_label
from benchmarks.schemes.scheme import Scheme, Sent, own_record, send_checked, what_failed
from benchmarks.sweep.measure import measure
from benchmarks.sweep.provenance import run_record
from benchmarks.sweep.results import Cell, check_made
from witt.errors import InputError
from witt.link.evaluation import image_seed
from witt.metrics.metric import make_metrics
from witt.pictures.images import Pixels
from witt.report import number, to_json
from witt.waiting import Advance, nobody_waits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = "witt-visual-1"
SIDE = 1.5  # inches of a crop
INK, GREY = "#1f2430", "#5c6270"


class Crop(NamedTuple):
    """A part of a picture, in pixels from its top left."""

    left: int
    top: int
    width: int
    height: int

    def of(self, pixels: Pixels) -> Pixels:
        """The part of a picture."""
        part: Pixels = pixels[self.top : self.top + self.height, self.left : self.left + self.width]
        return part


def compare(
    name: str,
    pixels: Pixels,
    crop: Crop,
    schemes: Sequence[Scheme],
    cells: Sequence[Cell],
    seed: int,
    advance: Advance = nobody_waits,
) -> dict[str, Any]:
    """Send one picture at every cell.

    Args:
        name: of the picture.
        pixels: (H, W, 3) uint8.
        crop: what is kept of it.
        schemes: those of the cells.
        cells: where it is sent.
        seed: of the channel.
        advance: called after each cell.

    Returns:
        A record for a JSON file: the crops as PNG, and the figures of the whole picture.

    Raises:
        InputError: the picture is smaller than the crop needs.
    """
    height, width = pixels.shape[:2]
    if crop.left + crop.width > width or crop.top + crop.height > height:
        raise InputError(f"{name}: {width}x{height} pixels do not hold the crop {tuple(crop)}")
    by_name = {scheme.name: scheme for scheme in schemes}
    own_seed = image_seed(seed, pixels)
    entries = []
    for cell in cells:
        failed = None
        try:
            (sent,) = send_checked(
                by_name[cell.scheme], [pixels], cell.link, cell.snr_db, cell.cbr, [own_seed]
            )
        except Exception as error:  # of one scheme, which does not keep the others from theirs
            failed = what_failed(error)
            sent = Sent(None, 0, {"reason": failed})
        received = None if sent.pixels is None else _png(crop.of(sent.pixels))
        row = measure(pixels, sent, make_metrics(["psnr"])).row
        figures = {
            "psnr_db": row["psnr_db"],
            "channel_uses": row["channel_uses"],
            "cbr_used": row["cbr"],
            "link": str(cell.link),
        }
        entries.append(
            {**cell.record(), **figures, "info": sent.info, "failed": failed, "png": received}
        )
        advance()
    return {
        "format": FORMAT,
        "picture": name,
        "size": [width, height],
        "crop": crop._asdict(),
        "seed": seed,
        "original": _png(crop.of(pixels)),
        "schemes": {name: own_record(scheme) for name, scheme in by_name.items()},
        "runs": [run_record()],
        "entries": entries,
    }


def record_text(record: dict[str, Any]) -> str:
    """The JSON text of a comparison."""
    return to_json(record) + "\n"


def read_visual(path: Path) -> dict[str, Any] | None:
    """The record of a comparison; None where the file is something else.

    Raises:
        InputError: it is a comparison, but a damaged one.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads results says what is wrong
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return None
    try:
        check_made(record)
        missing = "psnr_db", None  # of a picture that could not be sent
        for entry in record["entries"]:
            for key in ("scheme", "cbr_label", "link"):
                if not isinstance(entry[key], str):
                    raise TypeError(f"{key} is {entry[key]!r}")
            for key in ("snr_db", "psnr_db"):
                if not isinstance(entry[key], int | float) and (key, entry[key]) != missing:
                    raise TypeError(f"{key} is {entry[key]!r}")
            _pixels(entry["png"])
        _pixels(record["original"])
        if not record["entries"] or not isinstance(record["picture"], str):
            raise ValueError("no pictures")
        if min(int(record["crop"][side]) for side in ("width", "height")) < 1:
            raise ValueError("its crop is empty")
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
    return dict(record)


def draw_visual(record: dict[str, Any]) -> Figure:
    """A row for each SNR; the original, then what each scheme delivers."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    entries = record["entries"]
    snrs = sorted({entry["snr_db"] for entry in entries})
    schemes = list(dict.fromkeys(entry["scheme"] for entry in entries))
    by_place = {(entry["snr_db"], entry["scheme"]): entry for entry in entries}
    original = _pixels(record["original"])
    columns = 1 + len(schemes)
    aspect = original.shape[0] / original.shape[1] if original is not None else 1.0
    size = (SIDE * columns, (SIDE * aspect + 0.42) * len(snrs) + 0.3)
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    figure = Figure(figsize=size, dpi=200, layout=tight)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(snrs), columns, squeeze=False)
    for snr, row in zip(snrs, grid, strict=True):
        _tile(row[0], original, "Original", f"SNR {snr:g} dB →")
        for scheme, axes in zip(schemes, row[1:], strict=True):
            entry = by_place.get((snr, scheme))
            pixels = None if entry is None else _pixels(entry["png"])
            value = None if entry is None else entry["psnr_db"]
            quality = number(math.nan if value is None else value)
            _tile(axes, pixels, scheme_label(scheme), f"{quality} dB")
    first = entries[0]
    figure.suptitle(
        f"{record['picture']}, {first['link']}, CBR {first['cbr_label']}; "
        "PSNR of the whole picture",
        size=8,
        x=0.01,
        ha="left",
        color=GREY,
    )
    return figure


def _tile(axes: Any, pixels: Pixels | None, name: str, value: str) -> None:
    if pixels is None:
        axes.text(0.5, 0.5, "cannot be sent", ha="center", size=7, transform=axes.transAxes)
    else:
        axes.imshow(pixels, interpolation="none")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(f"{name}\n{value}", size=7.5, labelpad=2, color=INK)


def _png(pixels: Pixels) -> str:
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _pixels(text: str | None) -> Pixels | None:
    if text is None:
        return None
    with Image.open(BytesIO(base64.b64decode(text)), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))
