"""Timings in turn, peak memory in a process of its own, and the profiler's verdict."""

from __future__ import annotations

import copy
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import channels
import witt
from benchmarks.speed.plain import PlainWITT
from witt.config import ModelConfig

SNR_DB = 10.0
TOLERANCE = 1e-4
Size = tuple[int, int]


class Timing(NamedTuple):
    """Seconds of one way to compute.

    seconds: of each repetition.
    warm_up_s: of the first calls, which are not among them; compilation is in it.
    """

    seconds: list[float]
    warm_up_s: float

    @property
    def median(self) -> float:
        """Of the repetitions, s."""
        return statistics.median(self.seconds)


def interleaved(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, Timing]:
    """Time each way in turn, so that whatever else the machine does meets all of them alike."""
    warm_up = {}
    for name, way in ways.items():
        warm_up[name] = _seconds(way) + _seconds(way)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            seconds[name].append(_seconds(way))
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
            received: Tensor = model(self.image, self.image.new_full((1,), SNR_DB), self.noise)
            return received
        sent = model(self.image, channels.AWGN(), SNR_DB, noise=self.noise)
        return sent.image


def make_pair(config: ModelConfig, size: Size) -> Pair:
    """Random weights and a random picture of (height, width)."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = witt.WITT(config).eval()
    plain = PlainWITT(config).eval()
    plain.load_state_dict(ours.state_dict())
    image = torch.rand((1, 3, *size), generator=generator)
    noise = channels.complex_normal((1, ours.channel_uses(size)), generator=generator)
    return Pair(ours, plain, image, noise)


def compiled(model: witt.WITT) -> witt.WITT:
    """A copy whose ends are compiled when they are first called; the channel stays eager."""
    model = copy.deepcopy(model)
    model.encoder.compile()
    model.decoder.compile()
    return model


def compare(config: ModelConfig, size: Size, train: bool, with_compile: bool, repeats: int) -> Any:
    """Times of the plain network and of ours, eager and compiled, as plain values.

    Raises:
        ValueError: the results differ by more than TOLERANCE, so there is nothing to compare.
    """
    torch.compiler.reset()
    pair = make_pair(config, size)
    models: dict[str, nn.Module] = {"plain": pair.plain, "ours": pair.ours}
    if with_compile:
        models["ours compiled"] = compiled(pair.ours)
    ways = {name: _step(pair, model, train) for name, model in models.items()}
    received, first = {}, {}  # to compile is part of the first call
    with torch.no_grad():
        for name, model in models.items():
            started = time.perf_counter()
            received[name] = pair.send(model)
            first[name] = time.perf_counter() - started
    difference = max((x - received["plain"]).abs().max().item() for x in received.values())
    if not difference < TOLERANCE:
        raise ValueError(f"{config.name} at {size}: results differ by {difference:.3g}")
    times = interleaved(ways, repeats)
    return {
        "preset": config.name,
        "size": size,
        "work": "training step" if train else "inference",
        "difference": difference,
        "ways": {
            name: {
                "seconds": timing.seconds,
                "median_s": timing.median,
                "warm_up_s": first[name] + timing.warm_up_s,
                "times_plain": times["plain"].median / timing.median,
            }
            for name, timing in times.items()
        },
    }


def _step(pair: Pair, model: nn.Module, train: bool) -> Callable[[], object]:
    """Inference, or forward, mean squared error, backward and a step of Adam."""
    if not train:

        def infer() -> object:
            with torch.inference_mode():
                return pair.send(model)

        return infer
    # Steps of no length: the weights, and with them the results, stay equal.
    adam = torch.optim.Adam(model.parameters(), lr=0.0)

    def step() -> None:
        adam.zero_grad()
        (pair.send(model) - pair.image).square().mean().backward()
        adam.step()

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
    pair = make_pair(witt.PRESETS[preset], size)
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


def top_operators(model: witt.WITT, size: Size, most: int) -> list[dict[str, Any]]:
    """The operators that inference spends its time in, with their share of it."""
    image = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        model(image, channels.AWGN(), SNR_DB)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            model(image, channels.AWGN(), SNR_DB)
    events = [(e.self_cpu_time_total, e.key, e.count) for e in profile.key_averages()]
    total = sum(time for time, _, _ in events)
    return [
        {"operator": key, "share": time / total, "calls": count}
        for time, key, count in sorted(events, reverse=True)[:most]
    ]
