"""A metric of your own: how well edges are kept.

witt evaluate photos --metric psnr,examples/own_metric.py:edge_error
"""

from torch import Tensor


def edge_error(image: Tensor, reference: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbours, (B,); both are (B, 3, H, W)."""
    across, down = ((image - reference).diff(dim=dim).abs().mean(dim=(1, 2, 3)) for dim in (2, 3))
    return across + down


edge_error.label = "Edge error"
edge_error.higher_is_better = False
edge_error.best = 0.0
