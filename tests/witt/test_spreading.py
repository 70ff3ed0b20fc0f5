"""Spreading is unitary, exactly undone, and averages the error over a token's symbols."""

import pytest
import torch

import channels
from witt.spreading import despread, despread_error, spread


def symbols(batch: int = 3, tokens: int = 5, n: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, tokens, n, dtype=torch.complex128, generator=generator)


def test_each_token_is_multiplied_by_the_dft_matrix():
    x = symbols()
    n = x.shape[-1]
    index = torch.arange(n, dtype=torch.float64)
    matrix = torch.exp(-2j * torch.pi * index[:, None] * index / n) / n**0.5
    torch.testing.assert_close(spread(x), torch.einsum("kn,btn->btk", matrix, x))


def test_a_rate_for_each_image_equals_images_by_themselves():
    uses = torch.tensor([4, 12, 7])
    x = symbols()
    x = x * (torch.arange(12) < uses[:, None])[:, None]
    together = spread(x, uses)
    for i, n in enumerate(uses.tolist()):
        torch.testing.assert_close(together[i, :, :n], spread(x[i : i + 1, :, :n])[0])
        assert not together[i, :, n:].any()
    torch.testing.assert_close(despread(together, uses), x)


def test_power_is_kept():
    x = symbols()
    torch.testing.assert_close(spread(x).abs().square().sum(-1), x.abs().square().sum(-1))


def test_error_is_the_mean_over_what_is_sent():
    error = torch.rand(2, 3, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    uses = torch.tensor([8, 5])
    result = despread_error(error, uses)
    torch.testing.assert_close(result[0], error[0].mean(-1, keepdim=True).expand(3, 8))
    torch.testing.assert_close(
        result[1, :, :5], error[1, :, :5].mean(-1, keepdim=True).expand(3, 5)
    )
    torch.testing.assert_close(despread_error(error), despread_error(error, torch.tensor([8, 8])))


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_measured_error_over_rayleigh_is_the_promised_one(snr_db: float):
    generator = torch.Generator().manual_seed(3)
    x = channels.complex_normal((20_000, 16), dtype=torch.complex128, generator=generator)
    sent = spread(x[:, None]).flatten(1)
    x_hat, error = channels.mmse(*channels.Rayleigh()(sent, snr_db, generator=generator))
    measured = (despread(x_hat[:, None])[:, 0] - x).abs().square().mean(1)
    promised = despread_error(error[:, None])[:, 0].mean(1)
    difference = measured - promised  # independent tokens
    assert difference.mean().abs() < 4 * difference.std() / len(x) ** 0.5


def test_gradients():
    uses = torch.tensor([2, 3])
    x = symbols(2, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: spread(v, uses), x)
    assert torch.autograd.gradcheck(lambda v: despread(v, uses), x)
    error = symbols(2, 2, 3).real.abs().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: despread_error(v, uses), error)
