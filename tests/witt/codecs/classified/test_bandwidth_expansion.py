"""Expanded features come back as the linear observations that tell as much."""

import pytest
import torch
from torch import Tensor

from witt.codecs.classified import shannon_kotelnikov
from witt.codecs.classified.allocation import PictureAllocation
from witt.codecs.classified.bandwidth_expansion import expand, linear_equivalent
from witt.codecs.classified.refiner import lmmse
from witt.codecs.classified.symbol_mapping import ReceivedFeatures

SHAPE = (2, 20, 30, 5)
NUMBERS = 20 * 30 * 5
SNR_DB = torch.tensor([4.0, 12.0]).double()
SIGMA = (10 ** (-SNR_DB / 10) / 2).sqrt()[:, None]


def normal(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def allocation() -> PictureAllocation:
    """All sent; of the first picture 900 expanded features, of the second 400."""
    variance = normal(*SHAPE, seed=2).exp()
    expanded = torch.stack(
        [torch.randperm(NUMBERS, generator=torch.Generator())[:900] for _ in "ab"]
    )
    expanded[1, 400:] = NUMBERS
    power = torch.linspace(6, 60, 900).double().expand(2, -1).clone()
    power[1, 400:] = 1.0
    pairs = torch.arange(900).expand(2, -1) % 2 + 1
    pairs = torch.where(expanded < NUMBERS, pairs, 0)
    equivalent = shannon_kotelnikov.equivalent_linear_power(power, pairs) * SIGMA.square()
    squares = (equivalent / variance.flatten(1).gather(1, expanded.clamp_max(NUMBERS - 1)))[:, :900]
    gain = torch.full((2, NUMBERS + 1), 0.5).double().scatter(1, expanded, squares.sqrt())
    none = torch.zeros(2).long()
    gain = gain[:, :-1].reshape(SHAPE)
    return PictureAllocation(none, variance, gain, gain > 0, expanded, power, pairs, none, none)


def expanded_only(x: Tensor, of: PictureAllocation) -> Tensor:
    """(1300,) of a map (2, 20, 30, 5)."""
    return torch.cat([x[0].flatten()[of.expanded[0]], x[1].flatten()[of.expanded[1, :400]]])


@pytest.mark.parametrize("amplitude", [1.0, 0.7])
def test_estimates_are_as_good_as_the_allocation_says(amplitude: float) -> None:
    """Sent over noise: mean squared error and expected error, both against 1/(1 + alike)."""
    of = allocation()
    features = normal(*SHAPE) * of.variance.sqrt()
    sent, extra = expand(features, features * of.gain, of, SNR_DB)
    stray = torch.ones(2, NUMBERS + 1, dtype=torch.bool).scatter(1, of.expanded, False)
    linear = stray[:, :-1].reshape(SHAPE)
    assert torch.equal(sent[linear], (features * of.gain)[linear])
    assert not extra[1, 400:].any()
    # An MMSE receiver of unit symbols: (1−e)·x + noise of variance (1−e)·e/2 for each number.
    noise = 2 * (SIGMA * amplitude).square()[:, :, None, None] / amplitude**2
    e = (noise / (1 + noise)).expand(SHAPE)
    noise_std = ((1 - e) * e / 2).sqrt()
    e3, extra_noise_std = e[:, 0, 0, :1, None].expand(2, 900, 4), noise_std[:, 0, 0, :1, None]
    quiet, quiet_extra = (1 - e) * sent / amplitude, (1 - e3) * extra / amplitude
    scale = torch.ones_like(e)
    if amplitude != 1:  # the same noise is a smaller part of symbols that were scaled up
        e, e3 = (x / amplitude**2 / (1 - x + x / amplitude**2) for x in (e, e3))
        scale = (1 - e) / (1 - noise / (1 + noise))
    factor = torch.full((2, 1, 1, 1), amplitude).double()
    power, pairs = (torch.cat((x[0], x[1, :400])) for x in (of.expanded_power, of.expanded_pairs))
    expected = 1 / (1 + shannon_kotelnikov.equivalent_linear_power(power, pairs))
    squares = []
    for draw in range(8):
        values = (quiet + noise_std * normal(*SHAPE, seed=3 + 2 * draw) / amplitude) * scale
        extra_values = (
            quiet_extra + extra_noise_std * normal(2, 900, 4, seed=4 + 2 * draw) / amplitude
        )
        extra_values = extra_values * scale[:, 0, 0, :1, None]
        equivalent, error = linear_equivalent(
            ReceivedFeatures(values, e, extra_values, e3), of, SNR_DB, factor
        )
        assert torch.equal(equivalent[linear], values[linear])
        assert torch.equal(error[linear], e[linear])
        estimate, left = lmmse(of, equivalent, error, factor)
        known = expanded_only(left / of.variance, of)
        assert float(known.mean()) == pytest.approx(float(expected.mean()), rel=0.1)
        squares.append(expanded_only((estimate - features) / of.variance.sqrt(), of).square())
    # Of 8 draws of 1,300, some of which are of wrong arms.
    found = float(torch.cat(squares).mean())
    assert found == pytest.approx(float(expected.mean()), rel=0.25)


def test_what_the_linear_receiver_makes_of_it_is_the_mean() -> None:
    """Whatever was received: estimate and expected error are the mapping's mean and variance."""
    of = allocation()
    error = torch.rand(SHAPE, generator=torch.Generator().manual_seed(5)).double() * 0.6 + 0.05
    extra_error = torch.rand(2, 900, 4, generator=torch.Generator().manual_seed(6)).double() * 0.6
    features, extra = normal(*SHAPE), normal(2, 900, 4)
    factor = torch.tensor([0.8, 1.3]).double()[:, None, None, None]
    received = ReceivedFeatures(features, error, extra, extra_error)
    estimate, left = lmmse(of, *linear_equivalent(received, of, SNR_DB, factor), factor)
    for i, count in enumerate((900, 400)):
        at = of.expanded[i, :count]
        numbers = torch.cat((features[i].flatten()[at][:, None], extra[i, :count]), 1)
        e = torch.cat((error[i].flatten()[at][:, None], extra_error[i, :count]), 1)
        scale = factor[i].item() / SIGMA[i]
        mean, variance = shannon_kotelnikov.mmse_estimate(
            scale * numbers / (1 - e),
            scale**2 * e / (1 - e) / 2,
            of.expanded_power[i, :count],
            of.expanded_pairs[i, :count],
        )
        root = of.variance[i].flatten()[at].sqrt()
        torch.testing.assert_close(estimate[i].flatten()[at], mean * root)
        torch.testing.assert_close(left[i].flatten()[at], variance.clamp_max(0.999) * root**2)


def test_gradients_reach_what_is_sent() -> None:
    of = allocation()
    features = (normal(*SHAPE) * of.variance.sqrt()).requires_grad_()
    sent, extra = expand(features, features * of.gain, of, SNR_DB)
    e = torch.full(SHAPE, 0.2).double()
    received = ReceivedFeatures(0.8 * sent, e, 0.8 * extra, e[:, 0, 0, :1, None].expand(2, 900, 4))
    factor = torch.ones(2, 1, 1, 1).double()
    estimate, _ = lmmse(of, *linear_equivalent(received, of, SNR_DB, factor), factor)
    estimate.square().sum().backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())
    assert bool(expanded_only(features.grad, of).ne(0).all())
