"""Tokens are masked and pixels noised at the transmitter, each image by its own draw."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import channels
from tests.witt.tiny import picture, tiny
from witt.errors import InputError
from witt.training import gradient as gradient_module
from witt.training.config import TrainConfig, continued
from witt.training.gpu.run import takes
from witt.training.gradient import Gradient
from witt.training.loop import train
from witt.training.masking import Masking, draw_masking
from witt.training.objective import Conditions, send
from witt.training.pictures import Pictures
from witt.training.processes import Processes
from witt.training.start import initial_model

NARROW: dict[str, Any] = {
    "preset": "witt_cifar",
    "cbr": ("1/3",),
    "overrides": {"dims": (8, 12), "depths": (1, 1), "heads": (1, 1), "modnet_layers": 1},
}


def test_share_of_masked_tokens_and_size_of_the_noise() -> None:
    drawn = draw_masking(range(300), 64, 32, 0.3, 0.1, seed=5)
    assert drawn.keep.shape == (300, 64)
    assert set(drawn.keep.unique().tolist()) == {0.0, 1.0}
    assert (drawn.keep == 0).sum(1).tolist() == [19] * 300  # 0.3 of 64, in each
    each = (drawn.keep == 0).double().mean(0)  # no place is masked more often than others
    share = 19 / 64
    sigma = math.sqrt(share * (1 - share) / 300)
    assert float((each - share).abs().max()) < 5 * sigma  # the largest of 64
    count = drawn.noise.numel()
    assert abs(float(drawn.noise.double().mean())) < 4 * 0.1 / math.sqrt(count)
    assert abs(float(drawn.noise.double().var()) - 0.01) < 4 * 0.01 * math.sqrt(2 / count)
    assert draw_masking(range(1), 4, 2, 0.99, 0.0, 0).keep.sum() == 1  # something is sent
    assert draw_masking(range(1), 4, 2, 0.99, 0.0, 0).noise.abs().max() == 0


def test_an_image_has_its_own_mask() -> None:
    """Fixed by the seed and its number: whoever draws, and with which others."""
    whole = draw_masking(range(4, 10), 16, 8, 0.5, 0.1, seed=9)
    parts = [draw_masking(range(n, n + 2), 16, 8, 0.5, 0.1, seed=9) for n in (4, 6, 8)]
    for name in whole._fields:
        value = getattr(whole, name)
        assert torch.equal(value, torch.cat([getattr(part, name) for part in parts])), name
    assert len(whole.keep.unique(dim=0)) == 6
    assert len(whole.noise.flatten(1).unique(dim=0)) == 6
    assert not torch.equal(whole.keep, draw_masking(range(4, 10), 16, 8, 0.5, 0.1, 10).keep)


@pytest.mark.parametrize("adaptive", [False, True])
def test_what_is_masked_is_not_sent(adaptive: bool) -> None:
    """The channel gets zeros at the masked tokens, and unit power in all; noise goes in before."""
    model = tiny(sends_scale=True, rate_adaptive=adaptive)
    image = picture(2, 16, 16)
    tokens = model.tokens((16, 16))
    drawn = draw_masking(range(2), tokens, 16, 0.5, 0.1, seed=1)
    k = torch.tensor([8, 4 if adaptive else 8])
    at = Conditions(torch.tensor([10.0, 10.0], dtype=torch.float64), k)
    seen: list[Tensor] = []

    class Watched(channels.AWGN):
        def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> channels.ChannelOutput:
            seen.append(x)
            return super().forward(x, *args, **kwargs)

    noise = torch.zeros(2, tokens * 4, dtype=torch.complex128)
    with torch.no_grad():
        plain = send(model, image, at, [Watched()], noise=noise)
        masked = send(model, image, at, [Watched()], noise=noise, masking=drawn)
        nothing = Masking(torch.ones(2, tokens), torch.zeros_like(image))
        assert torch.equal(plain, send(model, image, at, [Watched()], noise=noise, masking=nothing))
        noised = model.transmit(image + drawn.noise, at.snr_db, k, tokens * 4).symbols
    sent = seen[1].reshape(2, tokens, 4)
    gone = drawn.keep == 0
    assert bool((sent[gone] == 0).all())
    assert bool((sent[~gone].abs().sum(1) > 0).all())
    uses = tokens * k // 2
    torch.testing.assert_close(sent.abs().square().sum((1, 2)) / uses, torch.ones(2).double())
    expected = torch.view_as_complex(noised).reshape(2, tokens, 4) * drawn.keep[..., None]
    ratio = (sent / expected)[~gone][:, 0].reshape(2, -1)  # of each image one scale
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert not torch.allclose(plain, masked)


def gradients(config: TrainConfig, image: Tensor) -> list[Tensor]:
    model = initial_model(config)
    seen = Gradient(config, model, Processes(torch.device("cpu")))(image, 3)
    assert math.isfinite(seen.loss)
    return [p.grad for p in model.parameters() if p.grad is not None]


def test_a_step_is_the_same_in_parts(settings: Callable[..., TrainConfig]) -> None:
    image = picture(4, 32, 32).float()
    masked = {**NARROW, "batch": 4, "mask": 0.5, "mask_noise": 0.2}
    whole = gradients(settings(**masked), image)
    parts = gradients(settings(**masked, accumulate=2), image)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * float(a.abs().max()) + 1e-9)
    plain = gradients(settings(**{**NARROW, "batch": 4}), image)
    assert not all(torch.equal(a, b) for a, b in zip(whole, plain, strict=True))


def test_without_them_nothing_is_drawn(
    settings: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run as before is the same bit for bit: the new draws have a generator of their own."""

    def never(*_: object) -> Masking:
        raise AssertionError("drawn")

    image = picture(4, 32, 32).float()
    config = settings(**NARROW, batch=4)
    assert not config.masks
    before = gradients(config, image)
    monkeypatch.setattr(gradient_module, "draw_masking", never)
    for a, b in zip(before, gradients(config, image), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(AssertionError, match="drawn"):
        gradients(settings(**NARROW, batch=4, mask_noise=0.1), image)


def test_the_settings(settings: Callable[..., TrainConfig]) -> None:
    stored = settings(**NARROW, mask=0.3)
    assert TrainConfig.from_dict(stored.to_dict()) == stored
    old = {k: v for k, v in settings(**NARROW).to_dict().items() if not k.startswith("mask")}
    assert TrainConfig.from_dict(old) == settings(**NARROW)  # of a checkpoint of before
    with pytest.raises(InputError, match=r"mask \(0.3, asked 0.2\)"):
        continued(stored, {"mask": 0.2})
    for changes, named in (
        ({"mask": 1.0}, "--mask is 1: it must be at least 0 and at most 1"),
        ({"mask": -0.1}, "--mask is -0.1"),
        ({"mask_noise": math.inf}, "--mask-noise is inf: it must be at least 0"),
    ):
        with pytest.raises(InputError, match=named):
            settings(**NARROW, **changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "witt_light orders its symbols in its own way"),
        ({"preset": "swinjscc_small", "overrides": {}, "cbr": ("1/16",)}, "swinjscc_small orders"),
        (
            {"preset": "witt_cifar_narrow_dynamic", "overrides": {}, "cbr": ("1/3",)},
            "witt_cifar_narrow_dynamic orders",
        ),
        ({**NARROW, "profile": "published"}, "not with --profile published"),
    ],
)
def test_where_it_makes_no_sense(
    settings: Callable[..., TrainConfig], changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        initial_model(settings(**{"snr": (10,), **changes}, mask=0.3))


def test_the_step_for_gpus_leaves_them_alone(
    settings: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WITT_FAST_ON_CPU", "1")
    overrides = {**NARROW["overrides"], "window": 2}
    tiles = Pictures([], np.zeros((2, 32, 32, 3), np.uint8))
    processes = Processes(torch.device("cpu"))
    for changes, fast in (({}, True), ({"mask": 0.3}, False), ({"mask_noise": 0.1}, False)):
        config = settings(**{**NARROW, "overrides": overrides}, **changes)
        assert takes(config, initial_model(config), processes, tiles) is fast


def test_a_run_says_so(
    tmp_path: Path, settings: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(**NARROW, mask=0.3, mask_noise=0.1, steps=2)
    assert train(config, tmp_path / "run", tensorboard=False) == 0
    assert "masked: 30% of the tokens; noise on the pixels: 0.1" in capsys.readouterr().out
