"""Blocks are lost as often as they are said to be, whole, and each by itself."""

import math

import pytest
import torch

import channels

IMAGES, BLOCKS, LENGTH = 2000, 10, 7


def gain(
    p: float, n: int = BLOCKS * LENGTH, images: int = IMAGES, length: int = LENGTH
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    channel = channels.Erasure(p, length)
    return channel.sample_gain(images, n, dtype=torch.complex128, generator=generator)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_share_of_lost_blocks_and_mean_power(p: float) -> None:
    h = gain(p)
    blocks = h.unflatten(1, (BLOCKS, LENGTH))
    assert torch.equal(blocks, blocks[:, :, :1].expand_as(blocks))  # whole, or not at all
    lost = blocks[:, :, 0] == 0
    sigma = math.sqrt(p * (1 - p) / lost.numel())
    assert abs(float(lost.double().mean()) - p) <= 4 * sigma
    there = blocks[:, :, 0][~lost]
    torch.testing.assert_close(there, torch.full_like(there, 1 / math.sqrt(1 - p)))
    power = blocks[:, :, 0].abs().square()  # 0 or 1 / (1 − p): variance p / (1 − p)
    assert abs(float(power.mean()) - 1) <= 4 * math.sqrt(p / (1 - p) / power.numel()) + 1e-12


def test_blocks_and_images_are_independent() -> None:
    """Lost blocks of an image are Binomial; neighbours in it and in the batch are uncorrelated."""
    p = 0.3
    lost = (gain(p)[:, ::LENGTH] == 0).double()
    count = lost.sum(1)
    variance = BLOCKS * p * (1 - p)
    fourth = variance * (1 + (3 * BLOCKS - 6) * p * (1 - p))  # central moment of the Binomial
    sigma = math.sqrt((fourth - variance**2) / IMAGES)
    assert abs(float(count.var(unbiased=False)) - variance) < 4 * sigma
    centred = (lost - p) / math.sqrt(p * (1 - p))
    for products in (centred[:, 1:] * centred[:, :-1], centred[1:] * centred[:-1]):
        assert abs(float(products.mean())) < 4 / math.sqrt(products.numel())


def test_the_last_block_may_be_short() -> None:
    h = gain(0.5, n=10, images=200, length=4)
    assert h.shape == (200, 10)
    assert torch.equal(h[:, 8], h[:, 9])
    assert not torch.equal(h[:, 7], h[:, 8])
    assert torch.equal(gain(0.5, n=3, images=2, length=64), gain(0.5, n=1, images=2).expand(2, 3))


@pytest.mark.parametrize("snr_db", [10.0, math.inf])
def test_of_a_lost_symbol_the_receiver_knows_nothing(snr_db: float) -> None:
    channel = channels.Erasure(0.5, 2)
    x = channels.complex_normal((50, 20), generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    out = channel(x, snr_db, generator=torch.Generator().manual_seed(0))
    received, error = channels.receive(channel, out)
    assert error is not None
    lost = out.h == 0
    assert 0.3 < float(lost.double().mean()) < 0.7
    assert bool((received[lost] == 0).all())
    assert bool((error[lost] == 1).all())
    n0 = 10 ** (-snr_db / 10)
    torch.testing.assert_close(error[~lost], torch.full_like(error[~lost], n0 / (2 + n0)))
    received.abs().square().sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(torch.view_as_real(x.grad)).all())
    assert bool((x.grad[lost] == 0).all())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"p": 1.0}, "p must be from 0 to below 1, got 1.0"),
        ({"p": -0.1}, "got -0.1"),
        ({"p": float("nan")}, "got nan"),
        ({"p": "half"}, "got 'half'"),
        ({"length": 0}, "length must be a positive whole number of symbols, got 0"),
        ({"length": 2.5}, "got 2.5"),
    ],
)
def test_bad_settings(settings: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        channels.Erasure(**settings)  # type: ignore[arg-type]
