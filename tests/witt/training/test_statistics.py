"""The linear path starts from the true statistics, and is then the best linear code."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from witt.linear import LinearEncoder, start_from_klt
from witt.training.statistics import block_statistics, smooth_spectrum

import channels
import witt
from witt.spectrum import KNOTS, inverse_dct, knot_weights
from witt.training.objective import Conditions, send
from witt.training.pictures import Pictures


def test_covariance_is_that_of_the_blocks() -> None:
    """Pictures of one block each: every draw is that block, so the result is exact."""
    tiles = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    covariance, mean = block_statistics(Pictures([], tiles), 8, seed=0, blocks=40)
    blocks = F.pixel_unshuffle(torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255 - 0.5, 8)
    rows = blocks.flatten(1).double().numpy()
    np.testing.assert_allclose(mean, rows.mean(0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(rows.T, bias=True), atol=1e-6)


def test_blocks_are_drawn_from_everywhere() -> None:
    """The mean over random 4-pixel blocks of white noise of known variance, within 4 sigma."""
    tiles = np.random.default_rng(1).integers(0, 2, (50, 32, 32, 3), dtype=np.uint8) * 255
    covariance, _ = block_statistics(Pictures([], tiles), 4, seed=0, blocks=20_000)
    off = covariance - torch.diag(covariance.diagonal())
    # Bernoulli pixels: variance 1/4; 50 pictures have 153,600 different ones.
    assert float((covariance.diagonal().mean() - 0.25).abs()) < 0.25 * 4 / 153_600**0.5
    assert float(off.mean().abs()) < 4 * 0.25 / 153_600**0.5


def test_pictures_smaller_than_a_block_are_mirrored() -> None:
    tiles = np.random.default_rng(2).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    covariance, mean = block_statistics(Pictures([], tiles), 16, seed=0, blocks=8)
    assert covariance.shape == (3 * 16**2, 3 * 16**2)
    pixels = mean.reshape(3, 16, 16)
    torch.testing.assert_close(pixels[:, 8:], pixels[:, :8].flip(1))


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
@pytest.mark.parametrize("spreads", [False, True])
def test_start_reaches_the_lmmse_distortion(snr_db: float, spreads: bool) -> None:
    """Gaussian blocks of known covariance over AWGN, the network silenced.

    Features have power p_i = sqrt(λ_i) up to a factor; sent at unit mean power of a symbol, each
    sees a noise of N0/2, so that D_i = λ_i (N0/2) / (s² p_i + N0/2), and what is not sent costs
    λ_i. Spread symbols have equal error variances, so over AWGN nothing changes.
    """
    model = witt.create_model(
        "witt_light",
        dims=(8, 12),
        depths=(1, 1),
        heads=(1, 1),
        patch=2,
        channels=24,
        cbr_range=None,
        spreads=spreads,
    )
    size = 3 * model.config.stride**2
    distance = torch.arange(size, dtype=torch.float64)
    covariance = 1e-2 * 0.9 ** (distance[:, None] - distance).abs()
    encoder, decoder = model.encoder.linear, model.decoder.linear
    assert encoder is not None
    assert decoder is not None
    start_from_klt(encoder, decoder, covariance, torch.zeros(size, dtype=torch.float64))
    with torch.no_grad():
        model.encoder.head.weight.zero_()
        model.encoder.head.bias.zero_()
        model.decoder.out.weight.zero_()
        model.decoder.out.bias.zero_()

    generator = torch.Generator().manual_seed(0)
    batch, side = 4, 32  # tokens each way
    root = torch.linalg.cholesky(covariance)
    rows = torch.randn(batch * side**2, size, generator=generator, dtype=torch.float64) @ root.T
    grid = rows.float().reshape(batch, side, side, size).permute(0, 3, 1, 2)
    image = F.pixel_shuffle(grid, model.config.stride) + 0.5
    at = Conditions(torch.full((batch,), snr_db), torch.full((batch,), 24))
    with torch.no_grad():
        received = send(model, image, at, [channels.AWGN()], generator)
    errors = F.pixel_unshuffle(received - image, model.config.stride).square().sum(dim=1).flatten()

    values = torch.linalg.eigvalsh(covariance).flip(0)
    power = values[:24].sqrt()
    noise = 10 ** (-snr_db / 10) / 2
    per_feature = power / (2 * power.mean())
    expected = (values[:24] * noise / (per_feature + noise)).sum() + values[24:].sum()
    sigma = float(errors.std()) / len(errors) ** 0.5
    assert abs(float(errors.mean()) - float(expected)) < 4 * sigma
    assert sigma < 0.02 * float(expected)


@pytest.mark.parametrize("slope", [0.0, -2.0])
def test_spectrum_is_that_of_the_pictures(slope: float) -> None:
    """Grey fields of blocks with a power law over the frequency, each block of one level."""
    count, side, block = 200, 16, 2
    log = slope * np.log(2) * torch.tensor(KNOTS, dtype=torch.float64)
    weights = knot_weights(side, side, log)
    power = torch.exp(weights @ log)
    power = power / power.mean()
    generator = torch.Generator().manual_seed(3)
    waves = torch.randn(count, side, side, 1, generator=generator, dtype=torch.float64)
    fields = inverse_dct(waves * power.sqrt()[..., None])
    tiles = (128 + 20 * fields).round().clamp(0, 255).to(torch.uint8)
    tiles = tiles.repeat_interleave(block, 1).repeat_interleave(block, 2).expand(-1, -1, -1, 3)

    encoder = LinearEncoder(block, 2, 1, smooth=2)
    torch.nn.init.constant_(encoder.analysis.weight, 1.0)
    torch.nn.init.zeros_(encoder.analysis.bias)
    measured = smooth_spectrum(Pictures([], tiles.numpy()), encoder, seed=0)
    torch.testing.assert_close(measured[:, 0], measured[:, 1])
    # Of the knots with bins near them, the mean power as weighted there.
    total = weights.sum((0, 1))
    expected = (weights * power[..., None]).sum((0, 1)) / total.clamp_min(1e-9)
    near = total > 1
    # A mean over n bins of count pictures each has a relative error of √(2 / n·count).
    sigma = (2 / (total[near] * count)).sqrt()
    overall = (2 * power.square().sum() / count).sqrt() / power.sum()
    ratio = (measured[:, 0].exp().double() / expected)[near]
    assert bool(((ratio - 1).abs() < 4 * (sigma.square() + overall**2).sqrt() + 0.02).all()), ratio
