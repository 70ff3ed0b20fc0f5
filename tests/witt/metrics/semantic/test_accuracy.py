"""The metric `accuracy` and its classifier."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from witt.errors import InputError
from witt.metrics.metric import check_labels, make_metrics, measure
from witt.metrics.semantic.accuracy import WEIGHTS
from witt.metrics.semantic.network import CIFAR_CLASSES, Classifier, Encoder, load_network
from witt.pictures.images import to_tensor
from witt.pictures.sheets import read_labels, read_sheets

CIFAR = Path(__file__).parents[5] / "shared" / "data" / "cifar10"
needs_cifar = pytest.mark.skipif(not CIFAR.is_dir(), reason="CIFAR-10 is not there")
SUBSET = 1000


def shares(image: Tensor, labels: Tensor) -> Tensor:
    found = measure(make_metrics("accuracy"), image, image, labels=labels)
    return torch.tensor([entry["accuracy"] for entry in found])


@pytest.fixture(scope="module")
def subset() -> tuple[Tensor, Tensor]:
    """The first 1,000 test pictures and their classes."""
    tiles, labels = read_sheets(CIFAR, "test", SUBSET), read_labels(CIFAR, "test", SUBSET)
    assert tiles is not None
    assert labels is not None
    return torch.cat([to_tensor(tile) for tile in tiles]), torch.from_numpy(labels)


def test_the_file_is_small_and_its_card_says_what_it_says() -> None:
    training = load_network(WEIGHTS, Classifier())[1]
    card = WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
    assert WEIGHTS.stat().st_size < 2e6
    assert f"{100 * training['test_accuracy']:.1f} %" in card
    assert f"{100 * training['held_out_accuracy']:.1f} %" in card
    assert training["command"] in " ".join(card.replace("\\\n", " ").split())
    log = WEIGHTS.with_suffix(".log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(log[-1])["core_minutes"] == training["core_minutes"]


@needs_cifar
def test_the_order_of_the_labels() -> None:
    """By the check values of the data set: a cat first in the test set, a frog in the training."""
    for part, name, pixel in (("test", "cat", (158, 112, 49)), ("train", "frog", (59, 62, 63))):
        tiles, labels = read_sheets(CIFAR, part), read_labels(CIFAR, part)
        assert tiles is not None
        assert labels is not None
        assert len(tiles) == len(labels)
        assert CIFAR_CLASSES[labels[0]] == name
        assert tuple(tiles[0, 0, 0]) == pixel


@needs_cifar
def test_the_stated_accuracy_on_clean_pictures(subset: tuple[Tensor, Tensor]) -> None:
    """Within four standard errors of 1,000 pictures; sent unchanged they are as the classifier."""
    image, labels = subset
    stated = load_network(WEIGHTS, Classifier())[1]["test_accuracy"]
    found = shares(image, labels)
    assert float(found.mean()) == pytest.approx(
        stated, abs=4 * (stated * (1 - stated) / SUBSET) ** 0.5
    )
    network, _ = load_network(WEIGHTS, Classifier())
    with torch.no_grad():
        right = network(image).argmax(dim=1) == labels
    assert torch.equal(found == 1, right)


@needs_cifar
def test_noise_costs_accuracy(subset: tuple[Tensor, Tensor]) -> None:
    image, labels = subset
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(image.shape, generator=generator)
    means = [float(shares(image + sigma * noise, labels).mean()) for sigma in (0, 0.05, 0.15, 0.5)]
    assert means == sorted(means, reverse=True)
    assert means[0] - means[1] > 0.03
    assert means[-1] < 0.3


def test_labels_that_have_nothing_to_do_with_the_pictures_are_met_by_chance() -> None:
    """One in ten, within four standard errors."""
    generator = torch.Generator().manual_seed(2)
    image = torch.rand((2000, 3, 32, 32), generator=generator)
    labels = torch.randint(10, (2000,), generator=generator)
    assert float(shares(image, labels).mean()) == pytest.approx(0.1, abs=4 * (0.09 / 2000) ** 0.5)


def test_what_is_received_as_nan_has_no_accuracy() -> None:
    image = torch.rand((3, 3, 32, 32), generator=torch.Generator().manual_seed(3))
    broken = image.clone()
    broken[1] = torch.nan
    found = measure(make_metrics("accuracy"), broken, image, labels=[0, 1, 2])
    assert [np.isnan(entry["accuracy"]) for entry in found] == [False, True, False]


def test_a_class_that_is_none_gives_a_reason() -> None:
    image = torch.zeros((2, 3, 32, 32))
    fine, wrong = measure(make_metrics("accuracy"), image, image, labels=[9, 10])
    assert fine["accuracy"] in (0.0, 1.0)
    assert np.isnan(wrong["accuracy"])
    assert "class 10: the classifier of accuracy knows CIFAR-10's 0 to 9" in str(wrong["reasons"])


def test_without_labels() -> None:
    metrics = make_metrics(["psnr", "accuracy"])
    check_labels(metrics, None)
    check_labels(make_metrics("psnr"), "kodak")
    with pytest.raises(InputError, match=r"metric accuracy: needs the class .*; kodak has none"):
        check_labels(metrics, "kodak")
    image = torch.zeros((1, 3, 32, 32))
    with pytest.raises(InputError, match="metric accuracy: needs the class"):
        metrics[1].measure(image, image)


def test_nothing_crosses_the_pictures_of_a_batch() -> None:
    image = torch.rand((5, 3, 40, 32), generator=torch.Generator().manual_seed(4))
    network, _ = load_network(WEIGHTS, Classifier())
    with torch.no_grad():
        whole, each = network(image), torch.cat([network(one) for one in image.split(1)])
    torch.testing.assert_close(whole, each, rtol=1e-4, atol=1e-4)


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.safetensors: not the weights of a Classifier"):
        load_network(tmp_path / "missing.safetensors", Classifier())
    (tmp_path / "cut.safetensors").write_bytes(WEIGHTS.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut\.safetensors: not the weights of a Classifier"):
        load_network(tmp_path / "cut.safetensors", Classifier())
    with pytest.raises(InputError, match="not the weights of a Encoder") as caught:
        load_network(WEIGHTS, Encoder())
    assert len(re.findall("\n", str(caught.value))) == 0
