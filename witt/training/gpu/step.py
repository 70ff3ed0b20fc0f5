"""A step of training on the device: draws, both passes, clipping, Muon, AdamW and the average.

Nothing in it waits for a number, so it can be one CUDA graph, which is started at once; as plain
calls it is thousands of kernels that a processor starts more slowly than a GPU runs them. What
differs from step to step (the seed, SNRs and rates, learning rates) is written into its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from witt.codecs.feature_config import channels_for_cbr
from witt.codecs.witt import WITT
from witt.link.conditions import Link
from witt.training.config import TrainConfig
from witt.training.gpu.passes import FastWITT, Lines
from witt.training.gpu.pictures import Crops
from witt.training.gradient import Objective
from witt.training.objective import Conditions, Draws
from witt.training.schedule import Average
from witt.training.soap import turn

WARM_UP = 3  # steps before the capture, in which libraries choose their kernels
FIGURES = 20  # figures of the last steps
DECIBEL = -10 / math.log(10)  # of the mean of the logarithms


class Snapshot(NamedTuple):
    """A copy of all that steps change."""

    originals: list[Tensor]
    copies: list[Tensor]


class Captured(NamedTuple):
    """A graph, and where it leaves the images that were sent and received."""

    graph: torch.cuda.CUDAGraph
    image: Tensor
    received: Tensor


class Step:
    """One step; its figure joins `figures`, the last of which is the newest.

    The loss is the mean over the images of the root of the MSE. A step whose loss or gradient is
    not finite changes nothing but the optimisers' averages, and its figure is NaN.

    Args:
        config: of the run; its batch is a multiple of its channels.
        model: that learns.
        average: that follows it.
        optimizers: with learning rates on the device.
        crops: of the training pictures.
        dtype: of what goes from block to block.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: WITT,
        average: Average,
        optimizers: list[torch.optim.Optimizer],
        crops: Crops,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.config, self.model, self.average = config, model, average
        self.optimizers, self.crops, self.dtype = optimizers, crops, dtype
        self.device = crops.pixels.device
        self.on_gpu = self.device.type == "cuda"
        self.generator = torch.Generator(self.device)
        self.over = [Link.of(name).module() for name in config.channel]
        most = max(channels_for_cbr(c, model.config.stride) for c in config.cbr_values)
        self.symbols = model.tokens((config.crop, config.crop)) * most // 2
        self.snr_db = torch.zeros(config.batch, device=self.device)
        self.k = torch.full((config.batch,), most, device=self.device)
        self.factor, self.share = (torch.zeros((), device=self.device) for _ in range(2))
        self.peaks = [torch.tensor(group["peak"], device=self.device) for group in self._groups()]
        self.figures = torch.full((FIGURES,), math.nan, device=self.device)
        self.image = self.received = torch.zeros(0, device=self.device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.use(Lines())
        self._make_states()

    def _groups(self) -> list[dict[str, object]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def use(self, lines: Lines) -> None:
        """Make the passes of these."""
        self.objective = Objective(FastWITT(self.model, lines, self.dtype), self.over, "mse")

    def _make_states(self) -> None:
        """The optimisers' states, where there are none: a graph cannot make them."""
        new = [o for o in self.optimizers if not o.state]
        for p in self.model.parameters():
            p.grad = torch.zeros_like(p)
        rates = [group["lr"] for group in self._groups()]
        for rate in rates:
            rate.zero_()  # type: ignore[attr-defined]
        for optimizer in new:
            optimizer.step()
            for state in optimizer.state.values():
                for value in state.values():
                    value.zero_()
        self.model.zero_grad(set_to_none=True)

    def __call__(self, number: int, at: Conditions, factor: float, share: float) -> None:
        """Carry out a step, or start its graph.

        Args:
            number: of the step; with the run's seed it fixes all that is drawn here.
            at: SNR and rate of each image.
            factor: learning rates over their peaks.
            share: see `Average.move`.
        """
        self.generator.manual_seed(self.config.seed * 1_000_003 + number)
        for place, value in ((self.snr_db, at.snr_db), (self.k, at.k)):
            if self.on_gpu:  # a copy from other memory would wait for the GPU
                value = value.pin_memory()
            place.copy_(value, non_blocking=True)
        self.factor.fill_(factor)
        self.share.fill_(share)
        if self.graph is None:
            with self.products():
                self.run()
        else:
            self.graph.replay()
        turn(self.optimizers, number)

    def run(self) -> None:
        """A step, as plain calls."""
        config = self.config
        image = self.crops.draw(config.batch, config.crop, self.generator)
        terms, received = self.objective(image, self.draws(), 0)
        loss = (terms / 2).exp().mean()
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        with torch.no_grad():
            norm = torch.nn.utils.get_total_norm(gradients)
            usable = torch.isfinite(loss) & torch.isfinite(norm)
            for gradient in gradients:  # NaN times 0 is NaN
                gradient.nan_to_num_(0.0, 0.0, 0.0)
            scale = torch.where(usable, (config.clip / (norm + 1e-6)).clamp_max(1.0), 0.0)
            torch._foreach_mul_(gradients, scale)
            for group, peak in zip(self._groups(), self.peaks, strict=True):
                group["lr"].copy_(peak * self.factor * usable)  # type: ignore[attr-defined]
            for optimizer in self.optimizers:
                optimizer.step()
            self.average.move(self.model, self.share * usable)
            figure = torch.where(usable, DECIBEL * terms.mean(), math.nan)
            self.figures.copy_(torch.cat((self.figures[1:], figure[None])))
        self.image, self.received = image, received

    def draws(self) -> Draws:
        """Conditions as they were given; gains and noise fresh."""
        batch, n = self.config.batch, self.symbols
        fading = any(channel.fading for channel in self.over)
        h = torch.ones(batch, n if fading else 1, dtype=torch.complex64, device=self.device)
        noise = torch.empty(batch, n, dtype=torch.complex64, device=self.device)
        for i, channel in enumerate(self.over):
            mine = noise[i :: len(self.over)]
            gain, drawn = channel.draw(
                len(mine), n, dtype=noise.dtype, device=self.device, generator=self.generator
            )
            mine.copy_(drawn)
            if gain is not None:
                h[i :: len(self.over)].copy_(gain)
        return Draws(self.snr_db, self.k, h, noise)

    # The graph

    def warm_up(self) -> None:
        """A few steps beside, which change the weights: see `unchanged`."""
        self.graph = None
        self.snr_db.fill_(10.0)
        if not self.on_gpu:
            self.run()
            return
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside), self.products():
            for _ in range(WARM_UP):
                self.run()
        torch.cuda.current_stream().wait_stream(aside)
        torch.cuda.synchronize()

    def capture(self) -> Captured:
        """Make the graph; after `warm_up`."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with self.products(), torch.cuda.graph(graph):
            self.run()
        return Captured(graph, self.image, self.received)

    def start_graph(self, captured: Captured) -> None:
        """Take this graph from now on."""
        self.graph, self.image, self.received = captured

    @contextmanager
    def products(self) -> Iterator[None]:
        """While it is entered, float32 products beside a bfloat16 network are in TF32."""
        before = torch.get_float32_matmul_precision()
        if self.dtype == torch.bfloat16 and self.on_gpu:
            torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    # What steps change

    def keep(self) -> Snapshot:
        """Copy it, for `put_back`."""
        found = [p.data for p in self.model.parameters()]
        found += [self.average.state[name] for name in self.average.parameters]
        for optimizer in self.optimizers:
            found += [value for state in optimizer.state.values() for value in state.values()]
        found.append(self.figures)
        return Snapshot(found, [value.clone() for value in found])

    def put_back(self, kept: Snapshot) -> None:
        """As it was, in the same memory."""
        with torch.no_grad():
            for original, copy in zip(*kept, strict=True):
                original.copy_(copy)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Whatever steps do while it is entered leaves nothing."""
        kept = self.keep()
        try:
            yield
        finally:
            self.put_back(kept)

    def slow_down(self, factor: float) -> None:
        """Multiply the peaks of the learning rates, for good."""
        for group, peak in zip(self._groups(), self.peaks, strict=True):
            group["peak"] *= factor  # type: ignore[operator]
            peak.mul_(factor)
