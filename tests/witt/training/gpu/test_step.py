"""A step on the device does what the usual lines do, and nothing where it is not finite."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from witt.training import soap
from witt.training.config import TrainConfig
from witt.training.gpu.passes import FastWITT
from witt.training.gpu.peak import flops_per_image, peak_tflops
from witt.training.gpu.pictures import Crops
from witt.training.gpu.step import Step
from witt.training.objective import Conditions, send
from witt.training.optimizer import optimizers
from witt.training.schedule import Average
from witt.training.start import initial_model

SIZES = {"dims": [16, 32], "depths": [1, 2], "heads": [1, 2], "sends_scale": True}
CPU = torch.device("cpu")


@pytest.fixture
def make(
    settings: Callable[..., TrainConfig], picture: Callable[..., np.ndarray]
) -> Callable[..., Step]:
    """Makes a step of a tiny network on the CPU."""

    def step(**changes: Any) -> Step:
        values = {"preset": "witt_cifar", "overrides": SIZES, "cbr": ("1/3",), "crop": 16}
        config = settings(**{**values, "batch": 4, "channel": ("awgn", "rayleigh"), **changes})
        model = initial_model(config)
        steppers = optimizers(model, config.lr, config.muon_lr, CPU, config.soap_lr)
        crops = Crops([picture(0), picture(1)], CPU)
        return Step(config, model, Average(model, config.ema), steppers, crops)

    return step


AT = Conditions(torch.tensor([1.0, 5.0, 10.0, 20.0]), torch.full((4,), 32))


@pytest.mark.parametrize("soap_lr", [0.0, 3e-3])
def test_it_is_what_the_usual_lines_do(
    make: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, soap_lr: float
) -> None:
    """Loss, clipping, both optimisers with numbers for learning rates, and the average."""
    # In axes without any gradient SOAP enlarges rounding errors, which differ.
    monkeypatch.setattr(soap, "LONGEST", 0)
    step = make(clip=0.05, soap_lr=soap_lr)
    config = step.config
    model = initial_model(config)
    usual = optimizers(model, config.lr, config.muon_lr, soap_lr=soap_lr)
    average = Average(model, config.ema)
    figures = []
    for number in range(3):
        step(number, AT, 0.5, average.share(number + 1))
        step.generator.manual_seed(config.seed * 1_000_003 + number)
        image = step.crops.draw(4, 16, step.generator)
        drawn = step.draws()
        out = send(model, image, AT, step.over, h=drawn.h, noise=drawn.noise)
        mse = (out - image).square().mean((1, 2, 3))
        model.zero_grad()
        mse.sqrt().mean().backward()
        assert float(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)) > 0.05
        for optimizer in usual:
            for group in optimizer.param_groups:
                group["lr"] = 0.5 * group["peak"]
            optimizer.step()
        average.update(model, number + 1)
        figures.append(float(-10 * torch.log10(mse.detach()).mean()))
    assert step.figures[-3:].tolist() == pytest.approx(figures, abs=1e-2)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(step.model.state_dict()[name], value, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(step.average.state[name], average.state[name], atol=1e-4, rtol=0)
    before = initial_model(config).state_dict()["encoder.head.weight"]
    assert float((before - model.encoder.head.weight.detach()).abs().max()) > 1e-3


def test_axes_are_made_after_the_first_step(make: Callable[..., Step]) -> None:
    """Outside of what may be a graph; until then the matrices stay."""
    step = make(soap_lr=3e-3)
    matrix = step.optimizers[0].param_groups[0]["params"][0]
    before = matrix.detach().clone()
    step(0, AT, 1.0, 0.1)
    assert torch.equal(matrix.detach(), before)
    axes = step.optimizers[0].state[matrix]["left_axes"]
    torch.testing.assert_close(
        axes.mT @ axes, torch.eye(axes.shape[1]).expand_as(axes), rtol=0, atol=1e-4
    )
    step(1, AT, 1.0, 0.1)
    assert not torch.equal(matrix.detach(), before)


def test_a_number_fixes_what_is_drawn(make: Callable[..., Step]) -> None:
    figures = []
    for number in (7, 7, 8):
        step = make()
        step(number, AT, 1.0, 1.0)
        figures.append(float(step.figures[-1]))
    assert figures[0] == figures[1] != figures[2]


def test_images_cross_their_channels_in_turn(make: Callable[..., Step]) -> None:
    step = make(batch=6, channel=("awgn", "awgn", "rayleigh"), crop=32)
    step.generator.manual_seed(0)
    power = step.draws().h.abs().square()
    for image in (0, 1, 3, 4):
        assert bool((power[image] == 1).all())
    n = power[2::3].numel()  # exponential: mean and deviation 1
    assert n == 2 * 64 * 16
    assert float(power[2::3].mean()) == pytest.approx(1, abs=4 / n**0.5)
    assert float(power[2::3].std()) == pytest.approx(1, abs=4 * (8 / n) ** 0.5 / 2)
    assert make(channel=("awgn",)).draws().h.shape == (4, 1)


def test_a_step_that_is_not_finite_changes_nothing(
    make: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = make()
    step(0, AT, 1.0, 0.5)
    before = {name: value.clone() for name, value in step.model.state_dict().items()}
    averaged = {name: value.clone() for name, value in step.average.state.items()}
    forward = step.objective.forward

    def broken(*args: Any) -> tuple[torch.Tensor, torch.Tensor]:
        terms, received = forward(*args)
        return terms * torch.tensor([1.0, 1.0, math.nan, 1.0]), received

    monkeypatch.setattr(step.objective, "forward", broken)
    step(1, AT, 1.0, 0.5)
    assert math.isnan(step.figures[-1])
    assert all(torch.equal(step.model.state_dict()[n], value) for n, value in before.items())
    assert all(torch.equal(step.average.state[n], value) for n, value in averaged.items())
    monkeypatch.undo()
    step(2, AT, 1.0, 0.5)
    assert math.isfinite(step.figures[-1])
    assert all(bool(torch.isfinite(value).all()) for value in step.model.state_dict().values())


def test_warming_up_leaves_nothing(make: Callable[..., Step]) -> None:
    """Not in the weights, the average or the optimisers: the next step is the same."""
    steps = [make(), make()]
    for number, step in enumerate(steps):
        step(0, AT, 1.0, 0.5)
        if number:
            with step.unchanged():
                step.warm_up()
                assert not torch.equal(
                    step.model.encoder.head.weight, steps[0].model.encoder.head.weight
                )
        step(1, AT, 1.0, 0.5)
    first, second = steps
    assert torch.equal(first.figures[-2:], second.figures[-2:])
    for name, value in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value)
    for one, other in zip(first.optimizers, second.optimizers, strict=True):
        for p, q in zip(one.state.values(), other.state.values(), strict=True):
            assert all(torch.equal(p[name], q[name]) for name in p)


def test_operations_are_counted(make: Callable[..., Step]) -> None:
    """Forward once and backward twice, but for the first layer, which has no gradient to pixels."""
    step = make(overrides={**SIZES, "depths": [1, 1]}, channel=("awgn",))
    tokens, dims = (64, 16), (16, 32)
    macs = 0.0
    for n, dim in zip(tokens, dims, strict=True):
        macs += 2 * n * dim * (3 * dim + dim + 8 * dim + 2 * 4)  # both ends; windows of 4 tokens
    macs += 16 * 64 * 32 + 16 * 32 * 4 * 16 + 64 * 16 * 12 + 2 * 16 * 32 * 32  # merge, pixels, head
    hidden = 48
    per_token = 2 * 32 * hidden + 6 * hidden * hidden
    macs += 2 * (16 * per_token + 7 * (hidden + 2 * hidden * hidden))
    first = 64 * 12 * 16
    fast = FastWITT(step.model)
    assert fast.config is step.model.config
    assert flops_per_image(step) == pytest.approx(6 * macs + 4 * first, rel=0.02)


def test_peaks() -> None:
    assert peak_tflops("NVIDIA H200") == peak_tflops("NVIDIA H100 80GB HBM3") == 989
    assert peak_tflops("NVIDIA H100 PCIe") == 756
    assert peak_tflops("another") is None


@pytest.mark.parametrize(("rates", "soap_lr"), [(False, 0.0), (True, 3e-3)])
def test_nothing_in_it_waits_for_a_number(
    settings: Callable[..., TrainConfig],
    picture: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    rates: bool,
    soap_lr: float,
) -> None:
    """Tensors of the meta device have none, and asking one for it is an error there."""
    meta = torch.device("meta")
    sizes = {**SIZES, "rate_adaptive": rates}
    cbr = ("1/6", "1/3") if rates else ("1/3",)
    over = ("awgn", "rayleigh", "rician")
    config = settings(preset="witt_cifar", overrides=sizes, cbr=cbr, crop=16, batch=6, channel=over)
    model = initial_model(config).to(meta)
    steppers = optimizers(model, config.lr, config.muon_lr, meta, soap_lr)
    crops = Crops([picture(0)], CPU)
    for name, value in list(vars(crops).items()):
        setattr(crops, name, value.to(meta))
    monkeypatch.setattr(torch, "Generator", lambda device: None)  # there is none for it,
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # nor this
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: None)  # it waits on other devices
    step = Step(config, model, Average(model, config.ema), steppers, crops)
    step.run()
    assert step.received.shape == (6, 3, 16, 16)
    assert step.figures.device == meta
    with pytest.raises(RuntimeError, match="meta tensors"):
        step.figures[-1].item()
