"""Muon (or SOAP) on the matrices of the network, AdamW on the rest.

Muon: Jordan et al. 2024; the matrix's momentum is replaced by the nearest orthogonal matrix. The
libraries' versions iterate in bfloat16, which a CPU without it emulates at a fifth of the speed
of float32 (measured: 20 against 102 GFLOP/s on 192x768), so the iteration here keeps the dtype
of the parameters, unless told otherwise, and takes all matrices of one shape at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from witt.training.soap import Soap

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic of Jordan et al.


def orthogonalise(stack: Tensor, steps: int = 5, dtype: torch.dtype | None = None) -> Tensor:
    """Nearly the closest orthogonal matrix of each of ``(n, rows, columns)``.

    Singular values come out between about 0.7 and 1.2; those under about 1e-3 of the norm of
    the matrix stay smaller.

    Args:
        stack: matrices, each of any scale.
        steps: of the Newton-Schulz iteration.
        dtype: that it computes in; None is that of the matrices.

    Returns:
        (n, rows, columns), in the dtype of the matrices.
    """
    low = dtype is not None and dtype != stack.dtype
    tall = stack.shape[1] > stack.shape[2]
    x = stack.mT if tall else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = x.to(dtype) if low else x
    a, b, c = _NEWTON_SCHULZ
    gram = x @ x.mT
    # The other way squares rounding errors, of which bfloat16 has too many.
    if low or x.shape[2] < 2 * x.shape[1]:
        for step in range(steps):
            gram = x @ x.mT if step else gram
            x = a * x + torch.baddbmm(b * gram, gram, gram, alpha=c) @ x
        x = x.to(stack.dtype)
        return x.mT if tall else x
    # A wide matrix is only ever multiplied from the left, by polynomials of its Gram matrix, so
    # the iteration can stay with the small square one (0.6 of the operations at 1:4).
    whole = None
    for step in range(steps):
        factor = torch.baddbmm(b * gram, gram, gram, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        whole = factor if whole is None else factor @ whole
        if step + 1 < steps:
            gram = factor @ gram @ factor
    x = x if whole is None else whole @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; the step is lr·√max(1, rows/columns).

    Args:
        params: matrices, or kernels of convolutions, taken as matrices (out, in·height·width).
        lr: learning rate.
        momentum: of the moving average of gradients; the update looks ahead (Nesterov).
        dtype: of `orthogonalise`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 0.015,
        momentum: float = 0.95,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every matrix that has a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            matrices = [p for p in group["params"] if p.grad is not None]
            if not matrices:
                continue
            gradients = [p.grad.flatten(1) for p in matrices]
            for p, gradient in zip(matrices, gradients, strict=True):
                if not self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(gradient)
            momenta = [self.state[p]["momentum"] for p in matrices]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            updates = torch._foreach_lerp(gradients, momenta, group["momentum"])  # Nesterov
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for p, update in zip(matrices, updates, strict=True):
                by_shape[update.shape].append((p.flatten(1), update))
            for shape, pairs in by_shape.items():
                alike, directions = zip(*pairs, strict=True)
                length = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                steps = orthogonalise(torch.stack(directions), dtype=self.dtype)
                if isinstance(length, Tensor):  # which a CUDA graph reads when it is replayed
                    torch._foreach_sub_(alike, (steps * length).unbind())
                else:
                    torch._foreach_sub_(alike, steps.unbind(), alpha=length)
        return loss


def optimizers(
    model: nn.Module,
    lr: float,
    muon_lr: float,
    device: torch.device | None = None,
    soap_lr: float = 0.0,
) -> list[torch.optim.Optimizer]:
    """Muon for the weights of blocks, merges and ModNets, AdamW for everything else.

    With ``soap_lr`` SOAP takes those of Muon; with both 0 AdamW takes all. The entry ``peak`` of a
    parameter group is the learning rate that its schedule starts from.

    Args:
        model: whose parameters they take.
        lr: peak of AdamW.
        muon_lr: peak of Muon.
        device: where learning rates are kept as tensors, for a CUDA graph; None keeps numbers.
        soap_lr: peak of SOAP; 0 is without.
    """
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, p in model.named_parameters():
        inner = ".blocks." in name or ".downsample." in name or "modnet." in name
        matrix = p.ndim == 2 or (p.ndim == 4 and p.shape[1] > 1)  # no depthwise convolution
        places = "bias_table" in name or "rel_pos" in name  # of attention, by distance
        square = matrix and min(p.shape[:2]) > 2 and not places
        if (muon_lr or soap_lr) and inner and square:
            matrices.append(p)
        else:
            rest.append(p)

    def rate(peak: float) -> float | Tensor:
        return peak if device is None else torch.tensor(peak, device=device)

    gpu = device is not None and device.type == "cuda"
    adam = torch.optim.AdamW(
        [{"params": rest, "lr": rate(lr), "peak": lr}],
        lr=lr,
        betas=(0.9, 0.99),
        weight_decay=0.0,
        fused=True if gpu else None,
        capturable=gpu,
    )
    if not matrices:
        return [adam]
    if soap_lr:
        return [Soap([{"params": matrices, "lr": rate(soap_lr), "peak": soap_lr}]), adam]
    group = {"params": matrices, "lr": rate(muon_lr), "peak": muon_lr}
    return [Muon([group], lr=muon_lr, dtype=torch.bfloat16 if gpu else None), adam]


def load_states(optimizers: list[torch.optim.Optimizer], stored: list[dict[str, Any]]) -> None:
    """Take over what a run had, on whichever device and with whichever kernels it was.

    Raises:
        ValueError: they are of other parameters.
    """
    for optimizer, state in zip(optimizers, stored, strict=True):
        own: list[dict[str, Any]] = [
            {name: group[name] for name in ("lr", "fused", "capturable") if name in group}
            for group in optimizer.param_groups
        ]
        optimizer.load_state_dict(state)
        for group, values in zip(optimizer.param_groups, own, strict=True):
            group.update(values)
            if group.get("capturable"):  # counts its steps on the GPU
                for p in group["params"]:
                    if "step" in optimizer.state[p]:
                        optimizer.state[p]["step"] = optimizer.state[p]["step"].to(p.device)
