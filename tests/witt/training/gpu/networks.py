"""Tiny networks of the paper's kind, and how far the fast passes are from the model's."""

from collections.abc import Callable

import torch
from torch import Tensor

import channels
from witt.codecs.presets import preset
from witt.codecs.witt import WITT, WITTConfig
from witt.training.gpu.passes import FastWITT, Lines
from witt.training.objective import Conditions, send

Sizes = Callable[[], WITTConfig]
BATCH = 4
NETWORKS: dict[str, tuple[Sizes, int]] = {
    "window 8": (
        lambda: preset("witt_base", dims=(32, 64), depths=(2, 1), heads=(2, 2), channels=12), 32
    ),
    "window 2": (
        lambda: preset("witt_cifar", dims=(16, 32), depths=(2, 3), heads=(1, 2), channels=16), 32
    ),
    "four stages, rates and scale": (
        lambda: preset(
            "witt_base", dims=(8, 16, 24, 32), depths=(1, 1, 2, 1), heads=(1, 2, 2, 4),
            channels=24, window=2, rate_adaptive=True, sends_scale=True,
        ), 64,
    ),
    "scale, no gates": (
        lambda: preset(
            "witt_cifar", dims=(16, 32), depths=(1, 2), heads=(1, 2), channels=16,
            sends_scale=True, modulation=False,
        ), 32,
    ),
}  # fmt: skip


def differences(config: WITTConfig, side: int, lines: Lines) -> tuple[float, float]:
    """Of the received pictures, and of each gradient over its largest entry."""
    torch.manual_seed(0)
    model = WITT(config)
    with torch.no_grad():  # the published start sends hardly anything through a block
        for p in model.parameters():
            p.mul_(3.0 if p.ndim == 2 else 1.0)
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(BATCH, 3, side, side, generator=generator)
    k = torch.tensor([8, 16, 24, 24]) if config.rate_adaptive else torch.tensor([config.channels])
    symbols = model.tokens((side, side)) * config.channels // 2
    h = channels.Rayleigh().sample_gain(BATCH, symbols, generator=generator)
    noise = channels.complex_normal((BATCH, symbols), generator=generator)
    found: list[list[Tensor]] = []
    for each in (model, FastWITT(model, lines)):
        model.zero_grad(set_to_none=True)
        at = Conditions(torch.tensor([1.0, 5.0, 9.0, 13.0]), k.expand(BATCH))
        over = [channels.AWGN(), channels.Rayleigh()]  # images in turn
        out = send(each, image, at, over, h=h, noise=noise)
        (out - image).square().mean().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found.append([out.detach(), *gradients])
    own, fast = found
    apart = [float((a - b).abs().max()) for a, b in zip(own, fast, strict=True)]
    largest = [float(a.abs().max()) for a in own[1:]]
    relative = [d / m for d, m in zip(apart[1:], largest, strict=True) if m > 1e-7]
    return apart[0], max(relative)
