"""Training the published way: one SNR, clamped pictures, plain losses, detached gates."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import witt
from witt.link.profiles import OURS, PUBLISHED
from witt.metrics.published import ms_ssim_published
from witt.store.weights import load_weights
from witt.training.config import TrainConfig
from witt.training.loop import train
from witt.training.published import detach_modnets, draw_snr, integer_snrs, published_terms
from witt.training.run import Run
from witt.training.start import initial_model

PLAIN: dict[str, Any] = {
    "profile": "published",
    "preset": "witt_cifar",
    "cbr": ("1/16",),
    "overrides": {"dims": (8, 12), "depths": (1, 2), "heads": (2, 3), "modnet_layers": 2},
}


@pytest.fixture
def published(settings: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    return lambda **changes: settings(**{**PLAIN, **changes})


def test_loss_is_plain_and_clamped() -> None:
    image = torch.rand((2, 3, 24, 24), generator=torch.Generator().manual_seed(0))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    received = (image + 0.5 * noise).requires_grad_()
    outside = (received < 0) | (received > 1)
    assert outside.any()
    for name in ("mse", "ms-ssim"):
        loss = published_terms(name, received, image).mean()
        (gradient,) = torch.autograd.grad(loss, received)
        assert not gradient[outside].any()
        assert gradient[~outside].any()
    clamped = received.detach().clamp(0, 1)
    mse = (clamped - image).square().mean()
    assert published_terms("mse", received, image).mean().item() == pytest.approx(
        float(mse), rel=1e-6
    )
    similarity = ms_ssim_published(clamped, image, 3).mean()
    found = published_terms("ms-ssim", received, image).mean().item()
    assert found == pytest.approx(1 - float(similarity), rel=1e-6)


def test_one_integer_snr_for_a_batch() -> None:
    assert integer_snrs((-0.5, 2.5), True) == [0, 1, 2]
    assert integer_snrs((1, 4.0), False) == [1, 4]
    generator = torch.Generator().manual_seed(0)
    assert {draw_snr((1, 3), True, generator) for _ in range(60)} == {1.0, 2.0, 3.0}
    for values, is_range in (((1, 2.5), False), ((0.2, 0.7), True)):
        with pytest.raises(witt.InputError, match="integer SNRs"):
            integer_snrs(values, is_range)


def test_gates_send_no_gradient_back(published: Callable[..., TrainConfig]) -> None:
    """The result is the same; of the gates' inputs only the product with the gate has a slope."""
    model = initial_model(published()).double()
    gate = model.encoder.modnet
    assert gate is not None
    x = torch.randn((1, 2, 2, 12), dtype=torch.float64).requires_grad_()
    snr = torch.ones((1, 1), dtype=torch.float64)
    ours = gate(x, snr)
    (whole,) = torch.autograd.grad(ours.sum(), x)
    detach_modnets(model, PUBLISHED)
    theirs = gate(x, snr)
    assert torch.equal(ours, theirs)
    (part,) = torch.autograd.grad(theirs.sum(), x, retain_graph=True)
    torch.testing.assert_close(part, (theirs / x).detach())
    assert not torch.allclose(part, whole)
    assert torch.autograd.grad(theirs.sum(), gate.sm_list[0].weight)[0].any()
    detach_modnets(model, OURS)
    assert torch.autograd.grad(gate(x, snr).sum(), x)[0].equal(whole)


def test_batch_shares_snr_and_power(published: Callable[..., TrainConfig]) -> None:
    config = published(snr=(0, 20), snr_is_range=True, channel=("rayleigh",))
    model = initial_model(config)
    run = Run(config, Path("unused"), model, [])  # type: ignore[arg-type]
    image = torch.rand((3, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    seen = run.gradient(image, 4)
    assert len(set(seen.snr_db.tolist())) == 1
    mse = (seen.received.clamp(0, 1) - image).square().mean()
    assert seen.loss == pytest.approx(mse.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_batch_of_swinjscc_shares_its_rate(published: Callable[..., TrainConfig]) -> None:
    """The published code has this network for several rates; each is drawn, for whole batches."""
    sizes = {"dims": (8, 12), "depths": (1, 1), "heads": (2, 3), "channels": 12}
    config = published(preset="swinjscc_small", overrides=sizes, cbr=("1/48", "1/16", "1/8"))
    model = initial_model(config)
    assert model.config.sends_scale
    run = Run(config, Path("unused"), model, [])  # type: ignore[arg-type]
    seen: list[list[int]] = []
    transmit = model.transmit

    def noted(image: Any, snr_db: Any, k: torch.Tensor, length: int) -> Any:
        seen.append(k.tolist())
        return transmit(image, snr_db, k, length)

    model.transmit = noted
    image = torch.rand((3, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    for step in range(12):
        model.zero_grad()
        run.gradient(image, step)
    assert {tuple(k) for k in seen} == {(2, 2, 2), (6, 6, 6), (12, 12, 12)}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_run_says_how_it_was_trained(
    published: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """The weights expect the power to be undone, whatever the preset says."""
    config = published(val=published().data)
    assert train(config, tmp_path / "run", tensorboard=False) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["profile"] == "published"
    model, training = load_weights(tmp_path / "run" / "weights.safetensors")
    assert model.config.sends_scale
    assert training["config"]["profile"] == "published"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"preset": "witt_light", "overrides": {}}, "witt_light is rate-adaptive"),
        ({"channel": ("awgn", "rayleigh")}, "one channel, not awgn,rayleigh"),
        ({"snr": (1.5,)}, "integer SNRs, not --snr 1.5"),
        ({"crop": 16, "loss": "ms-ssim"}, "--crop 16 is below 24"),
        ({"profile": "both"}, "unknown profile 'both'"),
    ],
)
def test_refuses(
    changes: dict[str, Any], named: str, published: Callable[..., TrainConfig]
) -> None:
    with pytest.raises(witt.InputError, match=named):
        initial_model(published(**changes))
