"""Classified transform coding with a KLT for each class, beside which the networks work.

Each block of pixels (one token) belongs to one of K classes (flat, textured, edges of a direction,
…) and goes to coefficients by the KLT of its class; the strongest of the whole picture are sent,
with the power that is best for them, so that a busy token gets many channel uses and a flat one
hardly any; the few strongest by a Shannon–Kotel'nikov mapping (`shannon_kotelnikov.py`). What is
smooth over the picture, the first coefficients of all tokens, is sent by its spatial frequencies.
The receiver knows the classes, and with them all variances: it makes the LMMSE estimate.

Which class a token is in and what is sent is decided in float64: in float32 another processor,
which adds up in another order, would now and then decide otherwise, and send other symbols.

Sources: classified transform coding (Dony & Haykin, IEEE Trans. Image Process. 4(10), 1995),
linear transmission of what matters most with its variances as side information (SoftCast,
Jakubczak & Katabi 2011), token-wise rates with side information (NTSCC, arXiv 2112.10961).
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.codecs.classified import shannon_kotelnikov
from witt.codecs.classified.allocation import (
    MAX_EXPANDED_SHARE,
    Allocation,
    PictureAllocation,
    allocate,
)
from witt.codecs.classified.class_map import MapCost, map_rate, viterbi_rows
from witt.codecs.classified.spectrum import OCTAVES, dct, interpolation_weights, inverse_dct

WITHOUT_FLOAT64 = ("mps",)  # kinds of devices
# One token in so many is looked at for a first guess of the prices of power and bandwidth.
SUBSAMPLING = 4

T = TypeVar("T", "Tokens", "PictureAllocation")


class Tokens(NamedTuple):
    """Of a picture: `shared` (B, h, w, C) from `project`, `classes` (B, h, w) from `classify`."""

    shared: Tensor
    classes: Tensor


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Out of autocast: at a high SNR the 8 bits of bfloat16 would be what limits a linear code."""
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def in_float64(function: Callable[..., T]) -> Callable[..., T]:
    """Have the CPU do the work of a method where the device has no float64 (Apple's GPUs)."""

    @functools.wraps(function)
    def there(code: ClassifiedTransformCode, *args: Tensor, **settings: Any) -> T:
        device = args[0].device
        if device.type not in WITHOUT_FLOAT64:
            return function(code, *args, **settings)
        done = function(copy.deepcopy(code).cpu(), *(arg.cpu() for arg in args), **settings)
        return type(done)(*(each.to(device) for each in done))

    return there


def noise_variance(snr_db: Tensor) -> Tensor:
    """Of the nominal noise on one of the two features of a symbol."""
    return 10 ** (-snr_db / 10) / 2


def _interpolated(log: Tensor, grid: tuple[int, int]) -> Tensor:
    """(h, w, m) float64 at the spatial frequencies of a grid, from (nodes, m)."""
    return interpolation_weights(*grid, log.double()) @ log.double()


