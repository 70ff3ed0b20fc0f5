"""Per-image optimisation at the transmitter: gradient steps on what is sent of one picture.

    ┌──── steps ────────────────────────────────────────────┐
    symbols ─► power norm ─► noise of its own ─► decoder ─► loss
                                                             ▲ picture

What is moved is the symbols, or what a codec of features says are its latents.

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

import channels
from witt.codecs.features import FeatureCodec
from witt.codecs.sending import Draft
from witt.contract import Codec, Encoded
from witt.errors import InputError
from witt.metrics.quality import WINDOW
from witt.side_information import Coding
from witt.waiting import Advance, nobody_waits

SEED = 0x5EED_0F_ADA97  # of the transmitter's own noise; not one that a channel is given
STEP = 0.03  # of an Adam step at the start, in amplitudes of what is sent; by trials on valid/


@dataclass(frozen=True)
class PerImageOptimisation:
    """How the transmitter optimises the symbols of a picture.

    Args:
        steps: of gradient descent, at least 1.
        channel: whose statistics the transmitter knows; it draws from them.
        loss: as of `witt train`; pictures too small for MS-SSIM take "mse".
        advance: called after each step.

    Raises:
        InputError: fewer than one step.
    """

    steps: int
    channel: channels.Channel
    loss: str = "mse"
    advance: Advance = field(default=nobody_waits, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"per-image optimisation needs at least 1 step, not {self.steps}")

    def encode(
        self,
        codec: Codec,
        image: Tensor,
        snr_db: float | Tensor,
        cbr: float | None = None,
        coding: Coding | None = None,
    ) -> Encoded:
        """As `Codec.encode`, improved; what is sent of each picture follows from it alone.

        Args:
            codec: both ends; its weights are not changed.
            image, snr_db, cbr: of `Codec.encode`.
            coding: how side information will be sent; None where it is taken as received.
        """
        if isinstance(codec, FeatureCodec):
            draft = codec.draft(image, snr_db, cbr, coding)
            unscaled = codec.unscaled(draft, self._moved(codec, draft))
            return codec.at_unit_power(unscaled, draft.header)
        encoded = codec.encode(image, snr_db, cbr)
        header = encoded.header
        with torch.inference_mode(False), torch.enable_grad(), _fixed(codec):
            image, start = image.clone(), torch.view_as_real(encoded.symbols.detach().clone())
            told = header.copied()

            def losses(pairs: Tensor, generator: torch.Generator) -> Tensor:
                x, _ = channels.normalise_power(torch.view_as_complex(pairs))
                out = self._crossed(x, told.snr_db, generator)
                received, error = out.y, None
                if self.channel.fading:
                    received, error = channels.mmse(*out)
                return self._losses(codec.decode(received, told, error), image, told.size)

            best = self._best(start, start, lambda change: start + change, losses)
            symbols, _ = channels.normalise_power(torch.view_as_complex(best.contiguous()))
        return replace(encoded, symbols=symbols)

    def _moved(self, model: FeatureCodec, draft: Draft) -> Tensor:
        """Symbols (B, N, 2) in the place of those of `draft.sending`."""
        with torch.inference_mode(False), torch.enable_grad(), _fixed(model):
            # What was made in inference mode cannot take part in a gradient.
            image, snr_db, k = draft.image.clone(), draft.header.snr_db.clone(), draft.k.clone()
            sending, size = draft.sending.detached(), draft.header.size
            grid, allocation = model.grid(size), sending.allocation

            def losses(symbols: Tensor, generator: torch.Generator) -> Tensor:
                received = self._received(model, symbols, sending.uses, snr_db, generator)
                return self._losses(
                    model.receive(*received, snr_db, k, grid, allocation), image, size
                )

            return self._best(sending.symbols, sending.latents, sending.moved, losses)

    def _best(
        self,
        start: Tensor,
        like: Tensor,
        changed: Callable[[Tensor], Tensor],
        losses: Callable[[Tensor, torch.Generator], Tensor],
    ) -> Tensor:
        """What gradient descent makes of `start`, of each picture that it makes better.

        Args:
            start: what is sent, (B, …).
            like: of the shape of a change.
            changed: what is sent after a change.
            losses: (B,) of it, over noise and gains that all pictures share.
        """
        generator = torch.Generator().manual_seed(SEED)
        change = torch.zeros_like(like, requires_grad=True)
        optimizer = torch.optim.Adam([change], lr=STEP, betas=(0.9, 0.99))
        for step in range(self.steps):
            for group in optimizer.param_groups:
                group["lr"] = STEP * (1 + math.cos(math.pi * step / self.steps)) / 2
            loss = losses(changed(change), generator).sum()
            (change.grad,) = torch.autograd.grad(loss, change)
            optimizer.step()
            self.advance()
        with torch.no_grad():  # over the same noise, which neither has seen
            after = changed(change)
            before, now = (
                losses(each, torch.Generator().manual_seed(SEED + 1)) for each in (start, after)
            )
            return torch.where((now < before)[:, None, None], after, start)

    def _crossed(
        self, x: Tensor, snr_db: Tensor, generator: torch.Generator
    ) -> channels.ChannelOutput:
        """Symbols over noise and gains that all pictures share."""
        gain, noise = self.channel.draw(
            1, x.shape[1], dtype=x.dtype, device=None, generator=generator
        )
        gain = None if gain is None else gain.to(x).expand(len(x), -1)
        return self.channel(x, snr_db, h=gain, noise=noise.to(x).expand_as(x))

    def _received(
        self,
        model: FeatureCodec,
        symbols: Tensor,
        uses: Tensor,
        snr_db: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The first arguments of `FeatureCodec.receive`."""
        x, scale = channels.normalise_power(torch.view_as_complex(symbols), uses)
        out = self._crossed(x, snr_db, generator)
        y, error = out.y, x.real.new_zeros(1)
        if self.channel.fading or model.uses_error:
            y, error = channels.mmse(*out)
        known = scale if model.sends_scale else torch.ones_like(scale)
        return torch.view_as_real(y.contiguous()), error.expand(y.shape), known

    def _losses(self, received: Tensor, image: Tensor, size: tuple[int, int]) -> Tensor:
        from witt.metrics.loss import image_terms

        name = "mse" if self.loss == "ms-ssim" and min(size) < WINDOW else self.loss
        return image_terms(name, *(x[:, :, : size[0], : size[1]] for x in (received, image)))


@contextmanager
def _fixed(model: Codec) -> Iterator[None]:
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
    from witt.metrics.loss import make_loss

    settings = training.get("config")
    loss = settings.get("loss", "mse") if isinstance(settings, Mapping) else "mse"
    try:
        make_loss(str(loss))
    except InputError as error:
        warnings.warn(f"what the weights were trained for is not here: {error}", stacklevel=2)
        return "mse"
    return str(loss)
