"""The figures of the paper, by name: what is computed for each and what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.figures.visual import Crop
from benchmarks.sweep.known import CIFAR
from witt.errors import InputError
from witt.link.conditions import Link
from witt.metrics.metric import DEFAULT

MODES = ("4qam-1/3", "4qam-1/2", "4qam-2/3", "16qam-1/2", "16qam-2/3", "64qam-1/2")
# Names of weights; those that do not come with witt are left out.
PHOTO_MODELS = ("witt_base", "witt_light", "deepjscc")
TILE_MODELS = ("witt_cifar", "witt_cifar_light", "deepjscc_cifar")
TRAINED = frozenset((*PHOTO_MODELS, *TILE_MODELS, "witt_light_ms_ssim"))
LEARNED = (*PHOTO_MODELS, "softcast")
DIGITAL = ("hevc+ldpc", "hevc+nr", "hevc+capacity")
FIXED = tuple(f"hevc+ldpc:{mode}" for mode in MODES)
SNRS = (1.0, 4.0, 7.0, 10.0, 13.0)
KODAK_CBRS = (1 / 96, 1 / 48, 1 / 24, 1 / 16, 1 / 12, 1 / 8)
CIFAR_CBRS = (1 / 12, 1 / 6, 1 / 4, 1 / 3, 1 / 2)
DIGITAL_CIFAR = 1000
QUICK_PHOTOS, QUICK_TILES = 4, 256


class Sweep(NamedTuple):
    """What is computed into one result file.

    name: of the file.
    dataset: folder in the data folder.
    limit: the first pictures only.
    metrics: names of what is measured.
    """

    name: str
    dataset: str
    schemes: tuple[str, ...]
    link: Link
    snrs_db: tuple[float, ...]
    cbrs: tuple[float, ...]
    limit: int | None = None
    metrics: tuple[str, ...] = DEFAULT


class Visual(NamedTuple):
    """One picture, and the crop of it that is shown."""

    dataset: str
    picture: str
    crop: Crop
    schemes: tuple[str, ...]
    link: Link
    snrs_db: tuple[float, ...]
    cbr: float


class Figure(NamedTuple):
    """A figure of the paper.

    about: a line for the list of figures.
    sweeps: what it needs; figures share sweeps.
    axis, metric: the chart that is drawn of them, as in `benchmarks.figures.curves.Chart`.
    visual: instead of a chart.
    """

    name: str
    about: str
    sweeps: tuple[Sweep, ...] = ()
    axis: str = "snr"
    metric: str = "psnr_db"
    visual: Visual | None = None


def _kodak(
    name: str,
    link: Link,
    snrs_db: tuple[float, ...] = SNRS,
    cbrs: tuple[float, ...] = (1 / 16,),
    metrics: tuple[str, ...] = ("psnr",),
) -> Sweep:
    """Over the SNR with each fixed mode: their cliffs are the point of that figure."""
    schemes = LEARNED + DIGITAL + (FIXED if len(snrs_db) > 1 else ())
    return Sweep(name, "kodak", schemes, link, snrs_db, cbrs, metrics=metrics)


def _cifar(
    name: str,
    link: Link,
    snrs_db: tuple[float, ...] = SNRS,
    cbrs: tuple[float, ...] = (1 / 3,),
) -> tuple[Sweep, Sweep]:
    """JSCC on all pictures; digital chains on the first 1,000, since their codec is slow."""
    schemes = (*TILE_MODELS, "softcast")
    base = Sweep(name, CIFAR, schemes, link, snrs_db, cbrs, metrics=("psnr",))
    return base, base._replace(name=f"{name}-digital", schemes=DIGITAL, limit=DIGITAL_CIFAR)


AWGN, RAYLEIGH = Link(), Link("rayleigh")
KODAK_AWGN = _kodak("kodak-awgn-snr", AWGN, metrics=DEFAULT)
KODAK_MS_SSIM = KODAK_AWGN._replace(name="kodak-msssim-snr", schemes=("witt_light_ms_ssim",))

FIGURES = (
    Figure("kodak-awgn-snr", "Kodak, PSNR over SNR, AWGN, CBR 1/16", (KODAK_AWGN,)),
    Figure(
        "kodak-rayleigh-snr",
        "Kodak, PSNR over SNR, fast Rayleigh, CBR 1/16",
        (_kodak("kodak-rayleigh-snr", RAYLEIGH),),
    ),
    Figure(
        "kodak-awgn-cbr",
        "Kodak, PSNR over CBR, AWGN, 10 dB",
        (_kodak("kodak-awgn-cbr", AWGN, snrs_db=(10.0,), cbrs=KODAK_CBRS),),
        axis="cbr",
    ),
    Figure(
        "kodak-msssim-snr",
        "Kodak, MS-SSIM over SNR, AWGN, CBR 1/16",
        (KODAK_AWGN, KODAK_MS_SSIM),
        metric="ms_ssim_db",
    ),
    Figure(
        "cifar10-awgn-snr",
        "CIFAR-10, PSNR over SNR, AWGN, CBR 1/3",
        _cifar("cifar10-awgn-snr", AWGN),
    ),
    Figure(
        "cifar10-rayleigh-snr",
        "CIFAR-10, PSNR over SNR, fast Rayleigh, CBR 1/3",
        _cifar("cifar10-rayleigh-snr", RAYLEIGH),
    ),
    Figure(
        "cifar10-awgn-cbr",
        "CIFAR-10, PSNR over CBR, AWGN, 10 dB",
        _cifar("cifar10-awgn-cbr", AWGN, snrs_db=(10.0,), cbrs=CIFAR_CBRS),
        axis="cbr",
    ),
    Figure(
        "visual",
        "A crop of kodim19 as each scheme delivers it, AWGN, CBR 1/16, 1 and 10 dB",
        visual=Visual(
            "kodak",
            "kodim19.png",
            Crop(300, 390, 160, 160),
            (*LEARNED, "hevc+ldpc", "hevc+nr"),
            AWGN,
            (1.0, 10.0),
            1 / 16,
        ),
    ),
)


def names_in(part: Sweep | Visual, asked: Sequence[str]) -> tuple[str, ...]:
    """Those of a figure's schemes that were asked for.

    In a figure of 32×32 pictures the name of a model for photographs means its counterpart.
    """
    tiles = dict(zip(PHOTO_MODELS, TILE_MODELS, strict=True)) if part.dataset == CIFAR else {}
    meant = {tiles.get(name, name) for name in asked}
    return tuple(name for name in part.schemes if name in meant)


def pick(names: tuple[str, ...]) -> tuple[Figure, ...]:
    """Figures by name; all of them where none is named.

    Raises:
        InputError: an unknown name; the message lists them.
    """
    by_name = {figure.name: figure for figure in FIGURES}
    for name in names:
        if name not in by_name:
            raise InputError(f"unknown figure {name!r}: choose from {', '.join(by_name)}")
    return tuple(by_name[name] for name in dict.fromkeys(names)) or FIGURES


def quick(figure: Figure) -> Figure:
    """The figure from a few pictures, under names of its own."""
    sweeps = tuple(
        sweep._replace(
            name=f"{sweep.name}-quick",
            limit=QUICK_TILES if sweep.dataset == CIFAR else QUICK_PHOTOS,
        )
        for sweep in figure.sweeps
    )
    return figure._replace(name=f"{figure.name}-quick", sweeps=sweeps)
