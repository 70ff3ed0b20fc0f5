"""What a recipe would cost on GPUs: computed from the operations and bytes of its steps.

python -m benchmarks.cost paper-kodak-awgn

Gradients of 1 and 2 images are computed here, and an update is made, and all their operations are
counted; times follow from the figures of a GPU and the shares of them that are assumed to be
reached.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from witt.commands.train import new_config, stage_options, train
from witt.nn import swin
from witt.pictures.sheets import TILE
from witt.training.config import TrainConfig
from witt.training.pictures import Pictures
from witt.training.recipe import read_recipe
from witt.training.run import Run
from witt.training.start import initial_model


class Gpu(NamedTuple):
    """Figures of a GPU and its links, as its maker gives them.

    flops: operations/s of bfloat16 matrix products, dense.
    memory: bytes/s.
    near: bytes/s, each way, to the GPUs of the machine.
    far: bytes/s, each way, to other machines.
    machine: GPUs of a machine.
    """

    name: str = "H100 SXM"
    flops: float = 989e12
    memory: float = 3.35e12
    near: float = 450e9
    far: float = 50e9
    machine: int = 8


class Reached(NamedTuple):
    """Shares of the figures that are assumed to be reached, and the time to start an operation."""

    flops: float = 0.4
    memory: float = 0.7
    links: float = 0.7
    launch_s: float = 5e-6


class Work(NamedTuple):
    """Operations of matrix products (two for each multiply-add), and bytes read and written."""

    flops: float
    moved: float


class StepCost(NamedTuple):
    """What is counted of a step.

    image: for each image of a batch.
    rest: for each step, whatever the batch: gathering the gradients, and the update.
    launches: operations of forward and backward pass, each of which the host has to start.
    gradient_bytes: that the processes exchange.
    """

    image: Work
    rest: Work
    launches: int
    gradient_bytes: int


def products_counter() -> FlopCounterMode:
    """Counts the operations of products, convolutions and attention, two for each multiply-add.

    PyTorch takes the gradient of the weights of a convolution in groups for that of one without,
    which counts a depthwise one of C channels C times.
    """
    mapping = {torch.ops.aten.convolution_backward: _convolution_backward}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def _convolution_backward(
    grad: Sequence[int],
    x: Sequence[int],
    weight: Sequence[int],
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    wanted: Sequence[bool],
    **_: Any,
) -> int:
    """As many as forward for the gradient of the picture, and again for that of the weights."""
    forward = 2 * math.prod(x if transposed else grad) * math.prod(weight[1:])
    return forward * (wanted[0] + wanted[1])


class _Bytes(TorchDispatchMode):
    """Adds up the sizes of what each operation reads and writes; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.operations = 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view and func is not torch.ops.aten._unsafe_view.default:
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
            self.operations += 1
            self.total += sum(t.numel() * t.element_size() for t in tensors)
        return out


@contextmanager
def strips_of_a_gpu() -> Iterator[None]:
    """Whole maps, so that the operations are those that a GPU has to start."""
    strip, swin.STRIP = swin.STRIP, swin.GPU_STRIP
    try:
        yield
    finally:
        swin.STRIP = strip


def gradient_flops(config: TrainConfig) -> float:
    """Operations of the forward and backward pass of a step, the update left aside.

    Counted with batches of 1 and 2 images on the CPU: what a further image adds is the same for
    each.
    """
    run, counts = _run_of(replace(config, batch=2)), []
    with strips_of_a_gpu():
        for batch in (1, 2):
            image = torch.rand(batch, 3, config.crop, config.crop)
            with products_counter() as products:
                run.gradient(image, 0)
            run.model.zero_grad(set_to_none=True)
            counts.append(products.get_total_flops())
    one, two = counts
    return float(one + (config.batch - 1) * (two - one))


