"""The gradient of a step: over the parts of a batch, and over the processes that share it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

import channels
from witt.codecs.feature_config import channels_for_cbr
from witt.codecs.features import FeatureCodec
from witt.contract import Codec
from witt.link.conditions import Link
from witt.link.profile_link import transmit_as
from witt.link.profiles import OURS, PROFILES, Profile
from witt.metrics.loss import image_terms, make_loss
from witt.training.config import TrainConfig, uses_bf16
from witt.training.masking import Masking, draw_masking
from witt.training.objective import Conditions, Draws, draw_images, send, send_whole
from witt.training.processes import Processes
from witt.training.published import draw_snr, published_terms
from witt.training.replay import Replay


class Objective(nn.Module):
    """A model on its way from images to what each adds to the loss.

    Its forward is all that is differentiated, as `DistributedDataParallel` wants it.

    Args:
        model: both ends.
        over: channels.
        loss: as for `witt.metrics.loss.make_loss`.
        bf16: as in `send`.
        profile: how the images are sent and compared.
        cbrs: whose numbers the rates are, for a codec that is not one of features.
    """

    def __init__(
        self,
        model: Codec,
        over: Sequence[channels.Channel],
        loss: str,
        bf16: bool = False,
        profile: Profile = OURS,
        cbrs: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.model, self.over, self.loss, self.bf16 = model, over, loss, bf16
        self.profile, self.cbrs = profile, cbrs

    def forward(
        self, image: Tensor, drawn: Draws, first: int, masking: Masking | None = None
    ) -> tuple[Tensor, Tensor]:
        """Terms (B,) of the loss, and images as received, without gradient.

        Args:
            image: (B, 3, H, W) in [0, 1].
            drawn: for these images.
            first: number of the first one among all of the run.
            masking: of these images, where there is one.
        """
        if self.profile != OURS:
            received = self._published(image, drawn)
            return published_terms(self.loss, received, image), received.detach()
        if isinstance(self.model, FeatureCodec):
            received = send(
                self.model,
                image,
                Conditions(drawn.snr_db, drawn.k),
                self.over,
                first=first,
                h=drawn.h,
                noise=drawn.noise,
                bf16=self.bf16,
                masking=masking,
            )
        else:
            received = send_whole(self.model, image, drawn, self.over, self.cbrs, first)
        return image_terms(self.loss, received, image), received.detach()

    def _published(self, image: Tensor, drawn: Draws) -> Tensor:
        snr_db, model, over = float(drawn.snr_db[0]), self.model, self.over[0]  # one for the batch
        cbr, h, noise = None, drawn.h, drawn.noise
        if isinstance(model, FeatureCodec) and model.config.rate_adaptive:
            cbr = int(drawn.k[0]) / (6 * model.config.stride**2)
            uses = model.channel_uses((image.shape[2], image.shape[3]), cbr)
            h, noise = h[:, :uses], noise[:, :uses]
        return transmit_as(self.profile, model, image, over, snr_db, cbr, h=h, noise=noise).image


class Seen(NamedTuple):
    """What a step has seen.

    loss: of the whole batch, before its scale.
    snr_db: (B,) of this process's images.
    received: (B, 3, H, W) of this process, without gradient.
    """

    loss: float
    snr_db: Tensor
    received: Tensor


class Gradient:
    """Computes the gradient of a batch, of which each process has an equal part.

    The loss may be a geometric mean over the batch, which is no mean of the parts' losses. Its
    gradient is its value times that of the mean of the logarithms; the latter adds up over parts
    and processes, and the former comes in at the end, when it is known.

    Args:
        config: of the run.
        model: gets the gradient.
        processes: that share the batch.
    """

    def __init__(self, config: TrainConfig, model: Codec, processes: Processes) -> None:
        self.config, self.model, self.processes = config, model, processes
        self.profile = PROFILES[config.profile]
        self.rates = rates_of(model, config.cbr_values)
        self.over = [Link.of(name).module() for name in config.channel]
        self._replay: Replay | None = None
        self._ahead: dict[int, Draws] = {}
        self.progress = 1.0
        size = (config.crop, config.crop)
        if isinstance(model, FeatureCodec):
            self.symbols = model.tokens(size) * max(self.rates) // 2
        else:
            self.symbols = max(model.channel_uses(size, cbr) for cbr in config.cbr_values)

    @cached_property
    def network(self) -> nn.Module:
        """The objective, with gradients that are averaged over the processes.

        Made in the first step: it takes all processes, and on the way there one may fail.
        """
        bf16 = uses_bf16(self.config, self.processes.device)
        objective = Objective(
            self.model, self.over, self.config.loss, bf16, self.profile, self.config.cbr_values
        )
        return self.processes.distributed(objective, all_used=self.model.uses_all_parameters)

    def __call__(self, image: Tensor, step: int, progress: float = 1.0) -> Seen:
        """Leave the gradient of the loss, times its scale, in the parameters.

        Args:
            image: (B, 3, crop, crop) in [0, 1], this process's part of the batch.
            step: number of the step.
            progress: share of the run that is done.
        """
        self.progress = progress
        config, share = self.config, len(image)
        first = step * config.batch + self.processes.rank * share
        drawn = self._ahead.pop(step, None) or self._draw(step, share)
        if self._replays:
            return self._replayed(image, drawn, step)
        masking = self._draw_masking(first, share)
        size, total, received = share // config.accumulate, image.new_zeros(()), []
        for start in range(0, share, size):
            part, last = slice(start, start + size), start + size == share
            here = Draws(*(value[part].to(image.device) for value in drawn))
            mask = None if masking is None else masking.part(part, image.device)
            with nullcontext() if last else self.processes.adding_up(self.network):
                terms, seen = self.network(image[part], here, first + start, mask)
                (terms.sum() / share).backward()
            total += terms.detach().sum()
            received.append(seen)
        return self._scaled(total / share, drawn.snr_db, torch.cat(received))

    @property
    def _replays(self) -> bool:
        """Whether the pass of a step can be captured: on one GPU, the whole batch at once.

        The published way looks at numbers on the way, for which it would have to wait.
        """
        return (
            self.processes.device.type == "cuda"
            and self.processes.count == 1
            and self.config.accumulate == 1
            and self.profile == OURS
            and self.config.batch % len(self.over) == 0
            and not self.config.compile
            and not self.config.masks
            and isinstance(self.model, FeatureCodec)
        )

    def _replayed(self, image: Tensor, drawn: Draws, step: int) -> Seen:
        here = Draws(*(value.to(image.device) for value in drawn))
        if self._replay is None or not self._replay.fits(image, here):
            first = step * self.config.batch
            self._replay = Replay(self.network, list(self.model.parameters()), image, here, first)
        terms, received = self._replay(image, here)
        self._ahead[step + 1] = self._draw(step + 1, len(image))  # while the GPU is at work
        return self._scaled(terms.mean(), drawn.snr_db, received)

    def _scaled(self, mean: Tensor, snr_db: Tensor, received: Tensor) -> Seen:
        """The gradient of the loss from that of the mean of the terms."""
        config = self.config
        mean = self.processes.mean(mean)
        minimised = make_loss(config.loss)
        geometric = minimised.geometric and self.profile == OURS
        loss = float(minimised.of_mean(mean) if self.profile == OURS else mean)
        scale = minimised.scale * (loss if geometric else 1.0)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        torch._foreach_mul_(gradients, scale)
        return Seen(loss, snr_db, received)

    def _draw(self, step: int, share: int) -> Draws:
        config = self.config
        first = step * config.batch + self.processes.rank * share
        numbers = range(first, first + share)
        snr_db, is_range = config.snr_at(self.progress)
        rates = self.rates
        if self.profile != OURS:
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
            snr_db, is_range = (draw_snr(snr_db, is_range, generator),), False
            rates = [rates[int(torch.randint(len(rates), (), generator=generator))]]
        device = self.processes.device
        return draw_images(
            numbers, self.symbols, self.over, snr_db, is_range, rates, config.seed, device
        )

    def _draw_masking(self, first: int, share: int) -> Masking | None:
        config, model = self.config, self.model
        if not config.masks or not isinstance(model, FeatureCodec):
            return None
        tokens, numbers = model.tokens((config.crop, config.crop)), range(first, first + share)
        return draw_masking(
            numbers, tokens, config.crop, config.mask, config.mask_noise, config.seed
        )


def rates_of(model: Codec, cbrs: Sequence[float]) -> list[int]:
    """The rates that images draw: feature channels, or, of another codec, the CBRs' numbers."""
    if isinstance(model, FeatureCodec):
        return [channels_for_cbr(cbr, model.config.stride) for cbr in cbrs]
    return list(range(len(cbrs)))
