"""What is told about a run that goes wrong, and when."""

import pytest
import torch

from witt.errors import InputError
from witt.training.watch import FiniteWatch, StallWatch

SNR = torch.tensor([3.0, -2.0])


def test_steps_that_are_not_finite() -> None:
    watch = FiniteWatch(most=3)
    first = watch.bad(7, SNR, "loss")
    assert first is not None
    assert "the loss of step 7 (SNR -2.0 to 3.0 dB) is not finite" in first
    assert watch.bad(8, SNR, "loss") is None  # said once
    watch.good()
    assert watch.bad(10, SNR, "gradient") is None
    assert watch.bad(11, SNR, "gradient") is None
    with pytest.raises(InputError, match=r"gradient .* 3 steps in a row, up to step 12 .*--lr"):
        watch.bad(12, SNR, "gradient")
    assert watch.total == 5


def run(watch: StallWatch, values: list[float], lr_factor: float = 1.0) -> list[int]:
    """The steps at which something was told."""
    return [
        step
        for step, value in enumerate(values, start=1)
        if watch.add(value, step, step / 10_000, lr_factor) is not None
    ]


def test_no_rise_is_told_once_a_window() -> None:
    assert run(StallWatch(steps=20, share=0), [20.0] * 60) == [20, 40, 60]
    assert run(StallWatch(steps=20, share=0), [20 - 0.1 * i for i in range(20)]) == [20]


def test_a_rise_is_not_told() -> None:
    """0.05 dB between the means of the halves, which lie 10 steps apart."""
    assert run(StallWatch(steps=20, share=0), [20 + 0.0051 * i for i in range(60)]) == []
    assert run(StallWatch(steps=20, share=0), [20 + 0.0049 * i for i in range(60)]) == [20, 40, 60]


def test_a_low_learning_rate_is_meant_to_rest() -> None:
    assert run(StallWatch(steps=20, share=0), [20.0] * 60, lr_factor=0.1) == []


def test_windows_grow_with_the_run() -> None:
    """A tenth of 10,000 steps is more than 600."""
    assert run(StallWatch(), [20.0] * 2000) == [1000, 2000]


def test_constant_pictures_are_named() -> None:
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    grey = torch.full_like(image, 0.5) + 0.001 * image
    for received, said in ((grey, True), (0.5 + 0.3 * (image - 0.5), False)):
        watch = StallWatch(steps=20, share=0, every=5)
        message = None
        for step in range(1, 21):
            watch.look(step, received, image)
            message = watch.add(20.0, step, 0.001, 1.0)
        assert message is not None
        assert ("constant pictures" in message) is said


def test_flat_originals_say_nothing() -> None:
    """A constant picture of a constant one is right."""
    image = torch.full((2, 3, 16, 16), 0.5)
    watch = StallWatch(steps=2, share=0, every=1)
    messages = []
    for step in (1, 2):
        watch.look(step, image, image)
        messages.append(watch.add(20.0, step, 0.001, 1.0))
    assert messages[1] is not None
    assert "constant" not in messages[1]
