"""Equalisers: their estimates, and the error variance that they claim."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import integrate
from torch import Tensor

import channels

Equaliser = Callable[[Tensor, Tensor, Tensor], channels.Equalised]
EQUALISERS = [channels.mmse, channels.zero_forcing]
both = pytest.mark.parametrize("equalise", EQUALISERS, ids=lambda f: f.__name__)
N = 200_000


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return channels.complex_normal(shape, dtype=dtype, generator=generator)


def send(channel: channels.Channel, snr_db: float) -> tuple[Tensor, channels.ChannelOutput]:
    x = normal(1, N, seed=1)
    return x, channel(x, snr_db, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("snr_db", [-3.0, 5.0, 15.0])
@pytest.mark.parametrize("h", [1.0 + 0j, 0.3 - 0.4j])
def test_error_variance_given_h(snr_db: float, h: complex) -> None:
    n0, gain = 10 ** (-snr_db / 10), abs(h) ** 2
    x = normal(1, N, seed=1)
    received = channels.AWGN()(x, snr_db, h=torch.tensor([[h]]), noise=normal(1, N, seed=2))
    expected = {channels.mmse: n0 / (gain + n0), channels.zero_forcing: n0 / gain}
    for equalise, error_var in expected.items():
        x_hat, claimed = equalise(*received)
        # h came in as complex64: 0.3 and 0.4 are rounded.
        torch.testing.assert_close(claimed, torch.full_like(claimed, error_var), rtol=1e-6, atol=0)
        # The error of Gaussian symbols is CN(0, error_var): its power has that standard deviation.
        measured = (x_hat - x).abs().square().mean().item()
        assert abs(measured - error_var) < 4 * error_var / math.sqrt(N)


@pytest.mark.parametrize("snr_db", [-5.0, 1.0, 10.0])
def test_mean_mmse_over_rayleigh(snr_db: float) -> None:
    n0 = 10 ** (-snr_db / 10)
    x, received = send(channels.Rayleigh(), snr_db)
    x_hat, claimed = channels.mmse(*received)
    # E[N0 / (|h|^2 + N0)], |h|^2 ~ Exp(1)
    expected = integrate.quad(lambda t: math.exp(-t) * n0 / (t + n0), 0, math.inf)[0]
    for sample in (claimed, (x_hat - x).abs().square()):
        assert abs(sample.mean().item() - expected) < 4 * sample.std().item() / math.sqrt(N)


def test_error_is_orthogonal_to_what_was_received() -> None:
    x, received = send(channels.Rayleigh(), 3.0)
    x_hat = channels.mmse(*received).x_hat
    for product in (
        (x_hat - x) * received.y.conj(),
        (x_hat - x) * (received.h * received.y.conj()),
        (x_hat - x) * x_hat.conj(),
    ):
        for part in (product.real, product.imag):
            assert abs(part.mean().item()) < 4 * part.std().item() / math.sqrt(N)


def test_mmse_beats_zero_forcing_and_turns_into_it() -> None:
    _, received = send(channels.Rician(0.0), 4.0)
    best, unbiased = channels.mmse(*received), channels.zero_forcing(*received)
    assert (best.noise_var < unbiased.noise_var).all()
    assert (best.noise_var < 1).all()
    e = best.noise_var
    torch.testing.assert_close(best.x_hat / (1 - e), unbiased.x_hat)
    torch.testing.assert_close(e / (1 - e), unbiased.noise_var)


@both
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize(
    "channel", [channels.AWGN(), channels.Rayleigh(), channels.Rayleigh(None)], ids=repr
)
def test_shapes_and_precision(
    equalise: Equaliser, dtype: torch.dtype, channel: channels.Channel
) -> None:
    x = normal(3, 10, seed=1, dtype=dtype)
    generator = torch.Generator().manual_seed(2)
    x_hat, noise_var = equalise(*channel(x, torch.tensor([0.0, 5.0, 9.0]), generator=generator))
    assert (x_hat.shape, x_hat.dtype) == (x.shape, dtype)
    assert (noise_var.shape, noise_var.dtype) == (x.shape, x.real.dtype)


@both
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.complex64, 1e-4), (torch.complex128, 1e-12)])
def test_without_noise_the_symbols_come_back(
    equalise: Equaliser, dtype: torch.dtype, rtol: float
) -> None:
    x, h = normal(2, 50, seed=1, dtype=dtype), normal(2, 50, seed=2, dtype=dtype)
    noise = torch.zeros_like(x)
    x_hat, noise_var = equalise(*channels.Rayleigh()(x, math.inf, h=h, noise=noise))
    torch.testing.assert_close(x_hat, x, rtol=rtol, atol=0)
    assert (noise_var == 0).all()


@both
def test_nothing_crosses_the_images(equalise: Equaliser) -> None:
    y, h = normal(4, 8, seed=1), normal(4, 1, seed=2)
    noise_var = torch.tensor([[0.1], [0.5], [0.0], [2.0]], dtype=torch.float64)
    whole = equalise(y, h, noise_var)
    halves = [equalise(y[p], h[p], noise_var[p]) for p in (slice(0, 2), slice(2, 4))]
    assert torch.equal(whole.x_hat, torch.cat([half.x_hat for half in halves]))
    assert torch.equal(whole.noise_var, torch.cat([half.noise_var for half in halves]))


@both
@pytest.mark.parametrize("gains", [1, 4])
def test_gradients(equalise: Equaliser, gains: int) -> None:
    y, h = normal(2, 4, seed=1).requires_grad_(), normal(2, gains, seed=2).requires_grad_()
    noise_var = torch.tensor([[0.1], [0.7]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *a: tuple(equalise(*a)), (y, h, noise_var))


@both
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("n0", [0.0, 1e-12, 1.0, 1e10])
def test_a_gain_of_zero_stays_finite(equalise: Equaliser, dtype: torch.dtype, n0: float) -> None:
    y = normal(1, 4, seed=1, dtype=dtype).requires_grad_()
    h = torch.tensor([[0, 1e-30, 1e-6, 1]], dtype=dtype, requires_grad=True)
    noise_var = torch.tensor([[n0]], dtype=y.real.dtype, requires_grad=True)
    x_hat, error_var = equalise(y, h, noise_var)
    assert x_hat[0, 0] == 0
    (x_hat.real.sum() + x_hat.imag.sum() + error_var.sum()).backward()
    assert torch.isfinite(torch.view_as_real(x_hat)).all()
    assert torch.isfinite(error_var).all()
    for leaf in (y, h, noise_var):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad.abs()).all()


@pytest.mark.parametrize("n0", [0.0, 0.5])
def test_mmse_knows_nothing_of_a_symbol_that_a_fade_swallowed(n0: float) -> None:
    x_hat, error_var = channels.mmse(
        torch.ones(1, 1, dtype=torch.complex64),
        torch.zeros(1, 1, dtype=torch.complex64),
        torch.tensor([[n0]]),
    )
    assert x_hat.item() == 0
    assert error_var.item() == 1


@both
def test_what_does_not_fit_is_refused(equalise: Equaliser) -> None:
    y, h, noise_var = normal(2, 4, seed=1), normal(2, 4, seed=2), torch.ones(2, 1)
    for bad_h in (h[:, :3], h.unsqueeze(0)):
        with pytest.raises(ValueError, match=r"h must be broadcastable to y \(2, 4\)"):
            equalise(y, bad_h, noise_var)
    with pytest.raises(ValueError, match=r"noise_var must be broadcastable.*\(3, 1\)"):
        equalise(y, h, torch.ones(3, 1))
    with pytest.raises(ValueError, match="noise_var must be real"):
        equalise(y, h, noise_var.to(torch.complex64))
    with pytest.raises(ValueError, match="symbols must be"):
        equalise(y.real, h, noise_var)
