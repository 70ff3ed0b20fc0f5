"""The linear path: closed-form mean squared errors for a Gaussian source, inverse pair, rates."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.linear import ConditionalGain, LinearDecoder, LinearEncoder, start_from_klt

BLOCK, CHANNELS = 2, 8
SIZE = 3 * BLOCK**2  # numbers in a block


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def source() -> tuple[Tensor, Tensor]:
    """Covariance (eigenvalues 1, 1/2, 1/4, …) and mean of a Gaussian block."""
    basis, _ = torch.linalg.qr(normal(SIZE, SIZE))
    values = 0.5 ** torch.arange(SIZE, dtype=torch.float64)
    return (basis * values) @ basis.T, 0.3 * normal(SIZE, seed=2)


def pair(conditions: int = 1) -> tuple[LinearEncoder, LinearDecoder]:
    """Both ends in float64, at the KLT of `source`."""
    encoder = LinearEncoder(BLOCK, CHANNELS, conditions).double()
    decoder = LinearDecoder(BLOCK, CHANNELS, conditions).double()
    start_from_klt(encoder, decoder, *source())
    return encoder, decoder


def images(count: int, seed: int = 3) -> Tensor:
    """Pictures of one block, (count, 3, 2, 2), drawn from `source`."""
    covariance, mean = source()
    blocks = normal(count, SIZE, seed=seed) @ torch.linalg.cholesky(covariance).T + mean
    # pixel_unshuffle order: colour, row, column.
    return blocks.reshape(count, 3, BLOCK, BLOCK)


def amplitude(decoder: LinearDecoder) -> Tensor:
    """Root-mean-square of a symbol over the source: two features share it."""
    return (2 * decoder.log_power.detach().exp().mean()).sqrt().reshape(1, 1, 1, 1)


def test_blocks_are_the_pictures_blocks() -> None:
    encoder, _ = pair()
    picture = normal(1, 3, 4, 6)
    out = encoder(picture, torch.zeros(1, 1).double())[0]
    assert out.shape == (2, 3, CHANNELS)
    for row, column in np.ndindex(2, 3):
        block = picture[0, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(-1)
        torch.testing.assert_close(out[row, column], encoder.analysis(block))


def test_features_have_the_powers_of_the_klt() -> None:
    """Uncorrelated, of mean 0, and of power √λ up to one constant."""
    encoder, decoder = pair()
    covariance, mean = source()
    w, b = encoder.analysis.weight.detach(), encoder.analysis.bias.detach()
    torch.testing.assert_close(w @ mean + b, torch.zeros(CHANNELS).double())
    powers = w @ covariance @ w.T
    torch.testing.assert_close(powers, torch.diag(decoder.log_power.detach().exp()))
    roots = torch.linalg.eigvalsh(covariance).flip(0)[:CHANNELS].sqrt()
    torch.testing.assert_close(powers.diagonal() / roots, (powers[0, 0] / roots[0]).expand(8))
    assert powers.diagonal()[: CHANNELS // 2].mean().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("kept", [CHANNELS, 4])
def test_without_noise_the_ends_project_on_the_first_eigenvectors(kept: int) -> None:
    encoder, decoder = pair()
    covariance, mean = source()
    picture, condition = images(50), torch.zeros(50, 1).double()
    features = encoder(picture, condition)
    unsent = torch.arange(CHANNELS) >= kept
    features = features.masked_fill(unsent, 0)
    error = unsent.double().expand(features.shape)
    scale = amplitude(decoder)
    back = decoder(features / scale, error, scale, condition)

    vectors = torch.linalg.eigh(covariance)[1].flip(1)[:, :kept]
    centred = picture.reshape(50, SIZE) - mean
    expected = centred @ vectors @ vectors.T + mean
    torch.testing.assert_close(back.reshape(50, SIZE), expected)


@pytest.mark.parametrize("snr_db", [-2.0, 10.0])
@pytest.mark.parametrize("fading", [False, True], ids=["awgn", "rayleigh"])
@pytest.mark.parametrize("kept", [CHANNELS, 6])
def test_mean_squared_error_is_the_closed_form(snr_db: float, fading: bool, kept: int) -> None:
    """Σ λ_i n/(p_i + n) over what is sent, with n = N0/2|h|² a feature, plus Σ λ_i of the rest.

    p_i is the power of feature i in the symbols; the squared errors of blocks are independent.
    """
    count, n0 = 20_000, 10 ** (-snr_db / 10)
    encoder, decoder = pair()
    picture, condition = images(count), torch.zeros(count, 1).double()
    scale = amplitude(decoder)
    sent = (encoder(picture, condition) / scale)[..., :kept].reshape(count, kept // 2, 2)
    x = torch.view_as_complex(sent.contiguous())
    h = torch.ones_like(x)
    if fading:
        h = torch.randn(x.shape, generator=seeded(4), dtype=x.dtype)
    noise = torch.randn(x.shape, generator=seeded(5), dtype=x.dtype)  # torch's is CN(0, 1)
    y = h * x + math.sqrt(n0) * noise
    gain = h.abs() ** 2
    received = torch.view_as_real(h.conj() * y / (gain + n0)).reshape(count, 1, 1, kept)
    error = (n0 / (gain + n0)).repeat_interleave(2, dim=1).reshape(count, 1, 1, kept)
    rest = (0, CHANNELS - kept)
    back = decoder(F.pad(received, rest), F.pad(error, rest, value=1.0), scale, condition)

    values = torch.linalg.eigvalsh(source()[0]).flip(0)
    power = (decoder.log_power.detach().exp() / scale.flatten() ** 2)[:kept]
    level = n0 / (2 * gain.repeat_interleave(2, dim=1))
    expected = (values[:kept] * level / (power + level)).sum(1) + values[kept:].sum()
    excess = ((back - picture) ** 2).sum((1, 2, 3)).detach() - expected
    assert abs(excess.mean().item()) < 4 * excess.std().item() / math.sqrt(count)


def test_gains_are_the_best_at_high_snr() -> None:
    """λ^(−1/4) beats equal power and no gains for the same transmit power (Lee & Petersen)."""
    values = torch.linalg.eigvalsh(source()[0]).flip(0)[:CHANNELS]
    encoder, _ = pair()
    own = torch.linalg.norm(encoder.analysis.weight.detach(), dim=1)

    def error(gains: Tensor) -> float:
        gains = gains / (gains**2 * values).sum().sqrt()
        return (1e-6 / gains**2).sum().item()  # n/g² is what is left of each at high SNR

    least = error(own)
    assert least < error(torch.ones(CHANNELS).double())
    assert least < error(values**-0.5)
    for seed in range(20):
        assert least < error(own * (1 + 0.05 * normal(CHANNELS, seed=seed)))


def test_gain_starts_at_one_and_follows_the_condition() -> None:
    gain = ConditionalGain(2, 6).double()
    condition = normal(3, 2)
    assert torch.equal(gain(condition), torch.ones(3, 1, 1, 6).double())
    nn.init.constant_(gain.out.bias, math.log(2))
    torch.testing.assert_close(gain(condition), torch.full((3, 1, 1, 6), 2.0).double())


def test_rank_deficient_statistics_stay_finite() -> None:
    """Grey pictures, for one, leave two thirds of the covariance at 0."""
    encoder, decoder = LinearEncoder(BLOCK, CHANNELS, 1), LinearDecoder(BLOCK, CHANNELS, 1)
    direction = torch.ones(SIZE) / math.sqrt(SIZE)
    start_from_klt(encoder, decoder, torch.outer(direction, direction), torch.zeros(SIZE))
    for module in (encoder, decoder):
        assert all(p.isfinite().all() for p in module.parameters())


def test_gradients() -> None:
    encoder, decoder = pair(conditions=2)
    for gain in (encoder.gain, decoder.trust):  # they start flat
        nn.init.normal_(gain.out.weight, std=0.1, generator=seeded(6))
    condition = normal(2, 2).requires_grad_()
    picture = normal(2, 3, 4, 2, seed=7).requires_grad_()
    assert torch.autograd.gradcheck(encoder, (picture, condition), fast_mode=True)
    features = normal(2, 2, 1, CHANNELS, seed=8).requires_grad_()
    error = torch.rand(2, 2, 1, CHANNELS, generator=seeded(9), dtype=torch.float64)
    scale = normal(2, 1, 1, 1, seed=10).abs() + 0.5
    inputs = (features, error.requires_grad_(), scale.requires_grad_(), condition)
    assert torch.autograd.gradcheck(decoder, inputs, fast_mode=True)

    def of_the_powers(log_power: Tensor) -> Tensor:
        arguments = (features.detach(), error.detach(), scale.detach(), condition.detach())
        return torch.func.functional_call(decoder, {"log_power": log_power}, arguments)

    assert torch.autograd.gradcheck(of_the_powers, (decoder.log_power,), fast_mode=True)
