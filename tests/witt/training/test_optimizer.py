"""Muon's orthogonal steps, and which parameters it takes."""

import pytest
import torch

import witt
from witt.training.optimizer import Muon, optimizers, orthogonalise


@pytest.mark.parametrize(("rows", "columns"), [(32, 96), (96, 32), (16, 64)])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e3])
def test_orthogonalise_keeps_the_directions(rows: int, columns: int, size: float) -> None:
    """G = U S Vᵀ comes out as U S' Vᵀ with S' near 1, for each matrix of the stack."""
    generator = torch.Generator().manual_seed(0)
    stack = size * torch.randn(3, rows, columns, generator=generator)
    result = orthogonalise(stack)
    assert result.shape == stack.shape
    for matrix, orthogonal in zip(stack.double(), result.double(), strict=True):
        u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
        inner = u.mT @ orthogonal @ vh.mT
        values = inner.diagonal()
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
        torch.testing.assert_close(inner, torch.diag(values), rtol=0, atol=1e-3)
        # Nothing beside the row and column space.
        torch.testing.assert_close(u @ inner @ vh, orthogonal, rtol=0, atol=1e-3)


def test_matrices_of_a_stack_do_not_mix() -> None:
    generator = torch.Generator().manual_seed(1)
    stack = torch.randn(4, 12, 20, generator=generator)
    alone = torch.cat([orthogonalise(matrix[None]) for matrix in stack])
    torch.testing.assert_close(orthogonalise(stack), alone)


def test_first_step_is_the_orthogonalised_gradient() -> None:
    """Momentum from 0: the update is orthogonalise(c·g), and c does not matter."""
    generator = torch.Generator().manual_seed(2)
    for rows, columns, factor in ((24, 8, 3**0.5), (8, 24, 1.0)):
        parameter = torch.nn.Parameter(torch.zeros(rows, columns))
        parameter.grad = torch.randn(rows, columns, generator=generator)
        expected = -0.1 * factor * orthogonalise(parameter.grad[None])[0]
        Muon([parameter], lr=0.1).step()
        torch.testing.assert_close(parameter.data, expected, rtol=1e-3, atol=1e-4)


def test_every_parameter_is_trained_once() -> None:
    model = witt.create_model("witt_light", dims=(8, 12, 16), depths=(1, 1, 1), heads=(1, 1, 1))
    muon, adam = optimizers(model, 1e-3, 0.015)
    assert isinstance(muon, Muon)
    taken = [p for o in (muon, adam) for group in o.param_groups for p in group["params"]]
    assert len(taken) == len(set(map(id, taken)))
    assert {id(p) for p in taken} == {id(p) for p in model.parameters()}
    assert all(p.ndim == 2 for group in muon.param_groups for p in group["params"])
    (alone,) = optimizers(model, 1e-3, 0)
    assert isinstance(alone, torch.optim.AdamW)
    assert sum(len(group["params"]) for group in alone.param_groups) == len(taken)
