"""The figures of `witt analyse`, each from its document alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.analysis.layers import SENT
from benchmarks.figures.plot import FAINT, GREY, INK, LOOKS, MORE
from benchmarks.labels import cbr_label, count_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, NAMES = 0.085, 1.75  # inches of a layer in a heat map, and for the names of layers
LEAST_PANEL = 1.6
LEAST_DB = -20.0  # of a latent channel's power beside the mean, below which all are as dark
COLOURS = ("#0b2f78", "#d1520f", "#1b7f5c", "#8a4fa3", "#b8860b", "#4d4d4d")
ENDS = {"encoder": "enc", "decoder": "dec"}


def similarity_figure(document: dict[str, Any]) -> Figure:
    """A heat map of CKA for each SNR, the first model's layers from below to above."""
    first, second = document["models"]
    rows, columns = (len(model["layers"]) for model in (first, second))
    snrs = document["snr_db"]
    panel = (max(columns * CELL, LEAST_PANEL), max(rows * CELL, LEAST_PANEL))
    width = NAMES + len(snrs) * (panel[0] + 0.12) + 0.75
    figure = _figure(width, NAMES + panel[1] + 0.6)
    grid = figure.subplots(1, len(snrs), squeeze=False, sharey=True)[0]
    for index, (axes, snr_db, cka) in enumerate(zip(grid, snrs, document["cka"], strict=True)):
        values = np.array(cka, dtype=float)
        image = axes.imshow(
            values, origin="lower", aspect="auto", vmin=0, vmax=1, cmap="viridis",
            interpolation="nearest",
        )  # fmt: skip
        axes.grid(False)
        axes.axvline(_channel(second["layers"]), color="white", lw=0.8)
        axes.axhline(_channel(first["layers"]), color="white", lw=0.8)
        axes.set_title(f"{snr_db:g} dB", size=8)
        _name_layers(axes.xaxis, [layer["name"] for layer in second["layers"]], rotation=90)
        axes.set_xlabel(second["name"], size=8)
        if not index:
            _name_layers(axes.yaxis, [layer["name"] for layer in first["layers"]])
            axes.set_ylabel(first["name"], size=8)
        else:
            axes.tick_params(axis="y", left=False, labelleft=False)
    bar = figure.colorbar(image, ax=list(grid), pad=0.01, fraction=0.05)
    bar.set_label("linear CKA", size=8)
    bar.ax.tick_params(labelsize=6)
    side = document["crop"]
    _title(
        figure,
        f"Layers of {first['name']} beside those of {second['name']}",
        f"{document['crops']} crops of {side}x{side} pixels of {document['dataset']['name']}, "
        f"{document['channel_label']}, {_cbr(document)}; white lines: the channel",
    )
    return figure


