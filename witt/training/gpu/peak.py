"""Operations of a step, and what share of a GPU's peak they are."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from witt.training.gpu.step import Step
from witt.training.objective import Draws

# Peak of dense bfloat16 products in TFLOP/s, by a part of the device's name; the first that fits.
PEAKS = {
    "B200": 2250.0,
    "GH200": 989.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
    "RTX 4090": 165.0,
    "RTX 3090": 71.0,
}


def peak_tflops(name: str) -> float | None:
    """Peak of a device, None where it is not known."""
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def flops_per_image(step: Step) -> float:
    """Operations of the passes of an image, forward and backward, before `prepare`.

    The counter does not see into the attention kernel. The optimisers' operations do not count.
    """
    few = len(step.over)
    step.generator.manual_seed(0)
    image = step.crops.draw(few, step.config.crop, step.generator)
    drawn = Draws(*(value[:few] for value in step.draws()))
    with FlopCounterMode(display=False) as counter:
        terms, _ = step.objective(image, drawn, 0)
        torch.autograd.grad(terms.sum(), list(step.model.parameters()), allow_unused=True)
    return counter.get_total_flops() / few
