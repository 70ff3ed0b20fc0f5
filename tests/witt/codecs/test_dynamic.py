"""Dynamic tokens: what each sends, what the receiver is told, and how the score learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import channels
from tests.witt.tiny import ODD, picture, seeded
from witt.codecs.classified.codec import CLASS_MAP
from witt.codecs.dynamic import (
    DynamicConfig,
    DynamicWITT,
    gathered,
    levels_of,
    scattered,
    sends,
    soft_sends,
    straight_through,
)
from witt.training.objective import Conditions, send


def dynamic(**entries: Any) -> DynamicWITT:
    sizes: dict[str, Any] = {"window": 2, "channels": 8, "modnet_layers": 2, "sends_scale": True}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DynamicWITT(DynamicConfig("tiny", (8, 12), (2, 2), (2, 3), **{**sizes, **entries}))
        model.initialise()
    return model.double().eval()


@pytest.mark.parametrize("tokens", [1, 3, 4, 7, 64, 101])
@pytest.mark.parametrize("k", [2, 4, 6, 10, 64])
def test_every_picture_takes_its_channel_uses(tokens: int, k: int) -> None:
    score = torch.randn(3, tokens, generator=seeded())
    classes = levels_of(score)
    sent = sends(classes, torch.full((3,), k), k)
    assert sent.sum((1, 2)).tolist() == [tokens * k // 2] * 3
    counts = [(classes == level).sum(1) for level in range(3)]
    assert (counts[2] == tokens // 4).all()
    assert (counts[0] == 2 * counts[2]).all()


def test_the_tokens_of_the_highest_scores_send_most() -> None:
    score = torch.tensor([[0.1, 3.0, -1.0, 0.5, 0.4, 2.0, -2.0, 0.0]])
    assert levels_of(score).tolist() == [[0, 2, 0, 1, 1, 2, 0, 0]]
    sent = sends(levels_of(score), torch.tensor([8]), 8).sum(2)
    assert sent.tolist() == [[2, 8, 2, 4, 4, 8, 2, 2]]


def test_what_is_sent_comes_back_to_its_place() -> None:
    x = torch.randn(2, 9, 6, 2, generator=seeded())
    sent = torch.rand(2, 9, 6, generator=seeded(1)) < 0.5
    length = int(sent.sum((1, 2)).max()) + 3
    back = scattered(gathered(x, sent, length), sent)
    torch.testing.assert_close(back, x * sent[..., None], rtol=0, atol=0)


def test_soft_thresholds_harden_to_the_levels() -> None:
    """Far from the thresholds the soft gates are those of `sends`."""
    score = torch.tensor([[-60.0, -50.0, 0.0, 70.0, -55.0, 0.5, 60.0, -70.0]])
    classes = levels_of(score)
    assert classes.tolist() == [[0, 0, 1, 2, 0, 1, 2, 0]]
    k = torch.tensor([8])
    torch.testing.assert_close(soft_sends(score, classes, k, 8), sends(classes, k, 8).float())


def test_the_score_learns_what_a_token_is_worth() -> None:
    """The loss counts the errors of four tokens of 16 more: they come to send the most."""
    x = torch.randn(1, 16, 8, 2, generator=seeded())
    weight = torch.ones(16).scatter(0, torch.tensor([1, 6, 8, 15]), 9.0)[None, :, None, None]
    score = torch.linspace(1, -1, 16)[None].requires_grad_()
    k = torch.tensor([8])
    for _ in range(200):
        classes = levels_of(score.detach())
        received = x * straight_through(score, classes, k, 8)[..., None]
        loss = (weight * (received - x).square()).sum()
        (gradient,) = torch.autograd.grad(loss, score)
        with torch.no_grad():
            score -= 0.01 * gradient
    assert levels_of(score.detach())[0].eq(2).nonzero()[:, 0].tolist() == [1, 6, 8, 15]


def test_training_sees_the_picture_that_is_sent() -> None:
    """The way of the gradient through what is not sent adds nothing to the value."""
    model, image = dynamic(), picture(2, 16, 24)
    noise = torch.zeros(2, 96, dtype=torch.complex128)
    at = Conditions(torch.tensor([3.0, 12.0]).double(), torch.tensor([8, 8]))
    with_gradient = send(model, image, at, [channels.AWGN()], noise=noise)
    with torch.no_grad():
        without = send(model, image, at, [channels.AWGN()], noise=noise)
    torch.testing.assert_close(with_gradient, without)


@pytest.mark.parametrize("size", [*ODD, (16, 16)])
def test_any_size_and_no_picture_touches_another(size: tuple[int, int]) -> None:
    model, image = dynamic(), picture(2, *size)
    with torch.no_grad():
        both = model.encode(image, 7.0)
        alone = model.encode(image[1:], 7.0)
        decoded = model.decode(both.symbols, both.header)
    torch.testing.assert_close(both.symbols[1:], alone.symbols)
    assert decoded.shape == image.shape
    assert both.symbols.abs().square().mean(1) == pytest.approx([1.0, 1.0], rel=2e-3)


@pytest.mark.parametrize("size", [*ODD, (16, 24)])
def test_its_map_of_channel_uses_has_what_each_token_sends(size: tuple[int, int]) -> None:
    model, image = dynamic(), picture(2, *size)
    with torch.no_grad():
        encoded = model.encode(image, 7.0)
        found = model.regions(*encoded)
    total = [float(encoded.symbols.shape[1])] * 2
    assert found.uses.sum((1, 2)).tolist() == pytest.approx(total)
    assert found.mse.isnan().all()
    if size == (16, 24):  # whole tokens, of 4 symbols on average
        classes = encoded.header.side[CLASS_MAP].value
        symbols = found.uses[:, :: found.side, :: found.side] * found.side**2
        torch.testing.assert_close(symbols, torch.tensor([2.0, 4.0, 8.0])[classes].double())


def test_the_map_of_levels_is_told_and_counted() -> None:
    model = dynamic()
    with torch.no_grad():
        header = model.encode(picture(2, 32, 32), 7.0).header
    code = model.side_codes()[CLASS_MAP]
    for n in range(2):
        told = code.pack(header.get(CLASS_MAP)[n], header)  # type: ignore[index]
        back = code.unpack(told, header)
        assert torch.equal(back, header.get(CLASS_MAP)[n])  # type: ignore[index,arg-type]
        assert len(told.fixed) + len(told.block) <= header.side[CLASS_MAP].bits


def test_every_parameter_learns() -> None:
    model = dynamic(rate_adaptive=True).train()
    at = Conditions(torch.tensor([1.0, 9.0]).double(), torch.tensor([8, 4]))
    send(model, picture(2, 16, 16), at, [channels.AWGN()], seeded()).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    grad: Tensor = model.encoder.importance.score[0].weight.grad  # type: ignore[assignment]
    assert grad.abs().max() > 0


def test_the_map_code_follows_the_maps_seen_in_training() -> None:
    """Of maps with long rows of one level a code takes fewer bits than before."""
    model = dynamic()
    rows = torch.tensor([0, 0, 2, 1]).repeat_interleave(4)[None, :, None].expand(1, 16, 16)
    before = len(model._map_code().bits_of(rows[0]))
    for _ in range(200):
        model._count(rows)
    after = len(model._map_code().bits_of(rows[0]))
    # Only the first token of a row is news.
    assert before > 300
    assert after < 70
