"""Counts against closed forms, and the times that follow from them."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import cost
from benchmarks.cost import Gpu, Reached, StepCost, Work
from witt.commands.info import cost as forward_cost
from witt.training.config import TrainConfig
from witt.training.start import initial_model

GPU = Gpu("a GPU", flops=100.0, memory=10.0, near=4.0, far=1.0, machine=8)
ALL = Reached(flops=1.0, memory=1.0, links=1.0, launch_s=0.0)


def test_bytes_of_an_operation() -> None:
    """A product reads two matrices and writes one; a view moves nothing."""
    a, b = torch.rand(8, 16), torch.rand(16, 4)
    with cost._Bytes() as moved:
        (a @ b).T.reshape(2, 16).view(4, 8)
    copied = 2 * 8 * 4  # reshape of a transposed matrix
    assert moved.total == 4 * (8 * 16 + 16 * 4 + 8 * 4 + copied)
    assert moved.operations == 2


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 4, 3, stride=2, padding=1),
        nn.Conv2d(6, 4, (1, 3), dilation=2),
        nn.ConvTranspose2d(6, 4, 3, stride=2),
    ],
)
def test_convolutions_are_counted_as_pytorch_does(layer: nn.Module) -> None:
    counts = []
    for counter in (cost.products_counter(), FlopCounterMode(display=False)):
        x = torch.rand(2, 6, 9, 9, requires_grad=True)
        with counter:
            layer(x).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1]


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_convolutions_in_groups_by_hand(groups: int) -> None:
    """Each of 6 outputs at 9·9 places of 2 pictures takes 3·3·6/groups multiply-adds."""
    layer = nn.Conv2d(6, 6, 3, padding=1, groups=groups)
    x = torch.rand(2, 6, 9, 9, requires_grad=True)
    with cost.products_counter() as counter:
        layer(x).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * (2 * 9 * 9 * 6) * (3 * 3 * 6 // groups)


@pytest.fixture
def config() -> TrainConfig:
    sizes = {"dims": (8, 12), "depths": (1, 1), "heads": (1, 2), "modulation": False}
    return TrainConfig(
        "witt_cifar", ("none",), cbr=("1/3",), steps=9, crop=16, overrides=sizes, precision="fp32"
    )


def test_a_step_is_three_forward_passes(config: TrainConfig) -> None:
    """But for the gradient of the picture, which is not needed; and Adam moves what it must."""
    counted = cost.count_step(config)
    model = initial_model(config)
    sizes = model.config
    used = sum(p.numel() for name, p in model.named_parameters() if "modnet" not in name)
    forward = forward_cost(model).flops_per_pixel * config.crop**2
    first = 2 * 3 * 2**2 * sizes.dims[0] * (config.crop // 2) ** 2
    assert counted.image.flops == pytest.approx(3 * forward - first, rel=1e-3)
    assert counted.gradient_bytes == 4 * used
    # Adam reads the gradient and reads and writes weight and two moments, the average two more.
    assert counted.rest.moved > (7 + 3) * counted.gradient_bytes
    assert counted.launches > 100
    smaller = cost.count_step(config, crop=8)
    assert smaller.image.flops == pytest.approx(counted.image.flops)
    assert smaller.image.moved == pytest.approx(counted.image.moved, rel=0.02)


def test_a_step_of_many_gpus() -> None:
    """By hand: 4 images of 50 operations and 5 bytes, 10 bytes for the rest, 8 to exchange."""
    step = StepCost(Work(50, 5), Work(0, 10), 7, 8)
    assert cost.step_seconds(step, 4, 1, GPU, ALL) == pytest.approx(2 + (20 + 10) / 10)
    assert cost.step_seconds(step, 4, 4, GPU, ALL) == pytest.approx(0.5 + 1.5 + 12 / 4)
    assert cost.step_seconds(step, 16, 16, GPU, ALL) == pytest.approx(0.5 + 1.5 + 15)
    slow = ALL._replace(launch_s=1.0)
    assert cost.step_seconds(step, 4, 4, GPU, slow) == pytest.approx(7 + 3)


def test_a_ring_sends_what_all_need() -> None:
    """Each of n sends n − 1 parts of a share, twice: once to add up, once to hand round."""
    assert cost.all_reduce_bytes(800, 1) == 0
    assert cost.all_reduce_bytes(800, 8) == 2 * 7 * 100


def test_an_image_at_least_for_each_gpu() -> None:
    assert cost.shared_out(16, 1000, 8) == (16, 1000)
    assert cost.shared_out(16, 1000, 64) == (64, 250)
    assert cost.shared_out(20, 1000, 8) == (24, 834)


def test_the_table_says_what_it_assumes(config: TrainConfig) -> None:
    step = StepCost(Work(50, 5), Work(0, 10), 0, nn.Linear(1, 1).weight.nbytes)
    lines = cost.table([(config, step)], [1, 16], GPU, ALL).splitlines()
    assert lines[2].split(" | ")[:3] == ["| 1", "8", "9"]
    assert lines[3].split(" | ")[:3] == ["| 16", "16", "5"]
    assert "Computed, not measured, for a GPU" in lines[-1]
    assert "100 %" in lines[-1]


def test_the_command_names_what_is_wrong() -> None:
    from click.testing import CliRunner

    for args, named in ((["nothing"], "no recipe 'nothing'"), (["x", "--gpus", "a"], "'a'")):
        done = CliRunner().invoke(cost.command, args)
        assert done.exit_code == 1
        assert named in done.output
    assert not Path("nothing").exists()
