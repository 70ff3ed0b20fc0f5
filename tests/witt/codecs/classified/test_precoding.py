"""The DFT in real numbers is the unitary one of complex symbols."""

import numpy as np
import pytest
import torch

from witt.codecs.classified.precoding import dft_matrix

LIKE = torch.zeros(1, dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_it_is_numpys_unitary_fft(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.normal(size=(3, n)) + 1j * rng.normal(size=(3, n))
    pairs = torch.view_as_real(torch.from_numpy(x)).flatten(1)
    found = (pairs @ dft_matrix(n, LIKE)).unflatten(1, (n, 2))
    expected = np.fft.fft(x, norm="ortho")
    np.testing.assert_allclose(torch.view_as_complex(found).numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_its_inverse_is_its_transpose(n: int) -> None:
    matrix = dft_matrix(n, LIKE)
    eye = torch.eye(2 * n, dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, eye, rtol=0, atol=1e-14)
    assert dft_matrix(n, LIKE.float()).dtype == torch.float32
