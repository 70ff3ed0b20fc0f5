"""SOAP: Adam in the eigenvectors of the gradients' covariances."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from witt.training import soap
from witt.training.soap import Soap, turn

ROWS, COLUMNS = 6, 4


def orthogonal(n: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]


def path(start: Tensor, loss: Callable[[Tensor], Tensor], steps: int) -> Tensor:
    """Where SOAP is after so many steps."""
    matrix = torch.nn.Parameter(start.clone())
    optimizer = Soap([matrix], lr=0.02)
    for step in range(steps):
        optimizer.zero_grad()
        loss(matrix).backward()
        optimizer.step()
        turn([optimizer], step)
    return matrix.detach()


def test_it_does_not_matter_how_the_axes_of_a_problem_lie(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A problem that is turned on both sides has the path turned; Adam's is another."""
    generator = torch.Generator().manual_seed(0)
    u, v = orthogonal(ROWS, generator), orthogonal(ROWS, generator)
    # Square: of a first gradient with less than full rank some axes are free.
    start, goal, weight = torch.randn(3, ROWS, ROWS, generator=generator, dtype=torch.float64)

    def loss(x: Tensor) -> Tensor:
        return (weight * (x - goal)).pow(4).sum()

    usual = path(start, loss, 30)
    assert float((usual - start).norm()) > 0.3
    turned = path(u @ start @ v, lambda x: loss(u.mT @ x @ v.mT), 30)
    torch.testing.assert_close(turned, u @ usual @ v, rtol=0, atol=1e-4)
    monkeypatch.setattr(soap, "LONGEST", 0)
    adam, turned = path(start, loss, 30), path(u @ start @ v, lambda x: loss(u.mT @ x @ v.mT), 30)
    assert float((turned - u @ adam @ v).abs().max()) > 0.1


def test_the_first_step_makes_the_axes_and_the_second_goes_along_them() -> None:
    """Of one gradient of rank 1, repeated: the only entry of the turned matrix, by √0.0975/0.05."""
    generator = torch.Generator().manual_seed(1)
    row, column = orthogonal(ROWS, generator)[0], orthogonal(COLUMNS, generator)[0]
    matrix = torch.nn.Parameter(torch.zeros(ROWS, COLUMNS, dtype=torch.float64))
    optimizer = Soap([matrix], lr=0.1)
    for step in range(2):
        assert not matrix.any()
        matrix.grad = 3 * torch.outer(row, column)
        optimizer.step()
        turn([optimizer], step)
    # The average of squares has seen one of the two steps in the axes.
    expected = -0.1 * (0.0975 / 0.05) ** 0.5 * torch.outer(row, column)
    torch.testing.assert_close(matrix.detach(), expected, rtol=1e-3, atol=1e-3)


def test_axes_follow_the_eigenvectors() -> None:
    generator = torch.Generator().manual_seed(2)
    basis = orthogonal(ROWS, generator).float()
    stack = torch.nn.Parameter(torch.zeros(ROWS, COLUMNS))
    optimizer = Soap([stack], lr=0.0)
    for step in range(30 * soap.EVERY + 1):
        gradient = torch.randn(ROWS, COLUMNS, generator=generator)
        if step >= soap.EVERY:  # from here on they lie as `basis`, a factor of 3 apart
            gradient = basis @ (gradient * 3.0 ** -torch.arange(ROWS)[:, None])
        stack.grad = gradient
        optimizer.step()
        turn([optimizer], step)
    state = optimizer.state[stack]
    axes, covariance = state["left_axes"][0], state["left"][0]
    inner = axes.mT @ covariance @ axes
    assert float((inner - inner.diagonal().diag()).norm() / inner.norm()) < 0.02
    torch.testing.assert_close(axes.mT @ axes, torch.eye(ROWS), rtol=0, atol=1e-5)


def test_a_long_side_keeps_its_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both sides long it is Adam."""
    monkeypatch.setattr(soap, "LONGEST", COLUMNS)
    matrix = torch.nn.Parameter(torch.zeros(ROWS, COLUMNS))
    optimizer = Soap([matrix], lr=0.1)
    matrix.grad = torch.ones(ROWS, COLUMNS)
    optimizer.step()
    assert "left" not in optimizer.state[matrix]
    assert "right" in optimizer.state[matrix]
    monkeypatch.setattr(soap, "LONGEST", 0)
    generator = torch.Generator().manual_seed(3)
    pair = [torch.nn.Parameter(torch.zeros(ROWS, COLUMNS)) for _ in range(2)]
    steppers = [Soap(pair[:1], lr=0.1), torch.optim.Adam(pair[1:], lr=0.1, betas=(0.95, 0.95))]
    for _ in range(5):
        gradient = torch.randn(ROWS, COLUMNS, generator=generator)
        for p, optimizer in zip(pair, steppers, strict=True):
            p.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(*(p.detach() for p in pair))


def test_gradients_of_zero_change_nothing() -> None:
    matrix = torch.nn.Parameter(torch.ones(ROWS, COLUMNS))
    optimizer = Soap([matrix], lr=0.1)
    for step in range(12):
        matrix.grad = torch.zeros(ROWS, COLUMNS)
        optimizer.step()
        turn([optimizer], step)
    assert torch.equal(matrix.detach(), torch.ones(ROWS, COLUMNS))
