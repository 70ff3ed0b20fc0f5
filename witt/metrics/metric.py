"""A metric of any kind: ours, an installed package's, or a function in a user's file.

    def my_metric(image, reference):      # both (B, 3, H, W) in [0, 1], as 8-bit files hold them
        return ...                        # (B,)

    my_metric.label = "Mine"              # for tables and axes; without it the name
    my_metric.higher_is_better = False    # without it, higher is better
    my_metric.best = 0.0                  # what a value counts as at best; without it, any
    my_metric.needs_labels = True         # it is called (image, reference, labels): (B,) classes

A class works too: it is made once, with the settings that follow its name.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from witt.errors import InputError, one_line
from witt.metrics.published import published_similarity
from witt.metrics.quality import BEST_MS_SSIM_DB, BEST_PSNR_DB, ms_ssim, ms_ssim_db, psnr
from witt.registry import METRICS, parse

Function = Callable[[Tensor, Tensor], Any]
# Values of one picture by key; beside them what a metric says of them.
Figures = dict[str, Any]
# The class of each picture of a batch; None where they are not known.
Labels = Sequence[int] | Tensor | None
NO_LABELS = (
    "needs the class of each picture, which is there for CIFAR-10 sheets with their labels and for "
    "a data set that gives (name, pixels, label)"
)

DEFAULT = ("psnr", "ms-ssim")
# What the entry of a picture, or of a condition, holds beside its values.
TAKEN = frozenset(
    re.findall(
        r"\w+",
        """adapt batch cbr cbr_label cbr_requested channel channel_label channel_uses codec
        coherence departures done failed fading header_bits height image images info k_factor_db
        ms_ssim ms_ssim_published_db ms_ssim_variant notes profile psnr_db_p5 psnr_db_p95
        reasons repeat scheme seconds seed snr_db width""",
    )
)


@dataclass(frozen=True)
class Quantity:
    """What a metric measures, as tables, figures and files tell of it.

    Files hold this, so that somebody without the metric can plot its values.

    Args:
        name: as it is asked for: "psnr", "./mine.py:lpips".
        key: of its values in files: "psnr_db", "lpips".
        label: for people, with its unit: "PSNR dB".
        higher_is_better: the direction.
        best: no value counts as better; None where any does.
        source: what tells two versions of one of users' own apart.
    """

    name: str
    key: str
    label: str
    higher_is_better: bool = True
    best: float | None = None
    source: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Keys of all its values in files: MS-SSIM has its value beside that in dB."""
        return ("ms_ssim", self.key) if self.key == "ms_ssim_db" else (self.key,)

    @property
    def digits(self) -> int:
        """Decimals for a table: what is not in decibels is mostly below 1."""
        return 2 if self.label.endswith("dB") else 4

    @property
    def axis(self) -> str:
        """The label of an axis, with the direction where it is not the usual one."""
        label = re.sub(r" dB$", " (dB)", self.label)
        return label if self.higher_is_better else f"{label}, lower is better"

    def capped(self, value: float) -> float:
        """What a value counts as; NaN is kept."""
        if self.best is None:
            return value
        return min(value, self.best) if self.higher_is_better else max(value, self.best)

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "key": self.key,
            "label": self.label,
            "higher_is_better": self.higher_is_better,
            **({} if self.source is None else {"source": self.source}),
        }


PSNR = Quantity("psnr", "psnr_db", "PSNR dB", best=BEST_PSNR_DB)
MS_SSIM = Quantity("ms-ssim", "ms_ssim_db", "MS-SSIM dB", best=BEST_MS_SSIM_DB)


def read_quantities(document: Mapping[str, Any]) -> tuple[Quantity, ...]:
    """The metrics of a file, from the values at its top.

    Files of before there were others say by `ms_ssim` whether that is beside the PSNR.

    Raises:
        KeyError, TypeError, ValueError: there are none.
    """
    if "metrics" not in document:
        return (PSNR, MS_SSIM) if document["ms_ssim"] else (PSNR,)
    found = []
    for told in document["metrics"]:
        name, key, label = (told[name] for name in ("name", "key", "label"))
        if not all(isinstance(text, str) for text in (name, key, label)):
            raise TypeError(f"the metric {name!r} has no name, key and label")
        ours = {each.key: each for each in (PSNR, MS_SSIM)}.get(key)
        found.append(
            ours
            or Quantity(name, key, label, bool(told["higher_is_better"]), None, told.get("source"))
        )
    if not found:
        raise ValueError("there are no metrics")
    return tuple(found)


