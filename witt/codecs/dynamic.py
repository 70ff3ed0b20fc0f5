"""Dynamic tokens: the paper's network, in which a score of each token decides what it may send.

    … ─► LN ─┬─► ModNet ─► head ─► features, cut to the token's level ─► symbols ─► channel ─► …
             └─► importance ─► ranks ─► level of each token ─ side information ─► decoder

A quarter of the tokens sends about twice the features of the others' mean, half of them sends half
as many, so that each picture takes the channel uses that its CBR allows, whatever it shows.

Source: DynamicViT, Rao et al., arXiv 2106.02034: the score of a token from its own features and
their mean over the picture, learnt with the network. There a token is kept or dropped, by
Gumbel-softmax and a loss that holds the share that is kept; here ranks hold the shares, and a
straight-through estimate hands the score its gradient, without a draw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.codecs.classified.codec import CLASS_MAP
from witt.codecs.classified.map_code import ClassMapCode
from witt.codecs.sending import UnscaledSymbols
from witt.codecs.witt import WITT, Decoder, Encoder, WITTConfig, told
from witt.contract import Encoded, Header, SideInformation
from witt.errors import InputError
from witt.side_code import SideCode

LEVELS = 3
HIGH_SHARE = 1 / 4  # of the tokens; twice as many have the lowest level
SOFTNESS = 0.5  # of the thresholds in the gradient; scores have unit variance over a picture
MEMORY = 0.99  # of the statistics of the map, a step


class Levels(NamedTuple):
    """What both ends know of the tokens of a batch.

    classes: (B, h, w) int64, 0 to 2.
    ahead: (B, h·w, P, 2) zeros that hand the score the gradient of what is not sent; None outside
        of training.
    """

    classes: Tensor
    ahead: Tensor | None = None


@dataclass(frozen=True)
class DynamicSymbols(UnscaledSymbols):
    """`UnscaledSymbols` with the levels of the tokens."""

    levels: Levels

    @property
    def allocation(self) -> Levels:
        return self.levels

    def detached(self) -> DynamicSymbols:
        levels = Levels(self.levels.classes.clone())
        return DynamicSymbols(self.symbols.detach().clone(), self.uses.clone(), levels)


@dataclass(frozen=True)
class DynamicConfig(WITTConfig):
    """As `WITTConfig`; `channels` is the mean over the tokens, of which one may send the double."""

    def _check(self) -> None:
        super()._check()
        if self.channels > 254:
            raise InputError(f"channels of dynamic tokens are 2 to 254, not {self.channels}")


class Importance(nn.Module):
    """Score of each token, from its features, their mean over the picture, and the channel.

    Args:
        dim: feature width.
        conditions: numbers that the ModNets are told.
    """

    def __init__(self, dim: int, conditions: int) -> None:
        super().__init__()
        half = dim // 2
        self.own, self.all = nn.Linear(dim, half), nn.Linear(dim, half)
        self.score = nn.Sequential(
            nn.Linear(2 * half + conditions, half), nn.GELU(), nn.Linear(half, 1, bias=False)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`x` (B, h, w, dim), `condition` (B, conditions), to (B, h·w) of mean 0 and variance 1."""
        x = x.flatten(1, 2)
        own, mean = F.gelu(self.own(x)), F.gelu(self.all(x)).mean(1, keepdim=True)
        shared = torch.cat((mean, condition[:, None].to(mean.dtype)), dim=2)
        score = self.score(torch.cat((own, shared.expand(-1, x.shape[1], -1)), dim=2))[..., 0]
        score = score.float()
        score = score - score.mean(1, keepdim=True)
        return score * (score.square().mean(1, keepdim=True) + 1e-12).rsqrt()


