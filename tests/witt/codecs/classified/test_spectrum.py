"""The spectrum of smooth features: transform, interpolation, and the gain it brings."""

import math

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor

from witt.codecs.classified.spectrum import OCTAVES, dct, interpolation_weights, inverse_dct


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
    weights = interpolation_weights(*size, like=normal(1))
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(size, dtype=torch.float64))


def test_a_power_law_is_met_exactly_at_every_frequency() -> None:
    """Piecewise linear in log-log holds c·f^a for all frequencies within the nodes."""
    slope = -2.0
    log = slope * math.log(2) * torch.tensor(OCTAVES, dtype=torch.float64)
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(16), indexing="ij")
    f = torch.sqrt((rows**2 + 0.25) / 48**2 + (columns**2 + 0.25) / 32**2)
    spectrum = torch.exp(interpolation_weights(24, 16, log) @ log)
    torch.testing.assert_close(spectrum, f.double() ** slope, rtol=1e-5, atol=0)


def test_gradients() -> None:
    x = normal(2, 3, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(dct, x, fast_mode=True)
    assert torch.autograd.gradcheck(inverse_dct, x, fast_mode=True)
