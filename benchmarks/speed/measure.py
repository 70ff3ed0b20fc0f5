"""Timings in turn, peak memory in a process of its own, and the profiler's verdict."""

from __future__ import annotations

import copy
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import channels
import witt
from benchmarks.speed.plain import PlainWITT
from witt.codecs.presets import preset as preset_config
from witt.codecs.witt import WITTConfig
from witt.nn.swin import compile_blocks

SNR_DB = 10.0
TOLERANCE = 1e-4
LEAST = 3  # rounds, however long they take
WORK = ("inference", "training step")
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
Size = tuple[int, int]


class Timing(NamedTuple):
    """Seconds of one way to compute.

    seconds: of each repetition.
    warm_up_s: of the first call, which is not among them; compilation is in it.
    """

    seconds: list[float]
    warm_up_s: float

    @property
    def median(self) -> float:
        """Of the repetitions, s."""
        return statistics.median(self.seconds)


def interleaved(
    ways: dict[str, Callable[[], object]], repeats: int, budget_s: float = math.inf
) -> dict[str, Timing]:
    """Time each way in turn, so that whatever else the machine does meets all of them alike.

    Args:
        ways: what to call, by name; once to warm up.
        repeats: rounds.
        budget_s: no round after the third begins that would not end within this time, s.
    """
    warm_up = {name: _seconds(way) for name, way in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    spent = 0.0
    for turn in range(repeats):
        if turn >= LEAST and spent * (turn + 1) / turn > budget_s:
            break
        for name, way in ways.items():
            seconds[name].append(_seconds(way))
            spent += seconds[name][-1]
    return {name: Timing(seconds[name], warm_up[name]) for name in ways}


def _seconds(way: Callable[[], object]) -> float:
    started = time.perf_counter()
    way()
    return time.perf_counter() - started


class Pair(NamedTuple):
    """Ours and the plain network with the same weights, and what they are given."""

    ours: witt.WITT
    plain: PlainWITT
    image: Tensor
    noise: Tensor

    def send(self, model: nn.Module) -> Tensor:
        """The received picture of either."""
        if isinstance(model, PlainWITT):
            snr_db = self.image.new_full((len(self.image),), SNR_DB)
            received: Tensor = model(self.image, snr_db, self.noise)
            return received
        sent = model(self.image, channels.AWGN(), SNR_DB, noise=self.noise)
        return sent.image


def make_pair(config: WITTConfig, size: Size, batch: int = 1) -> Pair:
    """Random weights and random pictures of (height, width)."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = witt.WITT(config).eval()
    plain = PlainWITT(config).eval()
    plain.load_state_dict(ours.state_dict())
    image = torch.rand((batch, 3, *size), generator=generator)
    noise = channels.complex_normal((batch, ours.channel_uses(size)), generator=generator)
    return Pair(ours, plain, image, noise)


def compiled(model: witt.WITT) -> witt.WITT:
    """A copy whose Swin blocks are compiled when they are first called, as in `witt train`."""
    model = copy.deepcopy(model)
    compile_blocks(model)
    return model


def compare(
    config: WITTConfig,
    size: Size,
    train: bool,
    with_compile: bool,
    repeats: int,
    budget_s: float = math.inf,
    batch: int = 1,
) -> dict[str, Any]:
    """Times of the plain network and of ours, eager and compiled, as plain values.

    The plain network trains with detached ModNets, as the published code does.

    Raises:
        ValueError: the results differ by more than TOLERANCE, so there is nothing to compare.
    """
    torch.compiler.reset()
    pair = make_pair(config, size, batch)
    for end in (pair.plain.encoder, pair.plain.decoder):
        end.modnet.detached = True
    models: dict[str, nn.Module] = {"plain": pair.plain, "ours": pair.ours}
    if with_compile:
        models["ours compiled"] = compiled(pair.ours)
    received: dict[str, Tensor] = {}

    def way(name: str, work: Callable[[], Tensor]) -> None:
        received[name] = work()

    times = interleaved(
        {
            name: partial(way, name, _work(partial(pair.send, model), model, pair.image, train))
            for name, model in models.items()
        },
        repeats,
        budget_s,
    )
    difference = max((x - received["plain"]).abs().max().item() for x in received.values())
    if not difference < TOLERANCE:
        raise ValueError(f"{config.name} at {size}: results differ by {difference:.3g}")
    return {
        "preset": config.name,
        "size": size,
        "batch": batch,
        "work": WORK[train],
        "difference": difference,
        "ways": {
            name: {
                "seconds": timing.seconds,
                "median_s": timing.median,
                "warm_up_s": timing.warm_up_s,
                "times_plain": times["plain"].median / timing.median,
            }
            for name, timing in times.items()
        },
    }


def _work(
    send: Callable[[], Tensor], model: nn.Module, image: Tensor, train: bool
) -> Callable[[], Tensor]:
    """Inference, or forward, mean squared error, backward and a step of Adam."""
    if not train:

        def infer() -> Tensor:
            with torch.inference_mode():
                return send()

        return infer
    # Steps of no length: the weights, and with them the results, stay equal.
    adam = torch.optim.Adam(model.parameters(), lr=0.0)

    def step() -> Tensor:
        adam.zero_grad()
        received = send()
        (received - image).square().mean().backward()
        adam.step()
        return received.detach()

    return step


def peak_memory(preset: str, which: str, size: Size) -> dict[str, Any]:
    """Peak resident memory, bytes, of a process that sends one picture.

    Returns:
        ``start_bytes`` before the picture is sent, and ``peak_bytes``.
    """
    code = (
        f"from benchmarks.speed.measure import _report_peak as r; r({preset!r}, {which!r}, {size})"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    start, peak = map(int, done.stdout.split())
    return {
        "preset": preset,
        "network": which,
        "size": size,
        "start_bytes": start,
        "peak_bytes": peak,
    }


def _report_peak(preset: str, which: str, size: Size) -> None:
    pair = make_pair(preset_config(preset), size)
    model: nn.Module = pair.plain if which == "plain" else pair.ours
    start = _max_rss()
    with torch.inference_mode():
        pair.send(model)
    print(start, _max_rss())


def _max_rss() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # Linux's ru_maxrss starts from that of the process before its exec
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def top_operators(
    model: witt.WITT, size: Size, train: bool, most: int, batch: int = 1
) -> dict[str, Any]:
    """The operators that inference or a training step spends its time in, as plain values.

    Returns:
        ``operators``, the first `most` with their share of the time and their calls, and
        ``products``, the share of all matrix products.
    """
    image = torch.rand((batch, 3, *size), generator=torch.Generator().manual_seed(0))
    work = _work(lambda: model(image, channels.AWGN(), SNR_DB).image, model, image, train)
    work()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    events = [(e.self_cpu_time_total, e.key, e.count) for e in profile.key_averages()]
    total = sum(time for time, _, _ in events)
    return {
        "preset": model.config.name,
        "size": size,
        "work": WORK[train],
        "products": sum(time for time, key, _ in events if key in PRODUCTS) / total,
        "operators": [
            {"operator": key, "share": time / total, "calls": count}
            for time, key, count in sorted(events, reverse=True)[:most]
        ],
    }
