"""`--metric my_metric`: the largest error of a pixel, in levels of 8 bits."""

from torch import Tensor


def my_metric(image: Tensor, reference: Tensor) -> Tensor:
    return 255 * (image - reference).abs().amax(dim=(1, 2, 3))


my_metric.label = "Largest error"
my_metric.higher_is_better = False
my_metric.best = 0.0