class DynamicEncoder(Encoder):
    """Picture to channel features, and scores of the tokens."""

    def __init__(self, config: DynamicConfig) -> None:
        super().__init__(replace(config, channels=2 * config.channels, cbr_range=None))
        self.importance = Importance(config.dims[-1], told(config))

    def forward(self, image: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Features (B, h, w, 2·C) and scores (B, h·w)."""
        x = self.tokens(image)
        return self.to_features(x, condition), self.importance(x, condition)


class DynamicWITT(WITT):
    """The paper's network with as many channel uses for a token as it is worth."""

    Config = DynamicConfig
    config: DynamicConfig
    encoder: DynamicEncoder
    pairs: Tensor

    def __init__(self, config: DynamicConfig) -> None:
        super().__init__(config)
        self.encoder = DynamicEncoder(config)
        # Two more inputs say the level of a token.
        self.decoder = Decoder(replace(config, channels=2 * config.channels + 2, cbr_range=None))
        self.register_buffer("pairs", torch.full((LEVELS + 1, LEVELS), 1 / (LEVELS * (LEVELS + 1))))

    # Levels

    def transmit(self, image: Tensor, snr_db: Tensor, k: Tensor, length: int) -> DynamicSymbols:
        features, score = self.encoder(image.to(self.dtype), self._condition(snr_db, k))
        grid = features.shape[1:3]
        x = features.to(image.dtype).flatten(1, 2).unflatten(2, (-1, 2))
        classes, ahead = levels_of(score.detach()), None
        sent = sends(classes, k, x.shape[2])
        if torch.is_grad_enabled() and score.requires_grad:
            gate = straight_through(score, classes, k, x.shape[2]).to(x.dtype)[..., None]
            ahead = x.detach() * gate * ~sent[..., None]
            x = x * gate
        symbols = gathered(x, sent, length)
        if self.training:
            self._count(classes.unflatten(1, grid))
        uses = x.shape[1] * k // 2
        return DynamicSymbols(symbols, uses, Levels(classes.unflatten(1, grid), ahead))

    def receive(
        self,
        symbols: Tensor,
        error: Tensor,
        scale: Tensor,
        snr_db: Tensor,
        k: Tensor,
        grid: tuple[int, int],
        allocation: Levels | None = None,
    ) -> Tensor:
        if allocation is None:
            raise InputError(f"{self.name} needs the level of each token")
        classes = allocation.classes.flatten(1)
        most = self.config.channels
        x = scattered(symbols * (1 / scale)[..., None], sends(classes, k, most))
        if allocation.ahead is not None:
            x = x + allocation.ahead
        flags = torch.stack((classes >= 1, classes >= 2), dim=2).to(x.dtype)
        features = torch.cat((x.flatten(2), flags), dim=2).unflatten(1, grid)
        return self.picture(features.to(self.dtype), snr_db, k).to(symbols.dtype)

    def features(self, image: Tensor, snr_db: Tensor, k: Tensor) -> Tensor:
        return self.encoder(image.to(self.dtype), self._condition(snr_db, k))[0]

    def latent_power(self, encoded: Encoded) -> Tensor:
        """As of `Codec`; of the last half of the channels most tokens send none."""
        symbols, header = encoded
        pairs = torch.view_as_real(symbols)
        k = torch.full((len(pairs),), 2 * header.rate, device=pairs.device)
        classes = header.side[CLASS_MAP].value.flatten(1)
        energy = scattered(pairs, sends(classes, k, self.config.channels)).square()
        return energy.flatten(2).sum(1) / pairs.square().sum(dim=(1, 2))[:, None]

    # The map of levels

    @property
    def map_bits(self) -> Tensor:
        """(4, 3) bits of a level after that of its left neighbour; the last row: where none is."""
        return -torch.log2(self.pairs / self.pairs.sum(1, keepdim=True))

    @torch.no_grad()
    def _count(self, classes: Tensor) -> None:
        """Take the neighbours in maps (B, h, w) into the statistics that the map's code has."""
        left = F.pad(classes[:, :, :-1], (1, 0), value=LEVELS)
        seen = torch.bincount((left * LEVELS + classes).flatten(), minlength=self.pairs.numel())
        seen = seen.view_as(self.pairs) / classes.numel()
        seen[LEVELS] = seen.sum(0)  # where there is no left neighbour
        self.pairs.lerp_(seen.to(self.pairs.dtype) + 1e-4, 1 - MEMORY)

    def side_codes(self) -> dict[str, SideCode]:
        return {**super().side_codes(), CLASS_MAP: self._map_code()}

    def _map_code(self) -> ClassMapCode:
        return ClassMapCode(self.map_bits, self.grid)

    def with_side_information(self, sending: UnscaledSymbols, header: Header) -> Header:
        classes, code = sending.allocation.classes, self._map_code()
        bits = code.bits + max(len(code.bits_of(mine)) for mine in classes)
        return header.with_side(CLASS_MAP, SideInformation(classes, bits))

    def allocate(self, header: Header, snr_db: Tensor, k: Tensor) -> Levels | None:
        classes = header.get(CLASS_MAP)
        return None if classes is None else Levels(classes)

    def check_header(self, symbols: Tensor, header: Header) -> None:
        super().check_header(symbols, header)
        grid, classes = self.grid(header.size), header.get(CLASS_MAP)
        if classes is None or classes.shape != (len(symbols), *grid):
            raise InputError(
                f"{self.name} sends the level of each token: the header has no map of "
                f"{grid[0]}x{grid[1]} tokens"
            )


def levels_of(score: Tensor) -> Tensor:
    """Levels (B, T) by the ranks of scores (B, T): a quarter has 2, twice as many have 0."""
    tokens = score.shape[1]
    high = int(tokens * HIGH_SHARE)
    rank = score.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return (rank < high).long() + (rank < tokens - 2 * high).long()


def steps(k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Symbols (B, 1, 1) of a token at each level, for (B,) features a token on average.

    Two tokens of the lowest level give up what one of the highest has more than the mean.
    """
    mean = (k // 2)[:, None, None]
    less = mean // 2
    return mean - less, mean, mean + 2 * less


def sends(classes: Tensor, k: Tensor, most: int) -> Tensor:
    """(B, T, P) which of P symbols each token sends."""
    place = torch.arange(most, device=classes.device)
    low, mean, high = steps(k)
    level = classes[..., None]
    return place < torch.where(level == 2, high, torch.where(level == 1, mean, low))


def soft_sends(score: Tensor, classes: Tensor, k: Tensor, most: int) -> Tensor:
    """(B, T, P) in 0 to 1: as `sends`, with soft thresholds between the levels."""
    place = torch.arange(most, device=score.device)
    low, mean, high = steps(k)
    above = [_above(score, classes >= level) for level in (1, 2)]
    soft = torch.where(place < mean, above[0][..., None], above[1][..., None])
    return torch.where(place < low, torch.ones_like(soft), soft) * (place < high)


def straight_through(score: Tensor, classes: Tensor, k: Tensor, most: int) -> Tensor:
    """The values of `sends` with the gradient of `soft_sends`."""
    soft = soft_sends(score, classes, k, most)
    return sends(classes, k, most).to(soft.dtype) + (soft - soft.detach())


def _above(score: Tensor, chosen: Tensor) -> Tensor:
    """How far scores (B, T) are above the threshold that divides the chosen from the others."""
    low = score.masked_fill(chosen, -torch.inf).amax(1, keepdim=True)
    high = score.masked_fill(~chosen, torch.inf).amin(1, keepdim=True)
    threshold = torch.where(low.isinf(), high, torch.where(high.isinf(), low, (low + high) / 2))
    return torch.sigmoid((score - threshold.detach()) / SOFTNESS)


def gathered(x: Tensor, sent: Tensor, length: int) -> Tensor:
    """The symbols (B, length, 2) that are sent of (B, T, P, 2), token by token, then zeros."""
    flat, mine = x.flatten(1, 2), sent.flatten(1)
    order = (~mine).long().argsort(dim=1, stable=True)[:, :length]
    return flat.gather(1, order[..., None].expand(-1, -1, 2)) * mine.gather(1, order)[..., None]


def scattered(symbols: Tensor, sent: Tensor) -> Tensor:
    """The inverse of `gathered`, (B, N, 2) to (B, T, P, 2): zeros where nothing was sent."""
    mine = sent.flatten(1)
    place = (mine.long().cumsum(1) - 1).clamp(0, symbols.shape[1] - 1)
    flat = symbols.gather(1, place[..., None].expand(-1, -1, 2)) * mine[..., None]
    return flat.unflatten(1, sent.shape[1:])
