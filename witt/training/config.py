"""All that defines a training run; saved with every checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.profiles import PROFILES
from witt.metrics.loss import make_loss
from witt.registry import CHANNELS

PRECISIONS = ("auto", "fp32", "bf16")
FIRST = 0.5  # of a run that has `snr_first`

# How a run is carried out, not what it learns: may change from one resume to the next.
FREE = frozenset(
    {"device", "precision", "accumulate", "workers", "compile", "val_minutes", "save_minutes"}
)
RAISABLE = frozenset({"steps", "minutes"})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `witt train`; the names are those of its options.

    Args:
        preset: model to train.
        data: folders of training pictures.
        val: folders of validation pictures.
        snr: choices in dB, or (low, high) when `snr_is_range`.
        snr_is_range: a fresh SNR between the two for each image.
        snr_first: (low, high) in dB of a uniform draw in the first half of the run, in place of
            `snr`: a network learns to send pictures sooner with little noise.
        cbr: fractions as text ("1/16"); one named twice is drawn twice as often.
        channel: names, or file.py:Name; the images of a run cross them in turn.
        loss: "mse", "ms-ssim", or one of your own, as for `witt.metrics.loss.make_loss`.
        profile: "ours", or "published" for the published way to train.
        steps: length of the run in steps.
        minutes: length of the run in minutes; with both, what comes first ends it.
        batch: images a step, of all processes together.
        accumulate: equal parts that a process works on one after the other, to save memory.
        crop: side of the training crops, in pixels.
        lr: peak learning rate of AdamW.
        muon_lr: peak learning rate of Muon; 0 leaves all parameters to AdamW.
        soap_lr: peak learning rate of SOAP, which then takes Muon's place; 0 is without.
        warmup: steps of the linear warm-up.
        flat: share of the run at the peak, before a linear fall to 0; None falls by a cosine from
            the start.
        clip: largest norm of the gradient.
        ema: decay of the weight average.
        seed: of the model's start, the sample stream and the channel.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "fp32", "bf16" (the networks in bfloat16, all else in float32), or "auto": bf16
            on GPUs that have it.
        workers: processes that read pictures; 0 reads them in the main one.
        val_minutes: time between validations.
        save_minutes: time between checkpoints.
        compile: compile the Swin blocks.
        init: weights to start from.
        overrides: arguments of the preset, from --set.
        data_share: share of the training pictures that is trained on, above 0.
        mask: share of the tokens of each picture that is not sent; see `witt.training.masking`.
        mask_noise: standard deviation of noise on the pixels that are sent, which go from 0 to 1.

    Raises:
        InputError: a value is out of range; the message names it.
    """

    preset: str
    data: tuple[str, ...]
    val: tuple[str, ...] = ()
    snr: tuple[float, ...] = (1, 4, 7, 10, 13)
    snr_is_range: bool = False
    snr_first: tuple[float, ...] | None = None
    cbr: tuple[str, ...] = ("1/16",)
    channel: tuple[str, ...] = ("awgn",)
    loss: str = "mse"
    profile: str = "ours"
    steps: int | None = None
    minutes: float | None = None
    batch: int = 8
    accumulate: int = 1
    crop: int = 128
    lr: float = 1e-3
    muon_lr: float = 0.01
    soap_lr: float = 0.0
    warmup: int = 50
    flat: float | None = None
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    workers: int = 1
    val_minutes: float = 10.0
    save_minutes: float = 5.0
    compile: bool = False
    init: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    data_share: float = 1.0
    mask: float = 0.0
    mask_noise: float = 0.0

    def __post_init__(self) -> None:
        # Plain strings: checkpoints hold no other classes, and options give subclasses of str.
        for name in ("data", "val", "cbr", "channel"):
            object.__setattr__(self, name, tuple(map(str, getattr(self, name))))
        object.__setattr__(self, "snr", tuple(self.snr))
        if self.snr_first is not None:
            object.__setattr__(self, "snr_first", tuple(self.snr_first))
        self._check_numbers()
        self._check_choices()

    def _check_numbers(self) -> None:
        if self.steps is None and self.minutes is None:
            raise InputError("say how long to train: --steps or --minutes")
        # An infinite duration would keep the learning rate at its peak for ever.
        for name, least, most in (
            ("steps", 1, 10**12),
            ("minutes", 1e-6, 1e9),
            ("batch", 1, 10**6),
            ("accumulate", 1, 10**6),
            ("crop", 1, 10**5),
            ("lr", 0, math.inf),
            ("muon_lr", 0, math.inf),
            ("soap_lr", 0, math.inf),
            ("warmup", 0, 10**12),
            ("flat", 0, 0.9999999),
            ("clip", 1e-12, math.inf),
            ("ema", 0, 0.9999999),
            ("seed", 0, 2**40),
            ("workers", 0, 1024),
            ("data_share", 1e-9, 1),
            ("mask", 0, 0.9999999),
            ("mask_noise", 0, math.inf),
            ("val_minutes", 1e-6, math.inf),
            ("save_minutes", 1e-6, math.inf),
        ):
            value = getattr(self, name)
            if value is not None and not (least <= value <= most and value < math.inf):
                option = "--" + name.replace("_", "-")
                end = "" if most == math.inf else f" and at most {most:g}"
                raise InputError(f"{option} is {value:g}: it must be at least {least:g}{end}")

    def _check_choices(self) -> None:
        if not self.data:
            raise InputError("say what to train on: --data DIR")
        if not self.snr or not all(math.isfinite(value) for value in self.snr):
            raise InputError(f"--snr must be finite numbers of dB, not {self.snr}")
        first = self.snr_first
        if first is not None and not (len(first) == 2 and all(map(math.isfinite, first))):
            raise InputError(f"--snr-first must be a range of dB, as 10:20, not {first}")
        if not self.cbr or not all(0 < value <= 1 for value in self.cbr_values):
            raise InputError(f"--cbr must be above 0 and at most 1, not {','.join(self.cbr)}")
        if not self.channel:
            raise InputError(f"--channel: choose from {', '.join(CHANNELS.names())}")
        for name in self.channel:
            Link.of(name)
        make_loss(self.loss)
        if self.profile not in PROFILES:
            raise InputError(f"unknown profile {self.profile!r}; choose from {', '.join(PROFILES)}")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"unknown precision {self.precision!r}; choose from {', '.join(PRECISIONS)}"
            )

    def snr_at(self, progress: float) -> tuple[tuple[float, ...], bool]:
        """SNRs in dB that are drawn from, and whether they are the ends of a range.

        Args:
            progress: share of the run that is done.
        """
        if self.snr_first is not None and progress < FIRST:
            return self.snr_first, True
        return self.snr, self.snr_is_range

    @property
    def cbr_values(self) -> list[float]:
        """The CBRs as numbers."""
        return [float(Fraction(text)) for text in self.cbr]

    @property
    def masks(self) -> bool:
        """Whether tokens are masked or pixels noised at the transmitter."""
        return self.mask > 0 or self.mask_noise > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Inverse of `to_dict`.

        Raises:
            InputError: an entry is unknown or missing.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(f"not the settings of a training run: {error}") from error


