"""The fast passes are those of the model."""

import pytest
import torch

from tests.witt.training.gpu.networks import NETWORKS, differences
from witt.codecs.presets import preset
from witt.training.gpu.mlp import fits_kernel
from witt.training.gpu.orders import Orders
from witt.training.gpu.passes import Lines, suits_kernel, whole_windows


@pytest.mark.parametrize("name", list(NETWORKS))
def test_pictures_and_gradients_are_those_of_the_model(name: str) -> None:
    """AWGN and Rayleigh in one batch, each image at its own SNR and rate."""
    sizes, side = NETWORKS[name]
    assert max(differences(sizes(), side, Lines())) < 1e-5


def test_orders_lead_from_windows_to_windows() -> None:
    orders, shape = Orders(2, torch.device("cpu")), (2, 4, 6)
    numbers = torch.arange(48)
    shifted = numbers[orders.move(shape, None, 1).there]
    assert shifted[:4].tolist() == [7, 8, 13, 14]  # rows 1 and 2, columns 1 and 2
    assert shifted[20:24].tolist() == [23, 18, 5, 0]  # the last window wraps around both ways
    plain = shifted[orders.move(shape, 1, 0).there]
    assert plain[:8].tolist() == [0, 1, 6, 7, 2, 3, 8, 9]
    assert torch.equal(plain[orders.move(shape, 0, None).there], numbers)
    move = orders.move(shape, None, 1)
    assert torch.equal(numbers[move.there][move.back], numbers)


def test_what_suits() -> None:
    base, cifar = preset("witt_base"), preset("witt_cifar")
    assert whole_windows(base, 128)
    assert not whole_windows(base, 192)
    assert suits_kernel(base, 16, 256)
    assert suits_kernel(cifar, 4, 32)
    assert not suits_kernel(preset("witt_cifar", window=4, heads=(3, 8), dims=(129, 256)), 4, 32)


@pytest.mark.parametrize(
    ("rows", "width", "hidden", "fits"),
    [(256, 64, 256, True), (256, 64, 160, False), (100, 64, 256, False), (256, 96, 384, False)],
)
def test_what_the_mlp_kernel_takes(rows: int, width: int, hidden: int, fits: bool) -> None:
    """Tiles of 64 rows and 64 hidden columns: a part of one would read what is not there."""
    assert fits_kernel(torch.empty(rows, width), hidden) is fits