def _without_weights(code: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Files written before there were weights have all errors count alike."""
    for name in ("log_weight", "log_wave_weight"):
        state.setdefault(prefix + name, torch.zeros_like(getattr(code, name)))


class ClassifiedTransformCode(nn.Module):
    """KLTs and statistics of the classes; fixed by `witt.codecs.classified.classes`.

    Args:
        block: side of a token in pixels.
        classes: K.
        smooth: m, coefficients of a token that are sent by their spatial frequencies.
        feature_channels: C features of a token, the smooth ones first.
    """

    mean: Tensor
    basis: Tensor
    rotation: Tensor
    centre: Tensor
    log_variance: Tensor
    log_rest: Tensor
    log_spectrum: Tensor
    map_bits: Tensor
    log_weight: Tensor
    log_wave_weight: Tensor

    def __init__(self, block: int, classes: int, smooth: int, feature_channels: int) -> None:
        super().__init__()
        size, own = 3 * block**2, feature_channels - smooth
        self.block, self.classes, self.smooth, self.own = block, classes, smooth, own
        for name, start in (
            ("mean", torch.zeros(size)),  # of a block, pixels less 0.5
            ("basis", torch.eye(feature_channels, size)),  # rows: the KLT of all blocks
            ("rotation", torch.eye(own).repeat(classes, 1, 1)),  # columns: the KLT of a class
            ("centre", torch.zeros(classes, own)),  # mean of a class, after its rotation
            ("log_variance", torch.zeros(classes, own)),  # after it too
            ("log_rest", torch.zeros(classes)),  # of what no feature holds, over the whole block
            ("log_spectrum", torch.zeros(len(OCTAVES), smooth)),  # of the smooth ones
            # Bits for a class after that of its left neighbour; the last row where there is none.
            ("map_bits", torch.full((classes + 1, classes), math.log2(classes))),
            # Weights of squared errors, where these do not count alike everywhere (MS-SSIM).
            # Shipped files hold log_wave_weight, of the spatial frequencies, under this name.
            ("log_weight", torch.zeros(classes, own)),
            ("log_wave_weight", torch.zeros(len(OCTAVES), smooth)),
        ):
            self.register_buffer(name, start)
        self.register_load_state_dict_pre_hook(_without_weights)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> ClassifiedTransformCode:
        """In `model.half()` the code stays in float32: it decides what is sent."""

        def moved(tensor: Tensor) -> Tensor:
            other = fn(tensor)
            halved = other.is_floating_point() and other.element_size() < 4
            return tensor.to(other.device) if halved else other

        return super()._apply(moved, recurse)

    # Transforms

    def project(self, image: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """`image` (B, 3, H, W) in [0, 1] to coefficients (B, h, w, C) that all classes share.

        The sums are in `dtype`, by default that of the image.
        """
        blocks = F.pixel_unshuffle(image - 0.5, self.block).permute(0, 2, 3, 1) - self.mean
        return blocks.to(dtype) @ self.basis.T.to(dtype)

    def analyse(self, shared: Tensor, classes: Tensor) -> Tensor:
        """Features (B, h, w, C) of `project`'s coefficients and classes (B, h, w)."""
        smooth, own = shared[..., : self.smooth], shared[..., self.smooth :]
        own = self._by_class(own, classes, self.rotation) - self.centre[classes]
        return torch.cat((dct(smooth), own), dim=-1)

    def synthesise(self, features: Tensor, classes: Tensor) -> Tensor:
        """Image (B, 3, H, W) of features (B, h, w, C)."""
        smooth, own = features[..., : self.smooth], features[..., self.smooth :]
        own = self._by_class(own + self.centre[classes], classes, self.rotation.mT)
        blocks = torch.cat((inverse_dct(smooth), own), dim=-1) @ self.basis + self.mean
        return F.pixel_shuffle(blocks.permute(0, 3, 1, 2), self.block) + 0.5

    def _by_class(self, x: Tensor, classes: Tensor, matrices: Tensor) -> Tensor:
        """Each token times the matrix of its class."""
        # A graph cannot have shapes that follow from numbers, and a GPU had to be waited for.
        if torch.compiler.is_exporting() or x.device.type != "cpu":
            each = [(x * (classes == c)[..., None]) @ matrix for c, matrix in enumerate(matrices)]
            return torch.stack(each).sum(0)
        flat, labels = x.flatten(0, 2), classes.flatten()
        order = labels.argsort(stable=True)
        counts = torch.bincount(labels, minlength=self.classes).tolist()
        parts = zip(flat[order].split(counts), matrices, strict=True)
        rotated = torch.cat([part @ matrix for part, matrix in parts])
        return rotated[order.argsort()].reshape(x.shape)

    # What is sent

    @in_float64
    def tokens(
        self, image: Tensor, snr_db: Tensor, k: Tensor, map_cost: MapCost | None = None
    ) -> Tokens:
        """Those of `image` (B, 3, H, W) in [0, 1]; the others as of `classify`."""
        shared = self.project(image, torch.float64)
        return Tokens(shared.to(image.dtype), self.classify(shared, snr_db, k, map_cost))

    @torch.no_grad()
    def classify(
        self, shared: Tensor, snr_db: Tensor, k: Tensor, map_cost: MapCost | None = None
    ) -> Tensor:
        """The class (B, h, w) that each token is sent best in, for what a coefficient costs here.

        Args:
            shared: (B, h, w, C) from `project`.
            snr_db: (B,).
            k: (B,) features of a token sent on average, class map included.
            map_cost: of coded side information; None where it is taken as received.
        """
        own = shared[..., self.smooth :].flatten(1, 2)
        tokens = own.shape[1]
        snr_db, budget = snr_db.double(), tokens * k
        rate = map_rate(snr_db)
        if map_cost is not None:
            rate, budget = map_cost.rate.to(snr_db), budget - 2 * map_cost.header_uses.to(k)
        # As if each class had its usual share, then with the shares in this picture.
        share = 2 ** -self.map_bits[-1].double()
        counts = (share * tokens).expand(len(own), -1)
        grid = (shared.shape[1], shared.shape[2])
        prices = self.allocate_components(counts, grid, snr_db, budget)
        bit_price = self.bit_price(prices, snr_db, rate)
        sample = self.costs(own[:, ::SUBSAMPLING], prices, bit_price).argmin(-1)
        counts = F.one_hot(sample, self.classes).double().mean(1) * tokens
        prices = self.allocate_components(counts, grid, snr_db, budget)
        bit_price = self.bit_price(prices, snr_db, rate)
        costs = self.costs(own, prices, bit_price)
        bit_price = bit_price[..., None]
        rows = costs - bit_price * self.map_bits[-1]
        classes = viterbi_rows(rows.unflatten(1, grid), bit_price[..., None] * self.map_bits)
        # Where the map would take most of the channel, one class has to do for all tokens.
        too_long = self.map_size(classes) / rate > budget / 4
        return torch.where(too_long[:, None, None], costs.sum(1).argmin(-1)[:, None, None], classes)

    def costs(self, own: Tensor, prices: Allocation, bit_price: Tensor) -> Tensor:
        """(B, T, K) for each class: error, power and bandwidth taken from others, bits of the map.

        As if all were sent linearly, at the prices that there are with some of them expanded.
        """
        root = self.log_variance.to(own.dtype).exp().sqrt()
        rotation, centre = self.rotation.to(own.dtype), self.centre.to(own.dtype)
        water_level, bandwidth_price = (
            price.to(own.dtype)[..., None] for price in (prices.water_level, prices.bandwidth_price)
        )  # (B, 1, 1)
        sent = (root - water_level).clamp_min(0).square() > bandwidth_price  # (B, K, C)
        fixed = torch.where(sent, water_level * (root - water_level) + bandwidth_price, 0.0).sum(-1)
        fixed = fixed + self.log_rest.to(own.dtype).exp()
        fixed = fixed + bit_price * self.map_bits[-1]
        # What a coefficient that is not sent costs is its square, and no rotation changes the sum
        # of those: only the ones that are sent, the first of each class, have to be looked at.
        less = torch.where(sent, water_level / root - 1, 0.0)
        rotated = (rotation @ centre[..., None])[..., 0]
        energy = own.square().sum(-1, keepdim=True) - 2 * own @ rotated.T
        energy = energy + centre.square().sum(-1)
        costs = []
        for c, most in enumerate(self._widths(sent)):
            features = own @ rotation[c, :, :most] - centre[c, :most]
            costs.append((features.square() @ less[:, c, :most, None])[..., 0])
        return energy + torch.stack(costs, dim=-1) + fixed[:, None]

    def _widths(self, sent: Tensor) -> list[int]:
        """For each class how many features to look at: at least up to the last that is sent."""
        if torch.compiler.is_exporting() or sent.device.type != "cpu":
            return [self.own] * self.classes
        index = torch.arange(1, self.own + 1)
        return (sent * index).amax(dim=(0, 2)).clamp_min(1).tolist()

    def bit_price(self, prices: Allocation, snr_db: Tensor, rate: Tensor) -> Tensor:
        """(B, 1) cost of a bit: a channel use takes two dimensions and a unit of power.

        Args:
            prices: of these pictures.
            snr_db: (B,).
            rate: (B,) bits a channel use.
        """
        noise = noise_variance(snr_db)[:, None]
        use = (
            2 * prices.bandwidth_price + prices.water_level.square() / noise
        )  # the power is worth 1/L²
        return use.to(snr_db.dtype) / rate[:, None]

    def allocate_components(
        self,
        counts: Tensor,
        grid: tuple[int, int],
        snr_db: Tensor,
        budget: Tensor,
        expansion: bool = True,
        weighted: bool = False,
    ) -> Allocation:
        """For (B, K) tokens of each class on a grid: features (K·own), frequencies (h·w·m)."""
        snr_db, variance = snr_db.double(), self._variances(grid)
        if weighted:
            smooth = _interpolated(self.log_wave_weight, grid)
            variance = variance * torch.cat((self.log_weight.flatten(), smooth.flatten())).exp()
        each = counts.double().repeat_interleave(self.own, dim=1)
        ones = each.new_ones(len(counts), len(variance) - each.shape[1])
        kinds = variance.expand(len(counts), -1)
        each = torch.cat((each, ones), dim=1)
        return allocate(kinds, each, budget, noise_variance(snr_db), expansion)

    def _variances(self, grid: tuple[int, int]) -> Tensor:
        """(E,) float64 of each kind: the features of the classes, then the frequencies."""
        smooth = _interpolated(self.log_spectrum, grid)
        return torch.cat((self.log_variance.flatten(), smooth.flatten())).exp()

    def map_size(self, classes: Tensor) -> Tensor:
        """(B,) bits of the class map (B, h, w): an arithmetic coder's, row by row.

        None where all are alike: that class stands in the header instead.
        """
        first = torch.full_like(classes[:, :, :1], self.classes)
        left = torch.cat((first, classes[:, :, :-1]), dim=2)
        bits = self.map_bits[left, classes].double().sum(dim=(1, 2)).ceil()
        return bits * (classes != classes[:, :1, :1]).any(dim=2).any(dim=1)

    @in_float64
    @torch.no_grad()
    def allocate(
        self,
        classes: Tensor,
        snr_db: Tensor,
        k: Tensor,
        most_k: int | None = None,
        side_uses: Tensor | None = None,
    ) -> PictureAllocation:
        """What is sent of a picture with these classes; transmitter and receiver agree on it.

        Args:
            classes: (B, h, w).
            snr_db: (B,) nominal SNR.
            k: (B,) features of a token sent on average, class map included.
            most_k: at least the largest of `k`, for shapes where these may not be looked at.
            side_uses: (B,) channel uses of coded side information; None where it is taken as
                received, so that they follow from the classes.
        """
        grid = (classes.shape[1], classes.shape[2])
        if side_uses is None:
            map_uses = (self.map_size(classes) / map_rate(snr_db.double())).ceil().long()
        else:
            map_uses = side_uses.to(k)
        uses = (grid[0] * grid[1] * k // 2 - map_uses).clamp_min(0)
        flat = classes.flatten(1)
        member = F.one_hot(flat, self.classes)
        chosen = self.allocate_components(member.sum(1), grid, snr_db, 2 * uses, weighted=True)

        def of_each_feature(entries: Tensor) -> Tensor:
            """(B, h, w, C) from (B, E) of each kind."""
            kinds = entries[:, : self.log_variance.numel()].unflatten(1, self.log_variance.shape)
            own = kinds.gather(1, flat[..., None].expand(-1, -1, self.own))
            smooth = entries[:, self.log_variance.numel() :]
            smooth = smooth.reshape(len(smooth), flat.shape[1], self.smooth)
            return torch.cat((smooth, own), dim=-1).unflatten(1, grid)

        # Of the last kind that is sent only the first tokens of the class are.
        rank = (member.cumsum(1) - 1).gather(2, flat[..., None]).unflatten(1, grid)
        number_sent = of_each_feature(chosen.number_sent.to(torch.int32))
        smooth, own = number_sent.tensor_split([self.smooth], dim=-1)
        sent = torch.cat((smooth > 0, own > rank), dim=-1)
        # All that is alike in the features of a kind, before there is one of each.
        kinds = self._variances(grid).to(self.log_variance.dtype)
        noise = noise_variance(snr_db)[:, None]
        power = chosen.power.to(kinds.dtype)
        ratio = power / noise
        equivalent = (
            shannon_kotelnikov.equivalent_linear_power(ratio.clamp_min(1), chosen.pairs) * noise
        )
        equivalent = torch.where(chosen.pairs > 0, equivalent, power)
        variance = of_each_feature(kinds.expand(len(classes), -1))
        gain = of_each_feature((equivalent / kinds).sqrt()) * sent
        pairs, ratio = of_each_feature(chosen.pairs), of_each_feature(ratio)
        most = math.ceil(
            MAX_EXPANDED_SHARE * flat.shape[1] * (most_k or sent.shape[-1]) / 3
        )  # 3 dimensions each
        expanded = self._indices(pairs.flatten(1) > 0, most)
        ratio = F.pad(ratio.flatten(1), (0, 1), value=1.0).gather(1, expanded)
        pairs = F.pad(pairs.flatten(1), (0, 1)).gather(1, expanded)
        return PictureAllocation(
            classes, variance, gain, sent, expanded, ratio, pairs, map_uses, uses
        )

    def _indices(self, chosen: Tensor, most: int) -> Tensor:
        """(B, M) indices of those chosen among (B, N), in their order, and N past the last.

        M is `most` where a shape may not follow from numbers.
        """
        number = chosen.cumsum(1, dtype=torch.int32).long()
        total = chosen.shape[1]
        if not torch.compiler.is_exporting() and chosen.device.type == "cpu":
            most = int(number[:, -1].max()) if total else 0
        position = torch.where(chosen, number - 1, most)
        every = torch.arange(total, device=chosen.device).expand_as(position)
        listed = torch.full_like(position[:, :1], total).repeat(1, most + 1)
        return listed.scatter(1, position, every)[:, :most]
