"""The presets that differ in their blocks only, at the same operations: docs/backbones.md.

Two frames, one for photographs and one for 32×32 pictures, each with every kind of block. The
hidden widths are such that all of a frame take the same operations for each pixel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from witt.codecs.witt import WITTConfig
from witt.registry import backbone_preset


class Frame(NamedTuple):
    """What the presets of a frame share.

    sizes: entries of their configuration.
    side: of the pictures on which their operations are equal, in pixels.
    mlp_ratio: of each kind of block, which makes them so.
    """

    sizes: dict[str, Any]
    side: int
    mlp_ratio: dict[str, float]


FRAMES: dict[str, Frame] = {
    "witt_narrow": Frame(
        {
            "dims": (32, 64, 96, 128),
            "depths": (1, 1, 2, 1),
            "heads": (1, 2, 3, 4),
            "window": 8,
            "channels": 96,
            "sends_scale": True,
        },
        128,
        {
            "swin": 4.0,
            "mixer": 6.5,
            "focal": 3.25,
            "mvit": 3.75,
            "hpvit": 4.75,
            "convnext": 6.75,
            "resnet": 0.8,
        },
    ),
    "witt_cifar_narrow": Frame(
        {
            "dims": (48, 96),
            "depths": (2, 4),
            "heads": (3, 6),
            "window": 4,
            "channels": 32,
            "sends_scale": True,
        },
        32,
        {
            "swin": 4.0,
            "mixer": 5.5,
            "focal": 3.17,
            "mvit": 3.17,
            "hpvit": 3.5,
            "convnext": 5.84,
            "resnet": 0.7,
        },
    ),
}


def backbone_configs() -> dict[str, WITTConfig]:
    """Configuration of each frame with each kind of block, by the preset's name."""
    made = {}
    for frame, (sizes, _, ratios) in FRAMES.items():
        for block, ratio in ratios.items():
            name = backbone_preset(frame, block)
            made[name] = WITTConfig(name, block=block, mlp_ratio=ratio, **sizes)
    return made
