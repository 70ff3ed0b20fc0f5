"""Linear CKA: how alike what two layers make of the same examples is, whatever their widths.

    CKA(X, Y) = HSIC(K, L) / sqrt(HSIC(K, K) · HSIC(L, L)),   K = X·Xᵀ, L = Y·Yᵀ

Neither a rotation of the features nor their scale changes it. The estimator of HSIC is the one
without bias: the usual one calls wide layers alike where there are fewer examples than features.
Its means over batches of examples are without bias too, so that no batch has to hold them all.

Sources: CKA, Kornblith et al., arXiv 1905.00414; the estimator, Song et al., Feature Selection via
Dependence Maximization, JMLR 13 (2012), equation 4; batches, Nguyen et al., arXiv 2010.15327,
equation 3; as the inner product of centred matrices, Székely and Rizzo, arXiv 1310.2926.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST = 4  # examples that the estimator needs


def gram(features: Tensor) -> Tensor:
    """K = X·Xᵀ (n, n) float64 of n examples, less their mean.

    The mean changes no HSIC, but where it is large the sums would be of little else.

    Args:
        features: (n, …), an example each.
    """
    x = features.flatten(1)
    x = x - x.mean(0)
    return (x @ x.T).double()


def centred(matrix: Tensor) -> Tensor:
    """A Gram matrix (n, n) without its diagonal and without the means of its rows and columns.

    Of such matrices U, V the unbiased HSIC is the sum of U·V over n·(n − 3).
    """
    n = len(matrix)
    off = matrix - torch.diag(matrix.diagonal())
    rows = off.sum(0) / (n - 2)
    off = off - rows[:, None] - rows[None, :] + rows.sum() / (n - 1)
    return off - torch.diag(off.diagonal())


class Alikeness:
    """Linear CKA between all layers of two models, of examples that come in batches."""

    def __init__(self) -> None:
        self.between: Tensor | float = 0.0
        self.own: list[Tensor | float] = [0.0, 0.0]

    def add(self, grams: Sequence[Tensor], others: Sequence[Tensor]) -> None:
        """Take in a batch.

        Args:
            grams: (n, n) of each layer of the first model, from `gram`.
            others: of each layer of the second, of the same examples in their order.
        """
        n = len(grams[0])
        both = [
            torch.stack([centred(each).flatten() for each in side]) / (n * (n - 3)) ** 0.5
            for side in (grams, others)
        ]
        self.between = self.between + both[0] @ both[1].T
        self.own = [sums + side.square().sum(1) for sums, side in zip(self.own, both, strict=True)]

    def cka(self) -> Tensor:
        """(layers of the first, layers of the second), at most 1; NaN where a layer is constant."""
        first, second = (torch.as_tensor(sums) for sums in self.own)
        return torch.as_tensor(self.between) / (first[:, None] * second[None, :]).sqrt()
