"""Accuracy: whether a classifier still sees in a received picture what it shows."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from witt.errors import InputError
from witt.metrics.semantic.network import CIFAR_CLASSES, SHIPPED, Classifier, load_network
from witt.report import file_sha256

WEIGHTS = SHIPPED / "cifar10_classifier.safetensors"


class Accuracy:
    """Share of the received pictures whose class a small classifier finds.

    The classifier was trained on clean CIFAR-10 pictures and knows nothing of channels; its model
    card is `witt/metrics/data/cifar10_classifier.md`. It errs at clean pictures too: its accuracy
    there is what a perfect transmission has.

    Raises:
        InputError: the weights are damaged.
    """

    label, higher_is_better, best, needs_labels = "Accuracy", True, 1.0, True

    def __init__(self) -> None:
        self.source = f"sha256 {file_sha256(WEIGHTS)}"
        self._network = _classifier()

    def __call__(self, image: Tensor, reference: Tensor, labels: Tensor) -> Tensor:
        """1 where the class of the received picture is found, else 0; NaN for a picture of NaN.

        Args:
            image: (B, 3, H, W) in [0, 1], sides of at least 8.
            reference: not looked at.
            labels: (B,) classes, 0 (airplane) to 9 (truck).

        Returns:
            (B,).

        Raises:
            InputError: there is no such class.
        """
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(CIFAR_CLASSES):
            raise InputError(
                f"class {low if low < 0 else high}: the classifier of accuracy knows CIFAR-10's "
                f"0 to {len(CIFAR_CLASSES) - 1}"
            )
        scores = self._network.to(image.device)(image.float())
        right = (scores.argmax(dim=1) == labels).double()
        return torch.where(scores.isfinite().all(dim=1), right, math.nan)


@functools.cache
def _classifier() -> Classifier:
    return load_network(WEIGHTS, Classifier())[0]
