"""The spectrum of smooth features: transform, interpolation, and the gain it brings."""

import math

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor
from witt.linear import LinearDecoder, LinearEncoder, start_from_klt, start_spectrum

from witt.spectrum import KNOTS, Spectrum, dct, inverse_dct, knot_weights


def normal(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (8, 8), (5, 12)])
def test_dct_is_scipys(size: tuple[int, int]) -> None:
    x = normal(2, *size, 3)
    expected = scipy.fft.dctn(x.numpy(), axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(dct(x).numpy(), expected, atol=1e-12)
    torch.testing.assert_close(inverse_dct(dct(x)), x)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (32, 48), (300, 2)])
def test_interpolation_weights_are_a_partition(size: tuple[int, int]) -> None:
    weights = knot_weights(*size, like=normal(1))
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(size, dtype=torch.float64))


def test_a_power_law_is_met_exactly_at_every_frequency() -> None:
    """Piecewise linear in log-log holds c·f^a for all frequencies within the knots."""
    spectrum = Spectrum(1).double()
    slope = -2.0
    with torch.no_grad():
        spectrum.log.copy_(slope * math.log(2) * torch.tensor(KNOTS)[:, None])
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(16), indexing="ij")
    f = torch.sqrt((rows**2 + 0.25) / 48**2 + (columns**2 + 0.25) / 32**2)
    torch.testing.assert_close(spectrum(24, 16)[..., 0], f.double() ** slope, rtol=1e-5, atol=0)


def test_gradients() -> None:
    x = normal(2, 3, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(dct, x, fast_mode=True)
    assert torch.autograd.gradcheck(inverse_dct, x, fast_mode=True)
    spectrum = Spectrum(2).double()

    def values(log: Tensor) -> Tensor:
        return torch.func.functional_call(spectrum, {"log": log}, (3, 4))

    assert torch.autograd.gradcheck(values, normal(len(KNOTS), 2).requires_grad_(), fast_mode=True)


class TestLinearCode:
    """A Gaussian field whose blocks are one number with a known spectrum, sent over AWGN."""

    BLOCK, SIDE, SLOPE = 1, 16, -3.0

    def spectrum(self) -> Tensor:
        """(side, side) power of each frequency, mean 1."""
        spectrum = Spectrum(1).double()
        with torch.no_grad():
            spectrum.log.copy_(self.SLOPE * math.log(2) * torch.tensor(KNOTS)[:, None])
            power = spectrum(self.SIDE, self.SIDE)[..., 0]
        return power / power.mean()

    def fields(self, count: int) -> Tensor:
        """(count, 3, side, side), grey: the same field in three colours."""
        waves = normal(count, self.SIDE, self.SIDE, 1) * self.spectrum().sqrt()[..., None]
        return inverse_dct(waves).permute(0, 3, 1, 2).expand(-1, 3, -1, -1) / math.sqrt(3)

    def ends(self, smooth: int) -> tuple[LinearEncoder, LinearDecoder]:
        # Two channels make a symbol; the second has no power, as grey pictures have no colour.
        ends = (
            LinearEncoder(self.BLOCK, 2, 1, smooth).double(),
            LinearDecoder(self.BLOCK, 2, 1, smooth).double(),
        )
        direction = torch.full((3, 3), 1 / 3, dtype=torch.float64)
        start_from_klt(*ends, direction, torch.zeros(3))
        if smooth:
            ratio = self.SLOPE * math.log(2) * torch.tensor(KNOTS, dtype=torch.float64)
            level = torch.log(self.spectrum()[3, 3])
            at = (ratio @ knot_weights(self.SIDE, self.SIDE, ratio)[3, 3]).item()
            start_spectrum(*ends, (ratio - at + level)[:, None].expand(-1, smooth))
        return ends

    def mse(self, smooth: int, n0: float, count: int = 400) -> tuple[float, float]:
        """Measured mean squared error of a field's samples, and its standard error."""
        encoder, decoder = self.ends(smooth)
        image, condition = self.fields(count), torch.zeros(count, 1, dtype=torch.float64)
        features = encoder(image, condition)
        power = features.square().sum(-1).mean((1, 2))
        features = features / power.sqrt()[:, None, None, None]
        noisy = features + math.sqrt(n0 / 2) * normal(*features.shape, seed=9)
        error = torch.full_like(features, n0 / (1 + n0))  # after the MMSE equaliser
        amplitude = power.sqrt()[:, None, None, None]
        back = decoder(noisy / (1 + n0), error, amplitude, condition)
        errors = (back - image).square().sum(1).mean((1, 2))
        return errors.mean().item(), errors.std().item() / math.sqrt(count)

    @pytest.mark.parametrize("n0", [0.01, 0.3])
    def test_error_is_the_closed_form(self, n0: float) -> None:
        """Σ λ_f n/(p_f + n), p_f = √λ_f / mean √λ, n = N0/2 at unit power of the one channel."""
        values = self.spectrum()
        power = values.sqrt() / values.sqrt().mean()
        expected = (values * (n0 / 2) / (power + n0 / 2)).mean().item()
        measured, sigma = self.mse(2, n0)
        # The power is that of each field, not the mean one: under 1 % here.
        assert measured == pytest.approx(expected, abs=4 * sigma, rel=0.01)

    def test_less_is_lost_than_without(self) -> None:
        """At high SNR the error falls by (mean √λ)² / mean λ."""
        n0 = 1e-4
        ratio = self.mse(2, n0)[0] / self.mse(0, n0)[0]
        assert ratio == pytest.approx(self.spectrum().sqrt().mean().item() ** 2, rel=0.05)


def test_constant_spectrum_changes_nothing() -> None:
    plain, smooth = LinearEncoder(2, 6, 1).double(), LinearEncoder(2, 6, 1, 3).double()
    smooth.load_state_dict(plain.state_dict(), strict=False)
    image, condition = normal(2, 3, 6, 10), torch.zeros(2, 1, dtype=torch.float64)
    torch.testing.assert_close(plain(image, condition), smooth(image, condition))
    here, there = LinearDecoder(2, 6, 1).double(), LinearDecoder(2, 6, 1, 3).double()
    there.load_state_dict(here.state_dict(), strict=False)
    error = torch.full((2, 3, 5, 6), 0.2, dtype=torch.float64)
    amplitude = torch.full((2, 1, 1, 1), 1.3, dtype=torch.float64)
    arguments = (normal(2, 3, 5, 6, seed=3), error, amplitude, condition)
    torch.testing.assert_close(here(*arguments), there(*arguments))
