"""`--channel my_channel`: a phase that nobody knows before, one for each symbol, and AWGN."""

import torch
from torch import Tensor

import channels


class Phase(channels.Channel):
    fading = True
    label = "Random phase"

    def sample_gain(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        gain = channels.complex_normal((batch, n), dtype=dtype, device=device, generator=generator)
        return gain / gain.abs()
