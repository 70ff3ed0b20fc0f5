"""Tiny models whose weights are a fixed pattern, and pictures of noise."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import channels
import witt
from witt.codecs.classified.config import ClassifiedConfig
from witt.codecs.classified.transform_code import ClassifiedTransformCode
from witt.codecs.feature_config import FeatureConfig
from witt.codecs.features import FeatureCodec
from witt.codecs.presets import codec_of
from witt.codecs.swinjscc import SwinJSCCConfig
from witt.codecs.witt import WITTConfig

DIMS, HEADS = (8, 12, 16, 20), (2, 3, 4, 5)
ODD = [(1, 1), (1, 7), (17, 33), (31, 64)]
CHANNELS = [channels.AWGN(), channels.Rayleigh(), channels.Rician(coherence=None)]
every_channel = pytest.mark.parametrize("channel", CHANNELS, ids=repr)


def tiny_config(stages: int = 2, **entries: Any) -> Any:
    """Of the paper's codec, of the classified one where it has classes, of SwinJSCC if masked."""
    depths = (2,) * stages
    sizes: dict[str, Any] = {"window": 2, "channels": 8, "modnet_layers": 2, **entries}
    kind: type[WITTConfig | ClassifiedConfig] = WITTConfig
    if sizes.pop("masked", False):
        kind = SwinJSCCConfig
    elif "classes" in entries:
        kind = ClassifiedConfig
    return kind("tiny", DIMS[:stages], depths, HEADS[:stages], **sizes)


def build(config: FeatureConfig) -> FeatureCodec:
    """A float64 model whose parameters are a fixed pattern, the same under every torch."""
    with torch.random.fork_rng():
        model = codec_of(config).double()
    with torch.no_grad():
        for index, (name, parameter) in enumerate(model.named_parameters()):
            n = torch.arange(parameter.numel(), dtype=torch.float64)
            # Between -1 and 1; a plain sine would make matrices of rank 2.
            wave = 2 * (43758.5453 * torch.sin(12.9898 * n + 78.233 * index)).frac().abs() - 1
            wave = wave.reshape(parameter.shape)
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * wave)
            elif parameter.ndim == 2:
                parameter.copy_(wave * math.sqrt(3 / parameter.shape[1]))
            else:
                parameter.copy_(0.2 * wave)
        if isinstance(model, witt.ClassifiedCodec):
            tell_apart(model.code)
    return model.eval()


def tell_apart(code: ClassifiedTransformCode) -> None:
    """Classes that differ, orthogonal bases, and variances that fall."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name in ("basis", "rotation"):
            matrix = torch.randn_like(getattr(code, name))
            getattr(code, name).copy_(torch.linalg.qr(matrix.mT)[0].mT)
        code.log_variance.copy_(torch.randn_like(code.log_variance).sort(-1, True).values - 3)
        code.log_spectrum.copy_(torch.randn_like(code.log_spectrum) - 2)


def tiny(stages: int = 2, **entries: Any) -> Any:
    return build(tiny_config(stages, **entries))


FULL = {"rate_adaptive": True, "classes": 3, "smooth_channels": 2, "sends_scale": True}
RATES = {"rate_adaptive": True, "sends_scale": True}
MASKED = {"masked": True}
every_kind = pytest.mark.parametrize(
    "entries", [{}, RATES, FULL, MASKED], ids=["plain", "rates", "full", "masked"]
)


def picture(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Noise pictures in float64, their contrast differing from image to image."""
    noise = torch.rand((batch, 3, height, width), generator=seeded(seed), dtype=torch.float64)
    contrast = torch.linspace(1, 0.05, batch, dtype=torch.float64).reshape(-1, 1, 1, 1)
    return 0.5 + (noise - 0.5) * contrast


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cn(*shape: int, seed: int) -> Tensor:
    return channels.complex_normal(shape, dtype=torch.complex128, generator=seeded(seed))