@dataclass(frozen=True)
class Metric:
    """A metric of users' own, or of a library.

    Args:
        quantity: what it measures.
        function: (image, reference) -> (B,), or one number where there is one picture.
        needs_labels: whether it is (image, reference, labels).
    """

    quantity: Quantity
    function: Function
    needs_labels: bool = False

    def measure(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        labels: Labels = None,
        eight_bit: bool = True,
        published: bool = False,
    ) -> list[Figures]:
        """The values of each picture.

        Args:
            image: (B, 3, H, W), as it was received; what lies outside [0, 1] is clamped.
            reference: the same shape, in [0, 1].
            labels: the class of each picture, for a metric that needs it.
            eight_bit: round to 8 bits, as a file would.
            published: as the code published with WITT does it, where that differs.

        Raises:
            InputError: there are no labels, and it needs them.
            TypeError: the function does not return a value for each picture.
        """
        given = [as_shown(image, eight_bit), reference]
        if self.needs_labels:
            if labels is None:
                raise InputError(f"metric {self.quantity.name}: {NO_LABELS}")
            given.append(torch.as_tensor(labels, dtype=torch.int64, device=image.device))
        with torch.no_grad():
            values = torch.as_tensor(self.function(*given))
            if values.ndim == 0 and len(image) > 1:  # a mean over the batch
                each = zip(*(one.split(1) for one in given), strict=True)
                values = torch.stack([torch.as_tensor(self.function(*one)) for one in each])
        if values.numel() != len(image):
            raise TypeError(
                f"it returned {tuple(values.shape)} for {len(image)} pictures; it must be (B,)"
            )
        key = self.quantity.key
        return [{key: self.quantity.capped(value)} for value in values.double().flatten().tolist()]


class Psnr(Metric):
    """The PSNR."""

    def measure(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        labels: Labels = None,
        eight_bit: bool = True,
        published: bool = False,
    ) -> list[Figures]:
        """See `Metric.measure`."""
        values = psnr(image, reference, eight_bit=eight_bit).tolist()
        return [{PSNR.key: PSNR.capped(value)} for value in values]


class MsSsim(Metric):
    """MS-SSIM: its value, that in dB, and which variant it is."""

    def measure(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        labels: Labels = None,
        eight_bit: bool = True,
        published: bool = False,
    ) -> list[Figures]:
        """See `Metric.measure`."""
        if published:
            received = image.clamp(0, 1)
            received = (received * 255).round() / 255 if eight_bit else received
            found = published_similarity(received, reference)
        else:
            found = ms_ssim(image, reference, eight_bit=eight_bit)
        return [
            {"ms_ssim": value, MS_SSIM.key: MS_SSIM.capped(db), "ms_ssim_variant": found.variant}
            for value, db in zip(found.value.tolist(), found.db.tolist(), strict=True)
        ]


OURS = {"psnr": Psnr(PSNR, psnr), "ms-ssim": MsSsim(MS_SSIM, ms_ssim_db)}


def make_metrics(asked: str | Function | Sequence[str | Function]) -> tuple[Metric, ...]:
    """The metrics of these names, each once.

    Args:
        asked: "psnr", "lpips:net=squeeze", "./mine.py:my_metric", or a function.

    Raises:
        InputError: there is none, it is no metric, needs something that is not installed, or two
            would have one name.
    """
    metrics: dict[str, Metric] = {}
    listed = [asked] if isinstance(asked, str) or callable(asked) else asked
    for each in dict.fromkeys(listed):
        metric = _make(each)
        key = metric.quantity.key
        if key in TAKEN or key in metrics:
            what = "an entry of the results" if key in TAKEN else f"{metrics[key].quantity.name} is"
            raise InputError(
                f"metric {metric.quantity.name}: {what} called {key} too; give it another name"
            )
        metrics[key] = metric
    if not metrics:
        raise InputError(f"no metric is left: name one or more of {', '.join(METRICS.names())}")
    return tuple(metrics.values())


