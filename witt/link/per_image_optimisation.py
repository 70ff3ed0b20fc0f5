"""Per-image optimisation at the transmitter: gradient steps on what is sent of one picture.

    ┌──── steps ────────────────────────────────────────────┐
    symbols ─► power norm ─► noise of its own ─► decoder ─► loss
                                                             ▲ picture

Of a model with classes the features behind the symbols are moved, expanded ones along their curves.

An encoder makes the symbols of every picture by the same rule. The transmitter has the decoder and
the picture too, so it may change the symbols of this one until the decoder makes more of them,
over noise that it draws itself: it never sees that of the channel. The receiver notices nothing;
channel uses, power and header are what they were. It costs time, not rate.

Known as content-adaptive or latent optimisation. Sources: Campos et al., "Content Adaptive
Optimization for Neural Image Compression", arXiv 1906.01223, for codecs; Dai et al., "Toward
Adaptive Semantic Communications" (NTSCC+, "online"), arXiv 2211.04339, over channels, where the
networks are tuned for the picture too.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import channels
from witt.errors import InputError

if TYPE_CHECKING:
    from witt.codecs.model import WITT
    from witt.codecs.signals import Sending

SEED = 0x5EED_0F_ADA97  # of the transmitter's own noise; not one that a channel is given
STEP = 0.03  # of an Adam step at the start, in amplitudes of what is sent; by trials on valid/


@dataclass(frozen=True)
class PerImageOptimisation:
    """How the transmitter optimises the symbols of a picture.

    Args:
        steps: of gradient descent, at least 1.
        channel: whose statistics the transmitter knows; it draws from them.
        loss: as of `witt train`; pictures too small for MS-SSIM take "mse".

    Raises:
        InputError: fewer than one step.
    """

    steps: int
    channel: channels.Channel
    loss: str = "mse"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"per-image optimisation needs at least 1 step, not {self.steps}")

    def improve(
        self,
        model: WITT,
        image: Tensor,
        size: tuple[int, int],
        sending: Sending,
        snr_db: Tensor,
        k: Tensor,
    ) -> Tensor:
        """Symbols (B, N, 2) in the place of `sending.symbols`; each picture's follow from it alone.

        Args:
            model: both ends; its weights are not changed.
            image: (B, 3, H, W) padded, in [0, 1].
            size: (height, width) of what counts of it.
            sending: from `WITT.transmit`.
            snr_db, k: (B,) as given to it.
        """
        with torch.inference_mode(False), torch.enable_grad(), _fixed(model):
            # What was made in inference mode cannot take part in a gradient.
            image, snr_db, k = image.clone(), snr_db.clone(), k.clone()
            start, uses = sending.symbols.detach().clone(), sending.uses.clone()
            encoder_output = (
                None if sending.encoder_output is None else sending.encoder_output.clone()
            )
            allocation = None if encoder_output is None else encoder_output.allocation
            generator = torch.Generator().manual_seed(SEED)

            def losses(symbols: Tensor, generator: torch.Generator) -> Tensor:
                """(B,) over noise and gains that all pictures share."""
                received = self._received(model, symbols, uses, snr_db, generator)
                grid = (
                    image.shape[2] // model.config.stride,
                    image.shape[3] // model.config.stride,
                )
                return self._losses(
                    model.receive(*received, snr_db, k, grid, allocation), image, size
                )

            there = (torch.arange(start.shape[1], device=start.device) < uses[:, None])[..., None]

            def changed(change: Tensor) -> Tensor:
                return (
                    start + change * there
                    if encoder_output is None
                    else encoder_output.symbols(change)
                )

            like = start if encoder_output is None else encoder_output.features
            change = torch.zeros_like(like, requires_grad=True)
            optimizer = torch.optim.Adam([change], lr=STEP, betas=(0.9, 0.99))
            for step in range(self.steps):
                for group in optimizer.param_groups:
                    group["lr"] = STEP * (1 + math.cos(math.pi * step / self.steps)) / 2
                loss = losses(changed(change), generator).sum()
                (change.grad,) = torch.autograd.grad(loss, change)
                optimizer.step()
            with torch.no_grad():  # over the same noise, which neither has seen
                after = changed(change)
                before, now = (
                    losses(each, torch.Generator().manual_seed(SEED + 1)) for each in (start, after)
                )
                return torch.where((now < before)[:, None, None], after, start)

    def _received(
        self,
        model: WITT,
        symbols: Tensor,
        uses: Tensor,
        snr_db: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The first arguments of `WITT.receive`, over noise and gains that all pictures share."""
        x, scale = channels.normalise_power(torch.view_as_complex(symbols), uses)
        gain, noise = self.channel.draw(
            1, x.shape[1], dtype=x.dtype, device=None, generator=generator
        )
        gain = None if gain is None else gain.to(x).expand_as(x)
        out = self.channel(x, snr_db, h=gain, noise=noise.to(x).expand_as(x))
        y, error = out.y, x.real.new_zeros(1)
        if self.channel.fading or model.code is not None:
            y, error = channels.mmse(*out)
        known = scale if model.sends_scale else torch.ones_like(scale)
        return torch.view_as_real(y.contiguous()), error.expand(y.shape), known

    def _losses(self, received: Tensor, image: Tensor, size: tuple[int, int]) -> Tensor:
        from witt.metrics.quality import WINDOW
        from witt.training.loss import image_terms

        name = "mse" if self.loss == "ms-ssim" and min(size) < WINDOW else self.loss
        return image_terms(name, *(x[:, :, : size[0], : size[1]] for x in (received, image)))


@contextmanager
def _fixed(model: WITT) -> Iterator[None]:
    """No gradients for the weights, which would take memory for nothing."""
    learns = [p for p in model.parameters() if p.requires_grad]
    for parameter in learns:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learns:
            parameter.requires_grad_(True)


def trained_for(training: Mapping[str, Any]) -> str:
    """The loss of weights, from their record (`load_weights`); "mse" where it does not say.

    Also where it is one that is not here; a warning says so.
    """
    from witt.training.loss import make_loss

    settings = training.get("config")
    loss = settings.get("loss", "mse") if isinstance(settings, Mapping) else "mse"
    try:
        make_loss(str(loss))
    except InputError as error:
        warnings.warn(f"what the weights were trained for is not here: {error}", stacklevel=2)
        return "mse"
    return str(loss)
