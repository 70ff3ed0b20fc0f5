"""What does not work on a machine is done without."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from witt.training.config import TrainConfig
from witt.training.gpu import passes as passes_module
from witt.training.gpu import prepare as prepare_module
from witt.training.gpu.mlp import mlp
from witt.training.gpu.passes import FastWITT, Lines
from witt.training.gpu.pictures import Crops
from witt.training.gpu.prepare import limit, prepare, reason, settle
from witt.training.gpu.step import WARM_UP, Step
from witt.training.objective import Conditions
from witt.training.optimizer import optimizers
from witt.training.schedule import Average
from witt.training.start import initial_model


class Pretended:
    """A step whose passes work with the last lines only."""

    def __init__(self, good: Lines) -> None:
        self.good, self.lines = good, Lines()

    def use(self, lines: Lines) -> None:
        self.lines = lines

    def warm_up(self) -> None:
        if self.lines is not self.good:
            raise RuntimeError("no compiler\nat all")


def test_the_first_lines_that_work_are_used() -> None:
    choices, said = [Lines(), Lines(), Lines()], []
    step = Pretended(choices[1])
    settle(step, choices, said.append)  # type: ignore[arg-type]
    assert step.lines is choices[1]
    assert said == ["fast passes, choice 1 of 3: RuntimeError: no compiler; the next one"]
    with pytest.raises(RuntimeError, match="no compiler"):
        settle(step, choices[2:], said.append)  # type: ignore[arg-type]


def test_compiling_for_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "COMPILE_S", 0.1)
    choices, said = [Lines(), Lines()], []
    step = Pretended(choices[1])

    def slow() -> None:
        if step.lines is choices[0]:
            time.sleep(5)

    step.warm_up = slow  # type: ignore[method-assign]
    began = time.monotonic()
    settle(step, choices, said.append)  # type: ignore[arg-type]
    assert time.monotonic() - began < 4
    assert step.lines is choices[1]
    assert "longer than 0.1 s" in said[0]


def test_a_limit_ends_with_its_block() -> None:
    with limit(0.05):
        pass
    time.sleep(0.1)


def test_reasons_are_one_line() -> None:
    assert reason(ValueError("first\nsecond")) == "ValueError: first"
    assert reason(TimeoutError()) == "TimeoutError"


class PretendedGraph:
    """Runs what was captured in it again, as plain calls."""

    broken = False

    def register_generator_state(self, generator: torch.Generator) -> None:
        if self.broken:
            raise RuntimeError("no graph")

    def replay(self) -> None:
        self.captured()

    def captured(self) -> None:
        raise NotImplementedError


@pytest.fixture
def make(
    settings: Callable[..., TrainConfig],
    picture: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[bool], Step]:
    """Makes a step on the CPU, or one that takes the CPU for a GPU."""
    device = torch.device("cpu")
    aside = SimpleNamespace(wait_stream=lambda other: None)
    for name, pretended in (
        ("Stream", lambda: aside),
        ("current_stream", lambda: aside),
        ("stream", lambda stream: nullcontext()),
        ("synchronize", lambda: None),
        ("CUDAGraph", PretendedGraph),
        ("graph", lambda graph: nullcontext()),
    ):
        monkeypatch.setattr(torch.cuda, name, pretended)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(Lines, "compiled", lambda lines: lines._replace())

    def step(on_gpu: bool, dims: Sequence[int] = (16, 32)) -> Step:
        sizes = {"dims": list(dims), "depths": [1, 1], "heads": [1, 2]}
        config = settings(preset="witt_cifar", overrides=sizes, cbr=("1/3",), crop=32, batch=4)
        model = initial_model(config)
        steppers = optimizers(model, config.lr, config.muon_lr, device)
        made = Step(config, model, Average(model, 0.9), steppers, Crops([picture(0)], device))
        made.on_gpu = on_gpu
        monkeypatch.setattr(PretendedGraph, "captured", lambda graph: made.run())
        return made

    return step


AT = Conditions(torch.full((4,), 10.0), torch.full((4,), 32))


@pytest.mark.parametrize("broken", [False, True], ids=["graph", "no graph"])
def test_what_is_prepared_takes_the_same_steps(
    make: Callable[[bool], Step], monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """The kernel does not work on a CPU, which is told; a missing graph too."""
    monkeypatch.setattr(PretendedGraph, "broken", broken)
    plain, said, runs = make(False), [], []
    original = Step.run
    prepared = make(True)
    monkeypatch.setattr(Step, "run", lambda step: (runs.append(step), original(step))[1])
    prepare(prepared, said.append)
    assert len(runs) == WARM_UP + (0 if broken else 1)
    if prepare_module.has_triton():
        assert "the attention kernel does not work here" in said.pop(0)
    assert [line.startswith("no CUDA graph (RuntimeError: no graph)") for line in said] == (
        [True] if broken else []
    )
    assert (prepared.graph is None) is broken
    assert isinstance(prepared.objective.model, FastWITT)
    for number in range(2):
        for step in (prepared, plain):
            step(number, AT, 1.0, 0.5)
    assert torch.equal(prepared.figures[-2:], plain.figures[-2:])
    for p, q in zip(prepared.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("times", [(2.0, 1.0), (1.0, 2.0), (1.0, None)])
def test_the_faster_graph_is_taken(
    make: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, times: tuple[float, float | None]
) -> None:
    """With the MLP in one kernel or without; without where that does not work."""

    def measured(graph: Any) -> float:
        value = left.pop(0)
        if value is None:
            raise RuntimeError("out of resources")
        return value

    left = list(times)
    monkeypatch.setattr(prepare_module, "_seconds", measured)
    monkeypatch.setattr(prepare_module, "has_triton", lambda: True)
    monkeypatch.setattr(prepare_module, "suits_kernel", lambda *_: False)
    monkeypatch.setattr(prepare_module, "mlp_error", lambda *_: 0.0)
    monkeypatch.setattr(passes_module, "mlp_kernel", mlp)
    step, said = make(True, dims=[16, 64]), []
    prepare(step, said.append)
    fast = cast(FastWITT, step.objective.model)
    assert fast.encoder.lines.mlp_kernel is (times == (2.0, 1.0))
    assert len(said) == 1
    assert ("does not work here" in said[0]) is (times[1] is None)
    assert step.graph is not None
    step(0, AT, 1.0, 0.5)
    assert step.received.shape == (4, 3, 32, 32)


def test_a_kernel_that_is_wrong_is_not_used(
    make: Callable[[bool], Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, told in ((0.5, "off by 50.0%"), (float("nan"), "off by nan%")):
        asked: list[Any] = []

        def pretended(*size: Any, error: float = error, asked: list[Any] = asked) -> float:
            asked.append(size[:2])
            return error

        monkeypatch.setattr(prepare_module, "kernel_error", pretended)
        monkeypatch.setattr(prepare_module, "has_triton", lambda: True)
        step, said = make(True), []
        prepare(step, said.append)
        assert asked == [(1, 16), (2, 16)]
        assert told in said[0]
