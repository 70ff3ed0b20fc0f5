"""Training with every kind of block: the optimisers take its matrices, and it learns."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import witt
from witt.registry import BLOCKS
from witt.training.config import TrainConfig
from witt.training.optimizer import Muon, optimizers
from witt.training.pictures import Pictures
from witt.training.run import Run
from witt.training.soap import Soap
from witt.training.start import initial_model

SIZES = {"dims": [8, 12], "depths": [1, 2], "heads": [2, 3], "modnet_layers": 1}
every_block = pytest.mark.parametrize("block", BLOCKS.names())


@every_block
def test_it_learns(
    block: str,
    settings: Callable[..., TrainConfig],
    picture: Callable[..., np.ndarray],
    tmp_path: Path,
) -> None:
    """One picture over and over: 2 dB in 40 steps, by SOAP and AdamW."""
    config = settings(
        preset="witt_cifar_narrow",
        overrides={**SIZES, "block": block, "mlp_ratio": 2.0},
        cbr=("1/3",),
        snr=(20,),
        steps=40,
        batch=2,
        warmup=5,
        lr=3e-3,
        soap_lr=3e-3,
    )
    tiles = picture(3, 32, 32)[None]
    run = Run(config, tmp_path, initial_model(config), Pictures([], tiles))
    image = torch.from_numpy(tiles).permute(0, 3, 1, 2).expand(2, 3, 32, 32).float() / 255
    figures = [run.train_step(image)[0] for _ in range(40)]
    assert np.mean(figures[-5:]) > np.mean(figures[:5]) + 2


@every_block
def test_matrices_and_kernels_of_blocks_are_taken(block: str) -> None:
    """By Muon or SOAP; not what is added by distance, nor kernels of one feature each."""
    model = witt.create_model("witt_cifar_narrow", block=block)
    taker, _ = optimizers(model, 1e-3, 0.01)
    taken = {id(p) for group in taker.param_groups for p in group["params"]}
    for name, p in model.named_parameters():
        if ".blocks." in name:
            apart = any(word in name for word in ("table", "rel_pos", "pool", "conv_dw"))
            assert (id(p) in taken) is (p.ndim > 1 and not apart), name


@pytest.mark.parametrize("kind", [Muon, Soap])
def test_a_kernel_is_trained_like_its_matrix(kind: type[torch.optim.Optimizer]) -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(6, 4, 3, 3, generator=generator))
    matrix = torch.nn.Parameter(kernel.detach().reshape(6, 36).clone())
    one, other = kind([kernel], lr=0.1), kind([matrix], lr=0.1)
    before = matrix.detach().clone()
    for _ in range(3):
        gradient = torch.randn(6, 4, 3, 3, generator=generator)
        kernel.grad, matrix.grad = gradient, gradient.reshape(6, 36)
        for optimizer in (one, other):
            optimizer.step()
            if isinstance(optimizer, Soap):
                optimizer.turn()
    assert torch.equal(kernel.detach().reshape(6, 36), matrix.detach())
    assert not torch.equal(matrix.detach(), before)


def test_a_kernel_in_another_order_of_memory() -> None:
    """As on a GPU, where convolutions may keep the features innermost."""
    generator = torch.Generator().manual_seed(0)
    start, gradient = torch.randn(2, 6, 4, 3, 3, generator=generator)
    results = []
    for order in (torch.contiguous_format, torch.channels_last):
        kernel = torch.nn.Parameter(start.clone())
        kernel.grad = gradient.to(memory_format=order)
        Muon([kernel], lr=0.1).step()
        results.append(kernel.detach())
    torch.testing.assert_close(results[0], results[1])
