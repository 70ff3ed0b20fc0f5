"""Learning rate and weight average over a run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def learning_rate_factor(
    step: int, progress: float, warmup: int, flat: float | None = None
) -> float:
    """Linear warm-up over `warmup` steps, times what falls from 1 to 0 over the run.

    Args:
        step: steps done.
        progress: share of the run that is done, 0 to 1.
        warmup: steps of the warm-up.
        flat: share of the run, below 1, before the fall, which then is linear; None falls by a
            cosine from the start.
    """
    done = min(max(progress, 0.0), 1.0)
    if flat is None:
        fall = 0.5 * (1 + math.cos(math.pi * done))
    else:
        fall = min(1.0, (1 - done) / (1 - flat))
    return min(1.0, (step + 1) / max(warmup, 1)) * fall


class Average:
    """Exponential moving average of a model's state, faster in the first steps."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = [name for name, _ in model.named_parameters()]
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.buffers = [name for name in self.state if name not in self.parameters]

    def share(self, step: int) -> float:
        """How far towards the model the average moves after `step` steps."""
        return 1 - min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model after `step` steps."""
        # All at once: one after the other they would keep a GPU waiting.
        live = [parameter.detach() for parameter in model.parameters()]
        torch._foreach_lerp_(self._averaged, live, self.share(step))
        for name in self.buffers:
            self.state[name].copy_(model.get_buffer(name))

    @torch.no_grad()
    def move(self, model: nn.Module, share: Tensor) -> None:
        """Move so far towards the parameters; the share is read where it is, as in a CUDA graph."""
        live = [parameter.detach() for parameter in model.parameters()]
        way = torch._foreach_sub(live, self._averaged)
        torch._foreach_mul_(way, share)
        torch._foreach_add_(self._averaged, way)

    @property
    def _averaged(self) -> list[Tensor]:
        return [self.state[name] for name in self.parameters]

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a stored average."""
        for name, value in state.items():
            self.state[name].copy_(value)
