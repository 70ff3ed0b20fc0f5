"""SSIM and LPIPS."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from witt.errors import InputError
from witt.metrics.quality import WINDOW, mean_ssim

# What LPIPS looks with; torchvision has the weights.
NETS: dict[Any, tuple[str, str]] = {
    "alex": ("alexnet", "alexnet-owt-7be5be79.pth"),
    "squeeze": ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
}


class Ssim:
    """Structural similarity, the mean over the pixels and colours of a picture.

    The window is Gaussian, 11 × 11 with sigma 1.5, K = (0.01, 0.03); only places where it fits
    count. (torchmetrics counts the border too, which it makes up by reflection.)

    Source:
        Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment: From Error Visibility to
        Structural Similarity, 2004; computed by pytorch-msssim.
    """

    label, higher_is_better, best = "SSIM", True, 1.0

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """(B,) float64 in [-1, 1]; NaN where the window does not fit."""
        if min(image.shape[2:]) < WINDOW:
            return torch.full((len(image),), math.nan)
        planes = zip(image.flatten(0, 1), reference.flatten(0, 1), strict=True)
        found = [
            mean_ssim(x.double()[None, None] * 255, y.double()[None, None] * 255, WINDOW, 0.01)
            for x, y in planes
        ]
        return torch.cat(found).reshape(len(image), 3).mean(dim=1)


class Lpips:
    """Learned perceptual similarity: a distance between features of a network, 0 for equals.

    Args:
        net: "alex", which its authors advise for comparisons, or "squeeze".

    Raises:
        InputError: torchmetrics is not installed, or the weights of the network are not there.

    Source:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, 2018,
        version 0.1; computed by torchmetrics.
    """

    label, higher_is_better = "LPIPS", False

    def __init__(self, net: Any = "alex") -> None:
        if net not in NETS:
            raise InputError(f"lpips:net={net}: choose from {', '.join(NETS)}")
        try:
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        except ImportError as error:
            raise InputError("lpips needs torchmetrics: pip install 'witt[metrics]'") from error
        model, name = NETS[net]
        file = Path(torch.hub.get_dir()) / "checkpoints" / name
        if not file.is_file():  # it is never fetched unasked
            raise InputError(
                f"lpips needs {file}; to fetch it once: python -c 'import torchvision; "
                f'torchvision.models.{model}(weights="DEFAULT")\''
            )
        self._net = LearnedPerceptualImagePatchSimilarity(net).net

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """(B,)."""
        net = self._net.to(image.device)
        found: Tensor = net(image.float(), reference.float(), normalize=True)
        return found.flatten()
