"""DeepJSCC: a convolutional encoder and decoder that know neither SNR nor rate.

    image ─► convolutions, PReLU ─► symbols ─► channel ─► transposed convolutions, PReLU ─► image

With `rate_adaptive` it serves several rates by sending the first k features.

Source: Bourtsoulatze, Burth Kurka and Gündüz, IEEE TCCN 2019, arXiv 1809.01733, figure 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from witt.codecs.feature_config import FeatureConfig
from witt.codecs.features import FeatureCodec
from witt.errors import InputError

SLOPE = 0.25  # of PReLU at the start, PyTorch's own


@dataclass(frozen=True)
class DeepJSCCConfig(FeatureConfig):
    """Sizes of the network; `depths` counts the convolutions of each stage.

    Args:
        kernel: side of the convolutions' kernels, odd.
    """

    EARLIER: ClassVar[dict[str, Any]] = {
        "network": "cnn",
        "classes": 0,
        "modulation": True,
        "heads": None,
        "modnet_layers": None,
        "modnet_ratio": None,
        "smooth_channels": None,
        "refiner_blocks": None,
    }
    RENAMED: ClassVar[dict[str, str]] = {"window": "kernel"}

    kernel: int = 5

    def _check(self) -> None:
        super()._check()
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"the kernels of a CNN have an odd side, not kernel {self.kernel}")


class DeepJSCC(FeatureCodec):
    """The source-channel codec of the first deep JSCC."""

    Config = DeepJSCCConfig
    config: DeepJSCCConfig
    encoder_knows_snr = False
    uses_all_parameters = True

    def __init__(self, config: DeepJSCCConfig) -> None:
        super().__init__(config)
        self.encoder, self.decoder = CnnEncoder(config), CnnDecoder(config)

    def features(self, image: Tensor, snr_db: Tensor, k: Tensor) -> Tensor:
        return self.encoder(image.to(self.dtype))

    def picture(self, features: Tensor, snr_db: Tensor, k: Tensor) -> Tensor:
        return self.decoder(features)


class CnnEncoder(nn.Module):
    """Picture to channel features: each stage halves the map, PReLU after all but the last."""

    def __init__(self, config: DeepJSCCConfig) -> None:
        super().__init__()
        kernel = config.kernel
        layers: list[nn.Module] = []
        width = 3
        for stage, (dim, depth) in enumerate(zip(config.dims, config.depths, strict=True)):
            for i in range(depth):
                stride = 1 if i else (2 if stage else config.patch)
                layers += [nn.Conv2d(width, dim, kernel, stride, kernel // 2), nn.PReLU(dim)]
                width = dim
        self.layers = nn.Sequential(
            *layers, nn.Conv2d(width, config.channels, kernel, padding=kernel // 2)
        )
        init_steady(self)

    def forward(self, image: Tensor) -> Tensor:
        """`image` (B, 3, H, W) in [0, 1], sides multiples of the stride; to (B, h, w, C)."""
        return self.layers(image).permute(0, 2, 3, 1)


class CnnDecoder(nn.Module):
    """Channel features to picture: the encoder mirrored, with a sigmoid at the end."""

    def __init__(self, config: DeepJSCCConfig) -> None:
        super().__init__()
        kernel = config.kernel
        dims, depths = config.dims[::-1], config.depths[::-1]
        layers: list[nn.Module] = [_grow(config.channels, dims[0], kernel, 1), nn.PReLU(dims[0])]
        for i, (dim, depth) in enumerate(zip(dims, depths, strict=True)):
            for _ in range(depth - 1):
                layers += [_grow(dim, dim, kernel, 1), nn.PReLU(dim)]
            if i + 1 < len(dims):
                layers += [_grow(dim, dims[i + 1], kernel, 2), nn.PReLU(dims[i + 1])]
        layers += [_grow(dims[-1], 3, kernel, config.patch), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)
        init_steady(self)

    def forward(self, features: Tensor) -> Tensor:
        """Picture (B, 3, H, W) from `features` (B, h, w, C)."""
        return self.layers(features.permute(0, 3, 1, 2))


def init_steady(network: nn.Module) -> None:
    """Weights at which maps keep their variance from layer to layer.

    With PyTorch's own each layer and its PReLU leave a fifth of it.

    Source: He et al., "Delving Deep into Rectifiers", arXiv 1502.01852, equation 15.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            taps = float(layer.kernel_size[0] * layer.kernel_size[1])
            if isinstance(layer, nn.ConvTranspose2d):  # of which a pixel meets a part
                taps /= layer.stride[0] * layer.stride[1]
            variance = 2 / (1 + SLOPE**2) / (layer.in_channels * taps)
            nn.init.normal_(layer.weight, std=variance**0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _grow(width: int, dim: int, kernel: int, factor: int) -> nn.ConvTranspose2d:
    """A transposed convolution that makes a map `factor` times as large."""
    margin = kernel // 2
    left = factor - 1 + 2 * margin - (kernel - 1)
    return nn.ConvTranspose2d(width, dim, kernel, factor, margin, output_padding=left)