def uses_bf16(config: TrainConfig, device: torch.device) -> bool:
    """Whether the networks compute in bfloat16; the published way is float32 all through."""
    if config.precision != "auto" or config.profile == "published":
        return config.precision == "bf16" and config.profile == "ours"
    # Older GPUs emulate it, which is slower than float32.
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def continued(stored: TrainConfig, asked: Mapping[str, Any]) -> TrainConfig:
    """Settings of a run that is resumed: the stored ones, with what may change replaced.

    Args:
        stored: from the checkpoint.
        asked: what was given now, by the names of `TrainConfig`.

    Raises:
        InputError: something was asked that would make it another run; the message names it.
    """
    changed = []
    for entry in fields(TrainConfig):
        name = entry.name
        if name not in asked or name in FREE:
            continue
        old, new = getattr(stored, name), asked[name]
        if name in RAISABLE:
            if old is None or new < old:
                limit = "no limit" if old is None else f"{old:g}"
                changed.append(f"{name} ({limit}, asked {new:g}: it can be raised only)")
        elif _comparable(name, old) != _comparable(name, new):
            changed.append(f"{name} ({_shown(old)}, asked {_shown(new)})")
    if changed:
        raise InputError(
            "a run is resumed with its own settings; these differ: " + ", ".join(changed)
        )
    return replace(stored, **{name: asked[name] for name in (FREE | RAISABLE) & set(asked)})


def _comparable(name: str, value: Any) -> Any:
    if name in ("data", "val"):
        return [Path(path).resolve() for path in value]
    if name == "cbr":
        return [Fraction(text) for text in value]
    if name == "init":
        return value and str(value)
    if name == "overrides":
        return {key: list(v) if isinstance(v, tuple) else v for key, v in value.items()}
    return list(value) if isinstance(value, (tuple, list)) else value


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
