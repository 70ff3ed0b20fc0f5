"""A channel of your own: noise that is now and then much stronger.

witt evaluate photos --channel awgn,examples/own_channel.py:Impulsive:p=0.02
"""

import math

import torch
from torch import Tensor

import channels


class Impulsive(channels.Channel):
    """Bernoulli-Gaussian noise: a share p of the symbols meets `times` the noise power."""

    def __init__(self, p: float = 0.05, times: float = 20.0) -> None:
        super().__init__()
        self.p, self.times = p, times
        self.label = f"Impulsive noise, {p:.0%} at {times:g} times the power"

    def draw(
        self,
        batch: int,
        n: int,
        *,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """No gain, and noise of unit mean power; all of it from the generator."""
        how = {"dtype": dtype, "device": device, "generator": generator}
        noise, other = channels.complex_normal((2, batch, n), **how)
        struck = other.abs().square() < -math.log1p(-self.p)
        power = 1 + (self.times - 1) * struck
        return None, noise * (power / (1 + (self.times - 1) * self.p)).sqrt()
