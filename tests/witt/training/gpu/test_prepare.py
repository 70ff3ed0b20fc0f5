"""What does not work on a machine is done without."""

import time

import pytest

from witt.training.gpu import prepare as prepare_module
from witt.training.gpu.passes import Lines
from witt.training.gpu.prepare import limit, reason, settle


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
