"""Learning rate and weight average against their closed forms."""

import math

import pytest
import torch

from witt.training.schedule import Average, learning_rate_factor


def test_learning_rate() -> None:
    assert learning_rate_factor(0, 0.0, 10) == pytest.approx(0.1)
    assert learning_rate_factor(4, 0.0, 10) == pytest.approx(0.5)
    assert learning_rate_factor(9, 0.0, 10) == 1
    assert learning_rate_factor(0, 0.0, 0) == 1
    for progress in (0.25, 0.5, 0.75, 1.0):
        cosine = math.cos(math.pi * progress / 2) ** 2
        assert learning_rate_factor(100, progress, 10) == pytest.approx(cosine, abs=1e-12)
    assert learning_rate_factor(100, 1.7, 10) == 0


def test_a_flat_part_and_a_linear_fall() -> None:
    places = {0.0: 1.0, 0.4: 1.0, 0.55: 0.75, 0.7: 0.5, 1.0: 0.0, 1.7: 0.0}
    for progress, factor in places.items():
        assert learning_rate_factor(100, progress, 10, 0.4) == pytest.approx(factor)
    assert learning_rate_factor(4, 0.7, 10, 0.4) == pytest.approx(0.25)
    assert learning_rate_factor(100, 0.25, 10, 0.0) == pytest.approx(0.75)


def test_average_of_every_step() -> None:
    """a_n = Σ_t (1 − k_t) v_t Π_{s>t} k_s + v_0 Π k_s, with k_t = min(decay, (1 + t)/(10 + t))."""
    model = torch.nn.Linear(2, 3)
    model.register_buffer("count", torch.zeros(1, dtype=torch.int64))
    values = [p.detach().clone() for p in [model.weight]]
    average = Average(model, 0.7)
    generator = torch.Generator().manual_seed(0)
    for t in range(1, 41):
        with torch.no_grad():
            model.weight.copy_(torch.randn(3, 2, generator=generator))
            model.get_buffer("count").fill_(t)
        values.append(model.weight.detach().clone())
        average.update(model, t)
    keep = [min(0.7, (1 + t) / (10 + t)) for t in range(1, 41)]
    expected = values[0].double() * math.prod(keep)
    for t in range(1, 41):
        expected += (1 - keep[t - 1]) * values[t].double() * math.prod(keep[t:])
    torch.testing.assert_close(average.state["weight"].double(), expected, rtol=1e-4, atol=1e-6)
    assert int(average.state["count"]) == 40
    other = Average(torch.nn.Linear(2, 3), 0.7)
    other.load({name: v for name, v in average.state.items() if name != "count"})
    assert torch.equal(other.state["weight"], average.state["weight"])


def test_moving_by_a_share_is_updating() -> None:
    model = torch.nn.Linear(2, 3)
    averages = [Average(model, 0.7), Average(model, 0.7)]
    generator = torch.Generator().manual_seed(0)
    for t in range(1, 20):
        with torch.no_grad():
            model.weight.copy_(torch.randn(3, 2, generator=generator))
        averages[0].update(model, t)
        averages[1].move(model, torch.tensor(averages[1].share(t)))
    for name, value in averages[0].state.items():
        torch.testing.assert_close(averages[1].state[name], value, rtol=1e-5, atol=1e-6)
