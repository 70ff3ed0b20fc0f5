"""The metric `feature-distance` and its encoder."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from witt.errors import InputError
from witt.metrics.metric import make_metrics, measure
from witt.metrics.semantic.feature_distance import WEIGHTS, FeatureDistance
from witt.metrics.semantic.network import Encoder, load_network, save_network


def pair(pictures: int = 3, height: int = 40, width: int = 48) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((pictures, 3, height, width), generator=generator)
    return image, torch.randn(image.shape, generator=generator)


def test_the_file_is_small_and_its_card_says_what_it_says() -> None:
    training = load_network(WEIGHTS, Encoder())[1]
    card = WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
    assert WEIGHTS.stat().st_size < 2e6
    assert training["command"] in " ".join(card.replace("\\\n", " ").split())
    log = WEIGHTS.with_suffix(".log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(log[-1]) == training["last"]


def test_distance_of_equals_and_of_more_and_more_noise() -> None:
    image, noise = pair()
    distance = FeatureDistance()
    torch.testing.assert_close(distance(image, image), torch.zeros(3), rtol=0, atol=1e-6)
    found = torch.stack(
        [distance((image + s * noise).clamp(0, 1), image) for s in (0.03, 0.1, 0.3)]
    )
    found = found.detach()
    assert bool((found.diff(dim=0) > 0).all())
    assert 0 < float(found.min()) < float(found.max()) < 1


def test_against_the_definition() -> None:
    """Cosines place by place, stage by stage, written out."""
    image, noise = pair()
    other = (image + 0.1 * noise).clamp(0, 1)
    encoder, _ = load_network(WEIGHTS, Encoder())
    means = []
    with torch.no_grad():
        for x, y in zip(encoder.stages(image), encoder.stages(other), strict=True):
            norms = x.square().sum(dim=1).sqrt() * y.square().sum(dim=1).sqrt()
            means.append((1 - (x * y).sum(dim=1) / norms).mean(dim=(1, 2)))
        found = FeatureDistance()(image, other)
    torch.testing.assert_close(found, torch.stack(means).mean(dim=0), rtol=1e-4, atol=1e-6)


def test_each_picture_by_itself_and_both_ways_round() -> None:
    image, noise = pair()
    other = (image + 0.1 * noise).clamp(0, 1)
    distance = FeatureDistance()
    whole = distance(image, other)
    each = torch.cat([distance(*one) for one in zip(image.split(1), other.split(1), strict=True)])
    torch.testing.assert_close(whole, each, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(whole, distance(other, image), rtol=1e-4, atol=1e-6)


def test_as_a_metric_with_weights_of_ones_own(tmp_path: Path) -> None:
    image, noise = pair()
    save_network(tmp_path / "mine.safetensors", Encoder(), {"command": "mine"})
    ours, mine = make_metrics(
        ["feature-distance", f"feature-distance:weights={tmp_path / 'mine.safetensors'}"]
    )
    assert (ours.quantity.higher_is_better, ours.quantity.best) == (False, 0.0)
    assert ours.quantity.source != mine.quantity.source
    figures = measure([ours, mine], image + 0.1 * noise, image)
    for entry in figures:
        assert entry["feature_distance"] != entry[mine.quantity.key]
    (small,) = measure([ours], image[:1, :, :7], image[:1, :, :7])
    assert "sides below 8 pixels" in str(small["reasons"])
    with pytest.raises(InputError, match=r"none\.safetensors: not the weights of a Encoder"):
        make_metrics("feature-distance:weights=none.safetensors")


def test_a_weight_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    encoder = Encoder()
    with torch.no_grad():
        encoder.stem.bias[0] = 1e6
    with pytest.raises(InputError, match=r"stem\.bias is not finite in half precision"):
        save_network(tmp_path / "x.safetensors", encoder, {})
    assert not list(tmp_path.iterdir())