def attention_figure(document: dict[str, Any]) -> Figure:
    """Mean attention distance of each head over the blocks, a colour for each SNR."""
    blocks = document["blocks"]
    figure = _figure(max(0.42 * len(blocks) + 1.0, 3.6), 3.3)
    axes = figure.subplots()
    snrs = document["snr_db"]
    for index, (snr_db, each) in enumerate(zip(snrs, document["distance_px"], strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        aside = (index - (len(snrs) - 1) / 2) * 0.5 / max(len(snrs), 2)
        x = [place + aside for place, heads in enumerate(each) for _ in heads]
        y = [distance for heads in each for distance in heads]
        axes.plot(x, y, "o", ms=3, color=colour, alpha=0.6, mew=0, label=f"a head, {snr_db:g} dB")
    for place, block in enumerate(blocks):
        label = "alike to all in the window" if not place else None
        axes.plot(
            [place - 0.38, place + 0.38], [block["uniform_px"]] * 2, color=GREY, lw=0.9, ls="--",
            label=label,
        )  # fmt: skip
    if 0 < document["channel_at"] < len(blocks):
        axes.axvline(document["channel_at"] - 0.5, color=INK, lw=0.8)
        axes.annotate(
            "channel", (document["channel_at"] - 0.5, 1), (2, -2), size=6, va="top",
            xycoords=("data", "axes fraction"), textcoords="offset points",
        )  # fmt: skip
    names = [
        f"{_short(block['name'])}  {'shifted, ' if block['shift'] else ''}{block['stride_px']} px"
        for block in blocks
    ]
    axes.set_xticks(range(len(blocks)), names, rotation=90, size=6)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel("mean attention distance (pixels)", size=8)
    axes.grid(axis="x", visible=False)
    axes.legend(fontsize=6, ncols=2, loc="best")
    _title(
        figure,
        f"How far the heads of {document['model']['name']} look",
        f"{count_label(document['dataset']['pictures'])} of {document['dataset']['name']}, "
        f"{document['channel_label']}, {_cbr(document)}",
    )
    return figure


def latents_figure(document: dict[str, Any]) -> Figure:
    """Power of each latent channel over SNR, and how many channels carry 90 % of it."""
    share, snrs = np.array(document["share"], dtype=float), document["snr_db"]
    channels = share.shape[1]
    figure = _figure(6.4, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    with np.errstate(divide="ignore"):
        level = 10 * np.log10(share.T * channels)
    image = left.imshow(
        level.clip(LEAST_DB), origin="lower", aspect="auto", cmap="magma",
        vmin=max(float(level.min()), LEAST_DB), interpolation="nearest",
    )  # fmt: skip
    left.grid(False)
    left.set_xticks(range(len(snrs)), [f"{snr:g}" for snr in snrs], size=7)
    left.set_xlabel("SNR, Es/N0 (dB)", size=8)
    left.set_ylabel("latent channel", size=8)
    left.tick_params(labelsize=7)
    bar = figure.colorbar(image, ax=left, pad=0.02)
    bar.set_label("power over an equal share (dB)", size=7)
    bar.ax.tick_params(labelsize=6)
    look = LOOKS.get(document["model"]["name"], MORE[0])
    carriers = 100 * np.array(document["channels_of_90_percent"]) / channels
    right.plot(snrs, carriers, look.line, marker=look.marker, color=look.colour, ms=4)
    right.axhline(90, color=FAINT, lw=1.2, ls="--")
    right.annotate(
        "all alike", (snrs[0], 90), (0, 2), textcoords="offset points", size=6, color=GREY
    )
    right.set_ylim(0, 100)
    right.set_xlabel("SNR, Es/N0 (dB)", size=8)
    right.set_ylabel("channels with 90 % of the power (%)", size=8)
    right.tick_params(labelsize=7)
    _title(
        figure,
        f"What the {channels} latent channels of {document['model']['name']} send",
        f"{count_label(document['dataset']['pictures'])} of {document['dataset']['name']}, "
        f"{_cbr(document)}",
    )
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _title(figure: Figure, title: str, small: str) -> None:
    figure.suptitle(title, size=9, x=0.01, ha="left")
    figure.supxlabel(small, size=6.5, x=0.01, ha="left", color=GREY)


def _cbr(document: dict[str, Any]) -> str:
    cbr = document["cbr"]
    return "its only CBR" if cbr is None else f"CBR {cbr_label(cbr)}"


def _channel(layers: Sequence[dict[str, Any]]) -> float:
    """Where the channel is among the layers: after what was sent."""
    return [layer["name"] for layer in layers].index(SENT) + 0.5


def _short(name: str) -> str:
    """ "encoder.layers.2.blocks.0" as "enc 2.0", and "…downsample.norm" as "… down.norm"."""
    end, _, rest = name.partition(".")
    rest = re.sub(r"\b(layers|stages|blocks)\.(?=\d)", "", rest)
    rest = rest.replace("downsample", "down").replace("upsample", "up")
    return f"{ENDS.get(end, end)} {rest}".strip()


def _name_layers(axis: Any, names: Sequence[str], rotation: float = 0) -> None:
    axis.set_ticks(range(len(names)), [_short(name) for name in names], size=4.5, rotation=rotation)
    axis.set_tick_params(length=1.5, width=0.4, pad=1)
