"""Self-distillation of views and of their regions: the losses of EsViT, the centre, the average.

    view a ─► student ─► regions (B, R, C) ─┬─► mean ─► head ─► scores of the view
                                            └────────► head ─► scores of each region
    view b ─► teacher ─► the same; its weights are the moving average of the student's

The student's scores of one view are to be the teacher's of the other. A region of the student is
compared with the region of the teacher whose features are most like its own, by their cosine.

Source: Li et al., Efficient Self-supervised Vision Transformers for Representation Learning, arXiv
2106.09785, equations 1 to 3; centring and temperatures as of Caron et al. (DINO), arXiv 2104.14294.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from witt.metrics.semantic.network import Encoder

SCORES = 256
HIDDEN, BOTTLENECK = 256, 64
STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.05
CENTRE_MOMENTUM = 0.9


class Head(nn.Module):
    """Features (…, C) to scores (…, K): cosines with K directions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, BOTTLENECK)
        )
        last = parametrizations.weight_norm(nn.Linear(BOTTLENECK, SCORES, bias=False))
        # Their lengths stay at 1: one that grows is how such a training collapses (DINO).
        lengths = last.parametrizations.weight.original0
        lengths.data.fill_(1.0)
        lengths.requires_grad_(False)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        scores: Tensor = self.last(F.normalize(self.layers(x), dim=-1))
        return scores


class Distilled(nn.Module):
    """An encoder with the heads for views and for regions; student and teacher are one each."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        width = self.encoder.width
        self.view_head, self.region_head = Head(width), Head(width)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Regions (B, R, C), scores of the view (B, K), scores of the regions (B, R, K)."""
        regions = self.encoder(image).flatten(2).transpose(1, 2)
        return regions, self.view_head(regions.mean(dim=1)), self.region_head(regions)


class Centre(nn.Module):
    """What is taken off the teacher's scores, so that no direction wins everywhere.

        c ← m·c + (1 − m)·mean of the scores

    Attributes:
        value: (K,).
    """

    value: Tensor

    def __init__(self, scores: int = SCORES, momentum: float = CENTRE_MOMENTUM) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(scores))

    @torch.no_grad()
    def update(self, scores: Tensor) -> None:
        """Move towards the mean of scores (…, K)."""
        self.value.lerp_(scores.flatten(0, -2).mean(dim=0), 1 - self.momentum)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's weights: t ← m·t + (1 − m)·s. Statistics of batches stay its own."""
    for theirs, mine in zip(teacher.parameters(), student.parameters(), strict=True):
        theirs.lerp_(mine, 1 - momentum)


def probabilities(scores: Tensor, centre: Tensor) -> Tensor:
    """The teacher's targets: softmax((scores − centre) / temperature), (…, K)."""
    return ((scores - centre) / TEACHER_TEMPERATURE).softmax(dim=-1)


def cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """−Σ target · log softmax(scores / temperature) of the student, (…)."""
    return -(target * (scores / STUDENT_TEMPERATURE).log_softmax(dim=-1)).sum(dim=-1)


@torch.no_grad()
def matches(student: Tensor, teacher: Tensor) -> Tensor:
    """For each region of the student the teacher's most like it: j* = argmax_j cos(z_i, z_j).

    Args:
        student: (B, R, C) features.
        teacher: (B, T, C) features.

    Returns:
        (B, R) indices below T.
    """
    cosines = F.normalize(student, dim=-1) @ F.normalize(teacher, dim=-1).transpose(1, 2)
    return cosines.argmax(dim=-1)


def region_loss(scores: Tensor, target: Tensor, matched: Tensor) -> Tensor:
    """Mean cross entropy of each picture's regions with those that match them, (B,).

    Args:
        scores: (B, R, K) of the student.
        target: (B, T, K) of the teacher, from `probabilities`.
        matched: (B, R), from `matches`.
    """
    chosen = target.gather(1, matched[..., None].expand(-1, -1, target.shape[-1]))
    return cross_entropy(scores, chosen).mean(dim=1)
