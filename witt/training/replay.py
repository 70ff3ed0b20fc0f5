"""Forward and backward pass of a training step as one CUDA graph.

A step of a small network is thousands of kernels of a few microseconds each, which a processor
cannot start as fast as a GPU runs them: of `witt_light` on an H100 it started them for 124 ms, of
which the GPU worked 43. A graph is started at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from witt.training.objective import Draws

WARM_UP = 3  # passes before the capture, in which libraries choose their kernels


class Replay:
    """A captured pass over a batch of one shape.

    Args:
        objective: (image, draws, first) to terms (B,) of the loss and the images as received.
        image: (B, 3, H, W), of the shape that will come, on a GPU.
        drawn: for these images.
        first: number of the first image; the ones to come differ by multiples of the channels.
    """

    def __init__(
        self,
        objective: Callable[[Tensor, Draws, int], tuple[Tensor, Tensor]],
        parameters: list[nn.Parameter],
        image: Tensor,
        drawn: Draws,
        first: int,
    ) -> None:
        self.objective, self.first = objective, first
        self.inputs = [value.clone() for value in (image, *drawn)]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._pass()
            used = [(p, p.grad) for p in parameters if p.grad is not None]
        self.gradients = [gradient for _, gradient in used]
        self.used = [parameter for parameter, _ in used]
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            torch._foreach_zero_(self.gradients)
            self.terms, self.received = self._pass()

    def _pass(self) -> tuple[Tensor, Tensor]:
        image, *drawn = self.inputs
        terms, received = self.objective(image, Draws(*drawn), self.first)
        (terms.sum() / len(terms)).backward()
        return terms.detach(), received

    def fits(self, image: Tensor, drawn: Draws) -> bool:
        """Whether it was captured for these shapes."""
        return all(a.shape == b.shape for a, b in zip(self.inputs, (image, *drawn), strict=True))

    def __call__(self, image: Tensor, drawn: Draws) -> tuple[Tensor, Tensor]:
        """Terms and received images; the gradient of the terms' mean is in the parameters."""
        for place, value in zip(self.inputs, (image, *drawn), strict=True):
            place.copy_(value, non_blocking=True)
        self.graph.replay()
        for parameter, gradient in zip(self.used, self.gradients, strict=True):
            parameter.grad = gradient
        return self.terms, self.received
