"""The heat map of `witt evaluate --grid`, from its JSON alone."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures.plot import FAINT, GREY, INK
from witt.errors import InputError
from witt.link.grid import FORMAT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, NAMES = (1.05, 0.5), 1.6  # inches of a cell, and for the names of the rows
LEAST_DB = 1.0  # of the colour scale's upper end: less loss than that must not look like much
DARK = 0.6  # share of the scale above which the text is white


def read_grid_results(path: Path) -> dict[str, Any] | None:
    """The document of a grid; None where the file is something else.

    Raises:
        InputError: it is one, but damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads results says what is wrong
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    try:
        shape = len(document["models"]), len(document["domains"])
        for matrix in document["matrices"]:
            for key in ("psnr_db", "loss_db"):
                matrix[key] = np.array(matrix[key], dtype=float)
                if matrix[key].shape != shape:
                    raise ValueError(f"{key} is {matrix[key].shape}, not {shape}")
            str(matrix["cbr_label"])
        if not document["matrices"]:
            raise ValueError("there is no matrix")
        [str(each["name"]) for each in document["models"]]
        [(str(each["name"]), each["specialist"]) for each in document["domains"]]
        [float(snr) for snr in document["snr_db"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
    return document


def draw_grid(document: dict[str, Any]) -> Figure:
    """A panel for each CBR: the colour is the loss, the numbers are the PSNR and the loss in dB.

    A specialist has a frame; what was not measured, or has no specialist, has no colour.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matrices = document["matrices"]
    rows, columns = matrices[0]["psnr_db"].shape
    width = NAMES + len(matrices) * (columns * CELL[0] + 0.15) + 0.7
    figure = Figure(figsize=(max(width, 4.2), rows * CELL[1] + 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(matrices), squeeze=False, sharey=True)[0]
    losses = np.concatenate([matrix["loss_db"].ravel() for matrix in matrices])
    most = max([LEAST_DB, *losses[np.isfinite(losses)]])
    for index, (axes, matrix) in enumerate(zip(panels, matrices, strict=True)):
        image = axes.imshow(
            np.ma.masked_invalid(matrix["loss_db"]), vmin=0, vmax=most, cmap="Blues", aspect="auto"
        )
        axes.grid(False)
        axes.set_title(f"CBR {matrix['cbr_label']}", size=8)
        _write_cells(axes, document, matrix, most)
        names = [textwrap.fill(each["name"], 16) for each in document["domains"]]
        axes.set_xticks(range(columns), names, size=7)
        axes.tick_params(length=0)
        if not index:
            names = [textwrap.fill(each["name"], 24) for each in document["models"]]
            axes.set_yticks(range(rows), names, size=7)
        for spine in axes.spines.values():
            spine.set_visible(False)
    bar = figure.colorbar(image, ax=list(panels), pad=0.01, fraction=0.05)
    bar.set_label("loss (dB)", size=7)
    bar.ax.tick_params(labelsize=6)
    snrs = ", ".join(f"{snr:g}" for snr in document["snr_db"])
    figure.suptitle("PSNR (loss against the specialist), dB", size=9, x=0.01, ha="left")
    figure.supxlabel(
        f"mean over {snrs} dB of SNR; in brackets the loss; framed: the specialist of the column",
        size=6.5, x=0.01, ha="left", color=GREY,
    )  # fmt: skip
    return figure


def _write_cells(axes: Axes, document: dict[str, Any], matrix: dict[str, Any], most: float) -> None:
    from matplotlib.patches import Rectangle

    for row, model in enumerate(document["models"]):
        for column, domain in enumerate(document["domains"]):
            psnr, loss = matrix["psnr_db"][row, column], matrix["loss_db"][row, column]
            text = "–" if np.isnan(psnr) else f"{psnr:.2f}"
            own = domain["specialist"] == model["name"]
            if not np.isnan(loss) and not own:
                text += f"\n({loss:.2f})"
            colour = GREY if np.isnan(psnr) else "white" if loss > DARK * most else INK
            axes.text(column, row, text, ha="center", va="center", size=7, color=colour)
            if own or np.isnan(loss):
                edge, line = (INK, 1.4) if own else (FAINT, 0.5)
                box = Rectangle(
                    (column - 0.47, row - 0.46), 0.94, 0.92, ec=edge, lw=line, fill=False
                )
                axes.add_patch(box)