def _make(asked: str | Function) -> Metric:
    if not isinstance(asked, str):
        name = getattr(asked, "__name__", type(asked).__name__)
        return _own(name, name, {}, asked)
    target, settings = parse(asked)
    if target in OURS and not settings:
        return OURS[target]
    thing = METRICS.find(asked)
    if inspect.isclass(thing):
        function = METRICS.make(asked)
    else:
        function = functools.partial(thing, **settings) if settings else thing
        names = ("image", "reference", "labels")[: 3 if _wants_labels(thing) else 2]
        try:
            inspect.signature(function).bind(*names)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"metric {asked}: cannot be called with ({', '.join(names)}): {one_line(error)}"
            ) from error
    return _own(asked, target.rpartition(":")[2], settings, function, thing)


def _own(
    name: str, short: str, settings: dict[str, Any], function: Any, thing: Any = None
) -> Metric:
    """A metric with what it says of itself, or what is usual where it says nothing."""
    if not callable(function):
        raise InputError(f"metric {name}: is no function of (image, reference)")
    told = [f"{key}={value}" for key, value in settings.items()]
    described = function if hasattr(function, "label") or thing is None else thing
    key = re.sub(r"\W+", "_", "_".join([short, *told])).strip("_")
    label = str(getattr(described, "label", short)) + (f" ({', '.join(told)})" if told else "")
    direction = getattr(described, "higher_is_better", True)
    best = getattr(described, "best", None)
    source = None if thing is None else METRICS.source(name) or getattr(function, "source", None)
    quantity = Quantity(name, key, label, direction is not False, best, source)
    return Metric(quantity, function, _wants_labels(described))


def _wants_labels(described: Any) -> bool:
    return getattr(described, "needs_labels", False) is True


def check_labels(metrics: Sequence[Metric], without: object) -> None:
    """Refuse metrics that need labels, before any work.

    Args:
        metrics: those asked for.
        without: what has no labels, by name; None where all is labelled.

    Raises:
        InputError: one needs them.
    """
    for metric in metrics:
        if metric.needs_labels and without is not None:
            raise InputError(f"metric {metric.quantity.name}: {NO_LABELS}; {without} has none")


def measure(
    metrics: Sequence[Metric],
    image: Tensor,
    reference: Tensor,
    *,
    labels: Labels = None,
    eight_bit: bool = True,
    published: bool = False,
) -> list[Figures]:
    """What all metrics say of each picture.

    A metric that fails at a picture gives NaN there, and its reason among `reasons`, by its key.

    Args:
        metrics: from `make_metrics`.
        image, reference, labels, eight_bit, published: as of `Metric.measure`.
    """
    figures: list[Figures] = [{} for _ in range(len(image))]
    how: dict[str, Any] = {"eight_bit": eight_bit, "published": published}
    for metric in metrics:
        try:
            found = metric.measure(image, reference, labels=labels, **how)
        except Exception:  # whatever a stranger's function raises; which picture is it?
            own = [None] * len(image) if labels is None else [[int(label)] for label in labels]
            each = zip(image.split(1), reference.split(1), own, strict=True)
            found = [_tried(metric, x, y, {"labels": label, **how}) for x, y, label in each]
        for entry, values in zip(figures, found, strict=True):
            reasons = {**entry.get("reasons", {}), **values.get("reasons", {})}
            entry.update(values)
            if reasons:
                entry["reasons"] = reasons
    return figures


def _tried(metric: Metric, image: Tensor, reference: Tensor, how: dict[str, Any]) -> Figures:
    try:
        return metric.measure(image, reference, **how)[0]
    except Exception as error:
        key = metric.quantity.key
        return {key: math.nan, "reasons": {key: f"{type(error).__name__}: {one_line(error)}"}}


def as_shown(image: Tensor, eight_bit: bool = True) -> Tensor:
    """A received picture as a file would hold it: clamped and rounded to 8 bits; NaN is kept."""
    wide = image.to(torch.promote_types(image.dtype, torch.float32)).clamp(0, 1)
    return (wide * 255).round() / 255 if eight_bit else wide
