"""Linear CKA against closed forms and against its estimator's equation, written out."""

import math

import pytest
import torch
from torch import Tensor

from benchmarks.analysis.cka import Alikeness, centred, gram


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hsic(x: Tensor, y: Tensor) -> float:
    """Equation 4 of Song et al. 2012, term by term."""
    n = len(x)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    k.fill_diagonal_(0)
    l.fill_diagonal_(0)
    trace = float((k @ l).trace())
    sums = float(k.sum() * l.sum()) / ((n - 1) * (n - 2))
    rows = 2 * float(k.sum(0) @ l.sum(1)) / (n - 2)
    return (trace + sums - rows) / (n * (n - 3))


def cka(batches: list[tuple[list[Tensor], list[Tensor]]]) -> Tensor:
    alike = Alikeness()
    for first, second in batches:
        alike.add([gram(x) for x in first], [gram(y) for y in second])
    return alike.cka()


def test_it_is_the_equation() -> None:
    """Of layers of different widths, with one batch and with two of different sizes."""
    layers = [draw(11, width, seed=width) for width in (3, 5, 40)]
    one = cka([(layers, layers[:2])])
    for i, x in enumerate(layers):
        for j, y in enumerate(layers[:2]):
            expected = hsic(x, y) / math.sqrt(hsic(x, x) * hsic(y, y))
            assert float(one[i, j]) == pytest.approx(expected, abs=1e-12)
    x, y, parts = layers[0], layers[1], (slice(0, 6), slice(6, 11))
    two = cka([([x[part]], [y[part]]) for part in parts])
    between, own, others = (
        sum(hsic(a[part], b[part]) for part in parts) for a, b in ((x, y), (x, x), (y, y))
    )
    assert float(two) == pytest.approx(between / math.sqrt(own * others), abs=1e-12)


def test_neither_rotation_scale_nor_mean_matters() -> None:
    x = draw(9, 4, 5, seed=1)
    rotation = torch.linalg.qr(draw(20, 20, seed=2)).Q
    turned = 7.5 * x.flatten(1) @ rotation + draw(20, seed=3)
    assert float(cka([([x], [turned])])) == pytest.approx(1, abs=1e-12)
    stretched = turned * torch.linspace(0.1, 3, 20)
    assert float(cka([([x], [stretched])])) < 0.98


def test_half_shared() -> None:
    """Of (u, v) and u, independent with unit variance, the covariances say 1 / sqrt(2)."""
    found = []
    for trial in range(40):
        both = draw(8, 64, 2, seed=trial)
        found.append(float(cka([([x], [x[:, :1]]) for x in both])))
    mean = torch.tensor(found).mean()
    deviation = torch.tensor(found).std() / math.sqrt(len(found))
    # What a ratio of two means is off from that of the expectations is far less than this.
    assert float(deviation) < 0.01
    assert abs(float(mean) - math.sqrt(0.5)) < 4 * float(deviation) + 0.002


def test_what_is_independent_is_not_alike() -> None:
    """Also of more features than examples, where the usual estimator is near 1."""
    trials, found, usual = 300, [], []
    for trial in range(trials):
        x, y = draw(2, 12, 60, seed=trial)
        k, l = (each - each.mean(0) for each in (x, y))  # noqa: E741
        k, l = k @ k.T, l @ l.T  # noqa: E741
        usual.append(float((k * l).sum() / (k.norm() * l.norm())))
        found.append(float((centred(gram(x)) * centred(gram(y))).sum()) / (12 * 9))
    values = torch.tensor(found)
    assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(trials)
    assert min(usual) > 0.7


def test_a_large_mean_costs_no_digits() -> None:
    x, y = draw(10, 300, seed=1), draw(10, 300, seed=2)
    exact = float(cka([([x + 1000], [x + y])]))
    assert float(cka([([(x + 1000).float()], [(x + y).float()])])) == pytest.approx(exact, abs=1e-3)


def test_a_constant_layer_has_none() -> None:
    assert torch.isnan(cka([([torch.ones(5, 3)], [draw(5, 3, seed=0)])])).all()
