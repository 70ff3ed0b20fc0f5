"""SOAP: Adam in the axes in which the gradients of a matrix do not correlate.

Vyas et al., arXiv 2409.11321; for learned image compression Zhang and Zhu, arXiv 2601.20769.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

EVERY = 10  # steps from one turn of the axes to the next
LONGEST = 512  # a side with more entries keeps its own axes: a QR decomposition takes too long
LEAST = 1e-8  # under the root of the squares
RIDGE = 1e-9  # of the mean eigenvalue, without which LAPACK fails on the first gradients
SIDES = (("left", 1), ("right", 2))


class Soap(torch.optim.Optimizer):
    """Steps of Adam in turned axes; as long as those of AdamW at the same learning rate.

    The axes of a side are the eigenvectors of its gradients' average covariance; `turn` follows
    them by one step of the power iteration at a time. `step` itself waits for no number, so that it
    can be part of a CUDA graph. As long as there are no axes, it changes no weights.

    Args:
        params: matrices, or kernels of convolutions, taken as matrices (out, in·height·width).
        lr: learning rate.
        betas: decays of the averages: of the gradients, and of squares and covariances.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every matrix."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            first, second = group["betas"]
            for alike in _by_shape(group["params"]):
                # A matrix that had no part in the step keeps its place in the stack.
                gradients = torch.stack(
                    [(torch.zeros_like(p) if p.grad is None else p.grad).flatten(1) for p in alike]
                )
                state = self._state(alike)
                state["steps"] += 1
                state["mean"].lerp_(gradients, 1 - first)
                for side, axis in SIDES:
                    if side in state:
                        x = gradients if axis == 1 else gradients.mT
                        state[side].lerp_(x @ x.mT, 1 - second)
                state["square"].lerp_(_turned(gradients, state).square(), 1 - second)
                square = state["square"] / (1 - second ** state["steps"])
                mean = _turned(state["mean"], state) / (1 - first ** state["steps"])
                update = _back(mean / (square.sqrt() + LEAST), state) * group["lr"]
                torch._foreach_sub_([p.flatten(1) for p in alike], update.unbind())
        return loss

    def _state(self, alike: list[Tensor]) -> dict[str, Tensor]:
        """That of all matrices of a shape, in one place: of the first of them."""
        state: dict[str, Tensor] = self.state[alike[0]]
        if not state:
            stack = torch.stack([p.flatten(1) for p in alike])
            state["steps"] = torch.zeros((), device=stack.device)
            state["mean"], state["square"] = torch.zeros_like(stack), torch.zeros_like(stack)
            for side, axis in SIDES:
                n = stack.shape[axis]
                if n <= LONGEST:  # no axes yet, so that the first update is 0
                    state[side] = stack.new_zeros(len(alike), n, n)
                    state[f"{side}_axes"] = torch.zeros_like(state[side])
        return state

    @torch.no_grad()
    def turn(self) -> None:
        """Turn the axes towards where the covariances have them."""
        for state in self.state.values():
            for side, _ in SIDES:
                if side in state:
                    axes = state[f"{side}_axes"]
                    axes.copy_(_axes(state[side], axes))


def turn(optimizers: Sequence[torch.optim.Optimizer], step: int) -> None:
    """What SOAP wants after a step, where it is among them.

    Args:
        optimizers: of a run.
        step: number of the step, from 0.
    """
    if step % EVERY == 0:
        for optimizer in optimizers:
            if isinstance(optimizer, Soap):
                optimizer.turn()


def _by_shape(matrices: list[Tensor]) -> list[list[Tensor]]:
    found: dict[torch.Size, list[Tensor]] = defaultdict(list)
    for p in matrices:
        found[p.shape].append(p)
    return list(found.values())


def _turned(stack: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Into the axes."""
    if "left" in state:
        stack = state["left_axes"].mT @ stack
    return stack @ state["right_axes"] if "right" in state else stack


def _back(stack: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Out of the axes."""
    if "left" in state:
        stack = state["left_axes"] @ stack
    return stack @ state["right_axes"].mT if "right" in state else stack


def _axes(covariances: Tensor, before: Tensor) -> Tensor:
    """Axes (n, side, side) nearer to the eigenvectors of (n, side, side), the largest first."""
    if before.any():
        return torch.linalg.qr(covariances @ before)[0]
    exact = covariances.double()
    size = exact.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)[:, None, None]
    ridge = RIDGE * torch.eye(exact.shape[1], dtype=exact.dtype, device=exact.device)
    return torch.linalg.eigh(exact / size + ridge)[1].flip(-1).to(covariances.dtype)
