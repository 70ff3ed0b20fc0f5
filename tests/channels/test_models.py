"""What the channels draw, against its distribution. Tolerances are 4 sigma of the sample size."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

import channels

FOUR_SIGMA_P = 2 * float(stats.norm.sf(4))
N = 200_000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def power(z: Tensor) -> Tensor:
    return z.real**2 + z.imag**2


def gain(channel: channels.Channel, batch: int, n: int, seed: int = 0) -> Tensor:
    return channel.sample_gain(batch, n, dtype=torch.complex128, generator=seeded(seed))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 7.0, 20.0])
def test_noise_is_circular_gaussian_of_the_nominal_variance(snr_db: float) -> None:
    x = torch.full((1, N), 1 + 2j, dtype=torch.complex128)  # its power is 5: N0 is not relative
    y, h, noise_var = channels.AWGN()(x, snr_db, generator=seeded())
    n0 = 10 ** (-snr_db / 10)
    noise = (y - h * x).squeeze(0)
    i, q = noise.real, noise.imag

    assert noise_var.item() == pytest.approx(n0, rel=1e-12)
    assert torch.equal(h, torch.ones(1, 1, dtype=torch.complex128))
    assert abs(power(noise).mean() - n0) < 4 * n0 / math.sqrt(N)
    for part in (i, q):
        assert abs((part**2).mean() - n0 / 2) < 4 * (n0 / 2) * math.sqrt(2 / N)
        assert abs(part.mean()) < 4 * math.sqrt(n0 / 2 / N)
        standard = (part / math.sqrt(n0 / 2)).numpy()
        assert stats.kstest(standard, stats.norm.cdf).pvalue > FOUR_SIGMA_P
    assert abs((i * q).mean()) < 4 * (n0 / 2) / math.sqrt(N)
    # White: neighbouring symbols share nothing.
    lag = (noise[1:] * noise[:-1].conj()).mean()
    assert max(abs(lag.real), abs(lag.imag)) < 4 * n0 / math.sqrt(2 * (N - 1))


def test_each_image_gets_its_own_snr() -> None:
    snr_db = torch.tensor([-2.0, 5.0, 13.0], dtype=torch.float64)
    x = torch.zeros((3, N), dtype=torch.complex128)
    y, _, noise_var = channels.AWGN()(x, snr_db, generator=seeded())
    for k, n0 in enumerate((10 ** (-snr_db / 10)).tolist()):
        assert noise_var[k].item() == pytest.approx(n0, rel=1e-12)
        assert abs(power(y[k]).mean() - n0) < 4 * n0 / math.sqrt(N)


def test_images_share_neither_noise_nor_gain() -> None:
    x = torch.zeros((2, N), dtype=torch.complex128)
    y, h, _ = channels.Rayleigh()(x, 0.0, generator=seeded())
    for a in (y, h):
        cross = (a[0] * a[1].conj()).mean()
        assert max(abs(cross.real), abs(cross.imag)) < 4 / math.sqrt(2 * N)
    # Nor are the gain and the noise one draw.
    cross = (y * h.conj()).mean()
    assert max(abs(cross.real), abs(cross.imag)) < 4 / math.sqrt(2 * 2 * N)


def test_rayleigh_gain_is_circular_and_its_power_exponential() -> None:
    h = gain(channels.Rayleigh(), 1, N).squeeze(0)
    assert stats.kstest(power(h).numpy(), stats.expon.cdf).pvalue > FOUR_SIGMA_P
    phase = (torch.angle(h) / (2 * math.pi) + 0.5).numpy()
    assert stats.kstest(phase, stats.uniform.cdf).pvalue > FOUR_SIGMA_P
    assert abs(power(h).mean() - 1) < 4 / math.sqrt(N)
    lag = (h[1:] * h[:-1].conj()).mean()
    assert max(abs(lag.real), abs(lag.imag)) < 4 / math.sqrt(2 * (N - 1))


@pytest.mark.parametrize("k_factor_db", [-10.0, 0.0, 6.0, 13.0])
def test_rician_gain_against_the_noncentral_chi_squared(k_factor_db: float) -> None:
    k = 10 ** (k_factor_db / 10)
    h = gain(channels.Rician(k_factor_db), 1, N).squeeze(0)
    variance = (1 + 2 * k) / (1 + k) ** 2  # of |h|^2
    assert abs(power(h).mean() - 1) < 4 * math.sqrt(variance / N)
    # Moments of CN about sqrt(K/(K+1)): the line of sight is real and positive.
    scatter = h - math.sqrt(k / (k + 1))
    assert abs(scatter.real.mean()) < 4 * math.sqrt(0.5 / (k + 1) / N)
    assert abs(scatter.imag.mean()) < 4 * math.sqrt(0.5 / (k + 1) / N)
    assert abs(power(scatter).mean() - 1 / (k + 1)) < 4 / (k + 1) / math.sqrt(N)
    law = stats.ncx2(df=2, nc=2 * k)
    assert stats.kstest((2 * (k + 1) * power(h)).numpy(), law.cdf).pvalue > FOUR_SIGMA_P


@pytest.mark.parametrize("make", [channels.Rayleigh, lambda c: channels.Rician(3.0, c)])
def test_a_block_has_one_gain_and_blocks_are_independent(make: type[channels.Rayleigh]) -> None:
    batch, n, coherence = 40, 10_003, 10  # the last block has 3 symbols
    h = gain(make(coherence), batch, n)
    assert h.shape == (batch, n)
    whole = h[:, :10_000].reshape(batch, -1, coherence)
    assert torch.equal(whole, whole[:, :, :1].expand_as(whole))
    assert torch.equal(h[:, 10_000:], h[:, 10_000:10_001].expand(-1, 3))
    last_pair = whole[:, -1, 0], h[:, -1]
    assert (last_pair[0] != last_pair[1]).all()

    firsts = whole[:, :, 0]
    scatter = firsts - firsts.mean()
    spread = power(scatter).mean().item()
    product = scatter[:, 1:] * scatter[:, :-1].conj()
    lag = product.mean()
    assert max(abs(lag.real), abs(lag.imag)) < 4 * spread / math.sqrt(2 * product.numel())


def test_block_fading_keeps_unit_mean_power() -> None:
    h = gain(channels.Rayleigh(coherence=4), 50, 16_000)
    assert abs(power(h).mean() - 1) < 4 / math.sqrt(50 * 16_000 / 4)


@pytest.mark.parametrize("make", [channels.Rayleigh, lambda c: channels.Rician(0.0, c)])
def test_one_gain_an_image(make: type[channels.Rayleigh]) -> None:
    x = torch.ones((5000, 3), dtype=torch.complex128)
    y, h, _ = make(None)(x, math.inf, generator=seeded())
    assert h.shape == (5000, 1)
    assert torch.equal(y, h.expand(-1, 3))
    assert torch.unique(h.real).numel() == 5000
    assert abs(power(h).mean() - 1) < 4 / math.sqrt(5000)


def test_fast_rayleigh_is_the_default_and_the_flags_say_what_fades() -> None:
    assert channels.Rayleigh().coherence == 1
    flags = [c.fading for c in (channels.AWGN(), channels.Rayleigh(), channels.Rician())]
    assert flags == [False, True, True]


def test_repr_shows_the_parameters() -> None:
    assert repr(channels.Rician(3.0, None)) == "Rician(k_factor_db=3, coherence=None)"
    assert repr(channels.Rayleigh(8)) == "Rayleigh(coherence=8)"


@pytest.mark.parametrize("v", [0.0, 0.03, 0.4])
def test_an_estimate_of_stated_error_is_uncorrelated_with_its_error(v: float) -> None:
    channel, x = channels.Estimated(v), torch.ones((1, N), dtype=torch.complex128)
    drawn, noise = channel.draw(1, N, dtype=torch.complex128, generator=seeded())
    assert drawn is not None
    y, h_hat, noise_var = channel(x, 10.0, h=drawn, noise=noise)
    h = drawn[:, ::2]
    torch.testing.assert_close(y, h + 0.1**0.5 * noise)
    assert noise_var.item() == pytest.approx(0.1 + v)
    assert abs(power(h - h_hat).mean() - v) < 4 * v / math.sqrt(N) + 1e-12
    assert abs((h_hat * (h - h_hat).conj()).mean()) < 4 * math.sqrt(v * (1 - v) / N) + 1e-12
    # What it claims after the equaliser is what there is.
    sent = channels.complex_normal((1, N), dtype=torch.complex128, generator=seeded(5))
    x_hat, error = channels.mmse(*channel(sent, 10.0, h=drawn, noise=noise))
    each = power(x_hat - sent) - error
    assert abs(each.mean()) < 4 * each.std() / math.sqrt(N)


def test_an_estimate_of_one_gain_an_image() -> None:
    _, h, _ = channels.Estimated(0.1, None)(torch.ones((2, 5), dtype=torch.complex64), 10.0)
    assert torch.equal(h, h[:, :1].expand(2, 5))
    with pytest.raises(ValueError, match="error_var must be from 0 to 1"):
        channels.Estimated(-0.1)
