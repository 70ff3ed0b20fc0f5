"""A training run whose pictures, draws, passes and optimisers are on one GPU."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from witt.codecs.feature_config import channels_for_cbr
from witt.codecs.witt import WITT
from witt.contract import Codec
from witt.link.conditions import Link
from witt.training.config import TrainConfig, uses_bf16
from witt.training.gpu.passes import whole_windows
from witt.training.gpu.peak import flops_per_image, peak_tflops
from witt.training.gpu.pictures import Crops, loaded
from witt.training.gpu.prepare import prepare
from witt.training.gpu.step import FIGURES, Snapshot, Step
from witt.training.objective import draw_conditions
from witt.training.optimizer import optimizers
from witt.training.pictures import Pictures
from witt.training.processes import Processes
from witt.training.progress import Bar
from witt.training.run import Run
from witt.training.schedule import learning_rate_factor

ON_CPU = "WITT_FAST_ON_CPU"  # in the environment: the same run on a CPU, for tests
RESTART_S, RESTART_STEPS = 25.0, 200  # after which a new network must have learned something
LEARNED_DB = 1.0  # above pictures of one colour each
SLOWER = 0.5
COPIES, SHARE = 1.74, 0.4  # bytes with the smaller copies, and what they may take of the memory


def takes(config: TrainConfig, model: Codec, processes: Processes, pictures: Pictures) -> bool:
    """Whether a run can be carried out like this; others go the way of all devices."""
    return (
        (processes.device.type == "cuda" or ON_CPU in os.environ)
        and COPIES * pictures.nbytes <= SHARE * _memory(processes.device)
        and processes.count == 1
        and config.accumulate == 1
        and not config.compile
        and not config.masks
        and config.profile == "ours"
        and config.loss == "mse"
        and type(model) is WITT  # whose passes are written out here, with Swin blocks
        and model.config.block == "swin"
        and config.batch % len(config.channel) == 0
        and not any(Link.of(name).module().draws_state for name in config.channel)
        and whole_windows(model.config, config.crop)
    )


def _memory(device: torch.device) -> float:
    """Bytes of the device's own."""
    if device.type != "cuda":
        return math.inf
    return torch.cuda.get_device_properties(device).total_memory


class DeviceRun(Run):
    """As `Run`; it takes several steps before it looks at their figures.

    A new network that has learned nothing after 25 s and 200 steps starts again, at half the
    learning rates.
    """

    model: WITT
    fast: Step
    start: Snapshot | None = None  # of a new network, until it has learned something

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        config, device = self.config, self.processes.device
        return optimizers(self.model, config.lr, config.muon_lr, device, config.soap_lr)

    def _images(self) -> AbstractContextManager[Iterator[Tensor]]:
        return nullcontext(iter(()))  # the step draws its own

    def _prepare(self, bar: Bar) -> None:
        config, device, began = self.config, self.processes.device, time.monotonic()
        self.several = FIGURES if device.type == "cuda" else 1
        dtype = torch.bfloat16 if uses_bf16(config, device) else torch.float32
        crops = Crops(loaded(self.train, config.crop), device)
        self.fast = Step(config, self.model, self.average, self.optimizers, crops, dtype)
        self.flops = flops_per_image(self.fast)
        self.peak = peak_tflops(torch.cuda.get_device_name()) if device.type == "cuda" else None
        read = time.monotonic()
        prepare(self.fast, bar.say)
        bar.say(
            f"{len(crops.share)} pictures and smaller copies on {device} in {read - began:.0f} s; "
            f"the step was made in {time.monotonic() - read:.0f} s"
        )
        self.since = time.monotonic()
        self.origin = 0  # step that the learning rates rise from
        if self.step == 0 and config.init is None:
            self.start = self.fast.keep()

    def speed(self, images_per_s: float) -> dict[str, float]:
        figures = super().speed(images_per_s)
        tflops = images_per_s * self.flops / 1e12
        figures["tflops"] = float(f"{tflops:.4g}")
        if self.peak is not None:
            figures["peak_share"] = round(tflops / self.peak, 4)
        return figures

    def _advance(self, stream: Iterator[Tensor]) -> tuple[float, str | None]:
        config, first = self.config, self.step
        rates = [channels_for_cbr(c, self.model.config.stride) for c in config.cbr_values]
        last = first + self.several
        if config.steps is not None:
            last = min(last, config.steps)
        while self.step < last:
            source = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
            at = draw_conditions(config.batch, *config.snr_at(self.progress), rates, source)
            since = self.step - self.origin
            factor = learning_rate_factor(since, self.progress, config.warmup, config.flat)
            self.fast(self.step, at, factor, self.average.share(since + 1))
            self.step += 1
        self.pixels += (last - first) * config.batch * config.crop**2
        found = self.fast.figures[first - last :].tolist()
        messages = [self._look(n, db, factor) for n, db in enumerate(found, start=first + 1)]
        messages.append(self._restart(found))
        finite = [db for db in found if math.isfinite(db)]
        told = [message for message in messages if message is not None]
        return sum(finite) / len(finite) if finite else math.nan, "\n".join(told) or None

    def _look(self, number: int, figure: float, factor: float) -> str | None:
        """At a step's figure; what the user should be told, if anything."""
        if not math.isfinite(figure):
            return self.finite.bad(number, self.fast.snr_db, "loss or gradient")
        self.finite.good()
        if number - self.origin <= self.config.warmup:
            return None
        self.stall.look(number, self.fast.received, self.fast.image)
        return self.stall.add(min(self.best_db, figure), number, self.progress, factor)

    def _restart(self, figures: list[float]) -> str | None:
        """Once, after that time: from the start again, where nothing was learned."""
        if self.start is None or self.step < RESTART_STEPS:
            return None
        if time.monotonic() - self.since < RESTART_S:
            return None
        start, self.start = self.start, None
        variances = self.fast.image.var(dim=(2, 3), unbiased=False).mean(1)
        one_colour = float(-10 * torch.log10(variances + 1e-6).mean())
        figure = sum(figures) / len(figures)
        if figure >= one_colour + LEARNED_DB:
            return None
        self.fast.put_back(start)
        self.fast.slow_down(SLOWER)
        self.origin = self.step
        return (
            f"nothing learned in {self.step} steps ({figure:.1f} dB): from the start again, at "
            "half the learning rates"
        )
