"""Features on a helix come back as if a linear receiver had heard them."""

import pytest
import torch
from torch import Tensor

from witt.codecs.classified import helix
from witt.codecs.classified.code import Plan
from witt.codecs.classified.framing import Received
from witt.codecs.classified.refiner import lmmse
from witt.codecs.classified.winding import unwind, wind

SHAPE = (2, 20, 30, 5)
NUMBERS = 20 * 30 * 5
SNR_DB = torch.tensor([4.0, 12.0]).double()
SIGMA = (10 ** (-SNR_DB / 10) / 2).sqrt()[:, None]


def normal(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def plan() -> Plan:
    """All sent; of the first picture 900 features on a helix, of the second 400."""
    variance = normal(*SHAPE, seed=2).exp()
    wound = torch.stack([torch.randperm(NUMBERS, generator=torch.Generator())[:900] for _ in "ab"])
    wound[1, 400:] = NUMBERS
    power = torch.linspace(6, 60, 900).double().expand(2, -1).clone()
    power[1, 400:] = 1.0
    circles = torch.arange(900).expand(2, -1) % 2 + 1
    circles = torch.where(wound < NUMBERS, circles, 0)
    alike = helix.linear_equal(power, circles) * SIGMA.square()
    squares = (alike / variance.flatten(1).gather(1, wound.clamp_max(NUMBERS - 1)))[:, :900]
    gain = torch.full((2, NUMBERS + 1), 0.5).double().scatter(1, wound, squares.sqrt())
    none = torch.zeros(2).long()
    gain = gain[:, :-1].reshape(SHAPE)
    return Plan(none, variance, gain, gain > 0, wound, power, circles, none, none)


def on_helix(x: Tensor, of: Plan) -> Tensor:
    """(1300,) of a map (2, 20, 30, 5)."""
    return torch.cat([x[0].flatten()[of.wound[0]], x[1].flatten()[of.wound[1, :400]]])


@pytest.mark.parametrize("amplitude", [1.0, 0.7])
def test_estimates_are_as_good_as_the_plan_says(amplitude: float) -> None:
    """Sent over noise: mean squared error and expected error, both against 1/(1 + alike)."""
    of = plan()
    features = normal(*SHAPE) * of.variance.sqrt()
    sent, more = wind(features, features * of.gain, of, SNR_DB)
    stray = torch.ones(2, NUMBERS + 1, dtype=torch.bool).scatter(1, of.wound, False)
    linear = stray[:, :-1].reshape(SHAPE)
    assert torch.equal(sent[linear], (features * of.gain)[linear])
    assert not more[1, 400:].any()
    # An MMSE receiver of unit symbols: (1−e)·x + noise of variance (1−e)·e/2 for each number.
    noise = 2 * (SIGMA * amplitude).square()[:, :, None, None] / amplitude**2
    e = (noise / (1 + noise)).expand(SHAPE)
    hiss = ((1 - e) * e / 2).sqrt()
    e3, hiss3 = e[:, 0, 0, :1, None].expand(2, 900, 4), hiss[:, 0, 0, :1, None]
    quiet, quiet_more = (1 - e) * sent / amplitude, (1 - e3) * more / amplitude
    scale = torch.ones_like(e)
    if amplitude != 1:  # the same noise is a smaller part of symbols that were scaled up
        e, e3 = (x / amplitude**2 / (1 - x + x / amplitude**2) for x in (e, e3))
        scale = (1 - e) / (1 - noise / (1 + noise))
    factor = torch.full((2, 1, 1, 1), amplitude).double()
    power, circles = (torch.cat((x[0], x[1, :400])) for x in (of.wound_power, of.wound_circles))
    expected = 1 / (1 + helix.linear_equal(power, circles))
    squares = []
    for draw in range(8):
        heard = (quiet + hiss * normal(*SHAPE, seed=3 + 2 * draw) / amplitude) * scale
        heard_more = quiet_more + hiss3 * normal(2, 900, 4, seed=4 + 2 * draw) / amplitude
        heard_more = heard_more * scale[:, 0, 0, :1, None]
        alike, error = unwind(Received(heard, e, heard_more, e3), of, SNR_DB, factor)
        assert torch.equal(alike[linear], heard[linear])
        assert torch.equal(error[linear], e[linear])
        estimate, left = lmmse(of, alike, error, factor)
        known = on_helix(left / of.variance, of)
        assert float(known.mean()) == pytest.approx(float(expected.mean()), rel=0.1)
        squares.append(on_helix((estimate - features) / of.variance.sqrt(), of).square())
    # Of 8 draws of 1,300, some of which are of wrong turns.
    found = float(torch.cat(squares).mean())
    assert found == pytest.approx(float(expected.mean()), rel=0.25)


def test_what_the_linear_receiver_makes_of_it_is_the_mean() -> None:
    """Whatever was received: estimate and expected error are the helix's mean and variance."""
    of = plan()
    error = torch.rand(SHAPE, generator=torch.Generator().manual_seed(5)).double() * 0.6 + 0.05
    more_error = torch.rand(2, 900, 4, generator=torch.Generator().manual_seed(6)).double() * 0.6
    features, more = normal(*SHAPE), normal(2, 900, 4)
    factor = torch.tensor([0.8, 1.3]).double()[:, None, None, None]
    received = Received(features, error, more, more_error)
    estimate, left = lmmse(of, *unwind(received, of, SNR_DB, factor), factor)
    for i, count in enumerate((900, 400)):
        at = of.wound[i, :count]
        numbers = torch.cat((features[i].flatten()[at][:, None], more[i, :count]), 1)
        e = torch.cat((error[i].flatten()[at][:, None], more_error[i, :count]), 1)
        scale = factor[i].item() / SIGMA[i]
        mean, variance = helix.unwind(
            scale * numbers / (1 - e),
            scale**2 * e / (1 - e) / 2,
            of.wound_power[i, :count],
            of.wound_circles[i, :count],
        )
        root = of.variance[i].flatten()[at].sqrt()
        torch.testing.assert_close(estimate[i].flatten()[at], mean * root)
        torch.testing.assert_close(left[i].flatten()[at], variance.clamp_max(0.999) * root**2)


def test_gradients_reach_what_is_sent() -> None:
    of = plan()
    features = (normal(*SHAPE) * of.variance.sqrt()).requires_grad_()
    sent, more = wind(features, features * of.gain, of, SNR_DB)
    e = torch.full(SHAPE, 0.2).double()
    received = Received(0.8 * sent, e, 0.8 * more, e[:, 0, 0, :1, None].expand(2, 900, 4))
    factor = torch.ones(2, 1, 1, 1).double()
    estimate, _ = lmmse(of, *unwind(received, of, SNR_DB, factor), factor)
    estimate.square().sum().backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())
    assert bool(on_helix(features.grad, of).ne(0).all())
