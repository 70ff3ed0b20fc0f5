"""Muon's orthogonal steps, and which parameters it takes."""

import pytest
import torch

import witt
from witt.training.optimizer import Muon, load_states, optimizers, orthogonalise


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


@pytest.mark.parametrize("shape", [(32, 96), (96, 32), (16, 64)])
def test_in_bfloat16_the_directions_are_nearly_kept(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    stack = torch.randn(3, *shape, generator=generator)
    whole, low = orthogonalise(stack), orthogonalise(stack, dtype=torch.bfloat16)
    assert low.dtype == torch.float32
    assert float((low - whole).norm() / whole.norm()) < 0.05  # 0.035


def test_learning_rates_in_tensors_are_learning_rates() -> None:
    """They are read when the step is taken, where they are."""
    device = torch.device("cpu")
    models = [torch.nn.Sequential() for _ in range(2)]
    for model in models:
        torch.manual_seed(0)
        model.add_module(
            "blocks", torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Linear(4, 3))
        )
        model.add_module("modnet", torch.nn.Sequential(torch.nn.Linear(3, 5)))
    numbers = optimizers(models[0], 1e-3, 0.01)
    tensors = optimizers(models[1], 1e-3, 0.01, device)
    assert [len(o) for o in (numbers, tensors)] == [2, 2]
    for step, factor in enumerate((1.0, 0.5, 0.25)):
        x = torch.randn(7, 6, generator=torch.Generator().manual_seed(step))
        for model, steppers in zip(models, (numbers, tensors), strict=True):
            model.zero_grad()
            model(x).square().sum().backward()
            for optimizer in steppers:
                for group in optimizer.param_groups:
                    if isinstance(group["lr"], torch.Tensor):
                        group["lr"].fill_(factor * group["peak"])
                    else:
                        group["lr"] = factor * group["peak"]
                optimizer.step()
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_states_are_taken_over_between_numbers_and_tensors() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    device = torch.device("cpu")
    (first,), (second,) = optimizers(model, 1e-3, 0), optimizers(model, 1e-3, 0, device)
    model(torch.ones(1, 3)).sum().backward()
    first.step()
    rate = second.param_groups[0]["lr"]
    stored = first.state_dict()
    stored["param_groups"][0]["peak"] = 5e-4
    load_states([second], [stored])
    assert second.param_groups[0]["lr"] is rate
    assert second.param_groups[0]["peak"] == 5e-4
    moved = second.state[model[0].weight]
    assert torch.equal(moved["exp_avg"], first.state[model[0].weight]["exp_avg"])
    load_states([first], [second.state_dict()])
    assert isinstance(first.param_groups[0]["lr"], float)
    with pytest.raises(ValueError, match="argument 2 is longer"):
        load_states([first], [stored, stored])