def _run_of(config: TrainConfig) -> Any:
    """A run on the CPU that has no folder and no pictures."""
    once = replace(config, accumulate=1, device="cpu", compile=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = initial_model(once)
    return Run(once, Path(), model, Pictures([], np.zeros((1, TILE, TILE, 3), np.uint8)))


@strips_of_a_gpu()
def count_step(config: TrainConfig, crop: int | None = None) -> StepCost:
    """Carry out steps of a run's configuration on the CPU, and count what they do.

    Args:
        config: of the run.
        crop: side of the pictures that are computed, in the place of the run's: what they take is
            scaled to its area, which is exact where windows and strides divide both.
    """
    crop = crop or config.crop
    run = _run_of(replace(config, batch=2, crop=crop))
    model, gradient, gradients = run.model, run.gradient, []
    for batch in (1, 2):
        image = torch.rand(batch, 3, crop, crop)
        with products_counter() as products, _Bytes() as moved:
            seen = gradient(image, 0)
        gradients.append(Work(products.get_total_flops(), moved.total))
        size = sum(p.grad.numel() * 4 for p in model.parameters() if p.grad is not None)
        # The gradient is there: what is left of a step is the update. The second one counts, since
        # the first one makes the state of the optimisers.
        run.gradient = lambda *_, seen=seen: seen
        with products_counter() as products, _Bytes() as updating:
            run.train_step(image)
    one, two = gradients
    image_work = Work(two.flops - one.flops, two.moved - one.moved)
    rest = Work(
        one.flops - image_work.flops + products.get_total_flops(),
        one.moved - image_work.moved + updating.total,
    )
    area = (config.crop / crop) ** 2
    image_work = Work(area * image_work.flops, area * image_work.moved)
    return StepCost(image_work, rest, moved.operations, size)


def all_reduce_bytes(size: int, gpus: int) -> float:
    """That each GPU sends, and receives, to add up `size` bytes over a ring."""
    return 2 * (gpus - 1) / gpus * size


def step_seconds(cost: StepCost, batch: int, gpus: int, gpu: Gpu, reached: Reached) -> float:
    """Time of a step: products and memory one after the other, but no faster than launched.

    Args:
        cost: of a step.
        batch: images of all GPUs together.
        gpus: that share it.
        gpu, reached: what they can do.
    """
    each = batch / gpus
    flops = each * cost.image.flops + cost.rest.flops
    moved = each * cost.image.moved + cost.rest.moved
    computing = flops / (gpu.flops * reached.flops) + moved / (gpu.memory * reached.memory)
    link = gpu.near if gpus <= gpu.machine else gpu.far
    exchanged = all_reduce_bytes(cost.gradient_bytes, gpus) / (link * reached.links)
    return max(computing, cost.launches * reached.launch_s) + exchanged


def shared_out(batch: int, steps: int, gpus: int) -> tuple[int, int]:
    """Batch and steps on so many GPUs: an image each at least, and the same images in all."""
    larger = gpus * math.ceil(batch / gpus)
    return larger, math.ceil(steps * batch / larger)


def table(
    costs: Sequence[tuple[TrainConfig, StepCost]], gpus: Sequence[int], gpu: Gpu, reached: Reached
) -> str:
    """Markdown: a row for each number of GPUs, and the assumptions."""
    lines = [
        "| GPUs | batch | steps | a step | all-reduce, each GPU | the recipe | GPU-hours |",
        "|---|---|---|---|---|---|---|",
    ]
    for count in gpus:
        seconds, steps, batch, shown = 0.0, 0, 0, []
        for config, cost in costs:
            batch, here = shared_out(config.batch, config.steps or 0, count)
            step = step_seconds(cost, batch, count, gpu, reached)
            seconds, steps = seconds + here * step, steps + here
            shown.append(f"{1e3 * step:.1f}")
        exchanged = all_reduce_bytes(costs[-1][1].gradient_bytes, count)
        hours = seconds / 3600
        lines.append(
            f"| {count} | {batch} | {steps:,} | {' / '.join(shown)} ms | "
            f"{exchanged / 1e6:.0f} MB | {hours:.1f} h | {count * hours:.0f} |"
        )
    return "\n".join(
        (
            *lines,
            "",
            f"Computed, not measured, for {gpu.name}: {gpu.flops / 1e12:.0f} TFLOP/s of which "
            f"{100 * reached.flops:.0f} % are reached, {gpu.memory / 1e12:g} TB/s of memory "
            f"({100 * reached.memory:.0f} %), {gpu.near / 1e9:.0f} GB/s each way between "
            f"{gpu.machine} GPUs of a machine and {gpu.far / 1e9:.0f} GB/s beyond "
            f"({100 * reached.links:.0f} %); nothing overlaps, reading pictures and validation "
            "are not in it. No step is shorter than its launches, "
            f"{1e6 * reached.launch_s:g} µs each.",
        )
    )


@click.command()
@click.argument("recipe")
@click.option("--gpus", default="1,8,64", show_default=True, help="Numbers of GPUs.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="bf16", show_default=True)
@click.option("--crop", type=int, help="Side of the pictures that are counted; scaled by area.")
def command(recipe: str, gpus: str, precision: str, crop: int | None) -> None:
    """Count a recipe's steps, and compute what it would cost."""
    try:
        numbers = [int(number) for number in gpus.split(",")]
        found = read_recipe(recipe)
    except ValueError as error:  # InputError too
        raise click.ClickException(str(error)) from error
    given = train.make_context("train", ["--data", "none", "--precision", precision]).params
    costs = []
    for stage in found.stages:
        config = new_config(stage_options(found, stage, given, {"data", "precision"}))
        cost = count_step(config, crop)
        click.echo(
            f"{stage.name}, counted: {cost.image.flops / 1e9:.1f} GFLOP and "
            f"{cost.image.moved / 1e9:.2f} GB an image, {cost.rest.moved / 1e9:.2f} GB for the "
            f"rest, {cost.launches:,} launches, {cost.gradient_bytes / 1e6:.1f} MB of gradients"
        )
        costs.append((config, cost))
    click.echo(table(costs, numbers, Gpu(), Reached()))


if __name__ == "__main__":
    command()
