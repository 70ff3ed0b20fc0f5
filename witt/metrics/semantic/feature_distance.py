"""Feature distance: how far a received picture is from the original to a small encoder.

The encoder was trained here without labels, on photographs, by matching regions of views.
"""

from __future__ import annotations

import functools
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from witt.metrics.semantic.network import SHIPPED, STRIDE, Encoder, load_network
from witt.report import file_sha256

WEIGHTS = SHIPPED / "feature_encoder.safetensors"


class FeatureDistance:
    """One minus the cosine between the features of two pictures, averaged; 0 for equals.

        d = mean over stages l of mean over places p of 1 − cos(z_l,p(x), z_l,p(y))

    z_l,p are the channels at place p behind block l of the encoder, as in LPIPS (Zhang et al.,
    arXiv 1801.03924), but with nothing fitted to what people say. The model card of the encoder
    is `witt/metrics/data/feature_encoder.md`.

    Args:
        weights: a file of `python -m benchmarks.semantic.encoder`; without it the one that ships.

    Raises:
        InputError: the weights are missing or damaged.
    """

    label, higher_is_better, best = "Feature distance", False, 0.0

    def __init__(self, weights: str = "") -> None:
        path = Path(weights) if weights else WEIGHTS
        self._network = _encoder(path)
        self.source = f"sha256 {file_sha256(path)}"

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """(B,) from 0 to 1, of pictures (B, 3, H, W) in [0, 1] with sides of at least 8.

        Raises:
            ValueError: the pictures are smaller.
        """
        if min(image.shape[2:]) < STRIDE:
            raise ValueError(f"a picture has sides below {STRIDE} pixels")
        network = self._network.to(image.device)
        pairs = zip(network.stages(image.float()), network.stages(reference.float()), strict=True)
        each = [1 - F.cosine_similarity(x, y, dim=1).mean(dim=(1, 2)) for x, y in pairs]
        return sum(each[1:], each[0]) / len(each)


@functools.cache
def _encoder(path: Path) -> Encoder:
    return load_network(path, Encoder())[0]
