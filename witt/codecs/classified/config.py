"""What defines a classified codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from witt.codecs.feature_config import FeatureConfig, check_heads, check_modnet
from witt.errors import InputError


@dataclass(frozen=True)
class ClassifiedConfig(FeatureConfig):
    """Sizes of the code and of the networks beside it; `channels` are those of the code.

    Args:
        heads: attention heads of each stage.
        classes: of tokens, each with a KLT of its own.
        smooth_channels: how many of the first features are sent by their spatial frequencies.
        refiner_blocks: Swin blocks of the decoder at its widest map, as wide as the first stage;
            below it `depths` count, as in the encoder.
        window: side of the attention window, in tokens.
        modnet_layers: factors in the Channel ModNet.
        modnet_ratio: hidden width of the ModNet over the feature width.
        modulation: use the Channel ModNets; without, their weights are there and unused.
    """

    EARLIER: ClassVar[dict[str, Any]] = {"network": "swin"}
    channels_follow_cbr: ClassVar[bool] = False

    heads: tuple[int, ...]
    classes: int = 8
    smooth_channels: int = 0
    refiner_blocks: int = 6
    window: int = 8
    modnet_layers: int = 7
    modnet_ratio: float = 1.5
    modulation: bool = True

    def _check(self) -> None:
        super()._check()
        check_heads(self.dims, self.heads)
        check_modnet(self.modnet_layers, self.modnet_ratio, min(self.dims))
        self._check_least("window", "classes", "refiner_blocks")
        if self.smooth_channels < 0:
            raise InputError(f"smooth_channels must be 0 or more, not {self.smooth_channels}")
        if not self.smooth_channels < self.channels <= 3 * self.stride**2:
            raise InputError(
                f"classes need more than {self.smooth_channels} channels and at most "
                f"{3 * self.stride**2}, not {self.channels}"
            )
