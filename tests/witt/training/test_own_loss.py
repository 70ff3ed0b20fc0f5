"""Losses of somebody's own: what is minimised is theirs, and what is no loss is refused."""

import json
from pathlib import Path

import pytest
import torch

import channels
import cli
import witt
from witt.errors import InputError
from witt.link.per_image_optimisation import trained_for
from witt.metrics.loss import MSE, Loss, image_terms, make_loss
from witt.training.config import TrainConfig

OWN = """
import torch
from torch import nn

def l1(received, image, weight=1.0):
    return weight * (received - image).abs().mean(dim=(1, 2, 3))

def constant(received, image):  # minimal where all is 0.25, whatever the picture
    return (received - 0.25).square().mean(dim=(1, 2, 3)) + 0 * image.mean()

class Blurred(nn.Module):
    def __init__(self, side=3):
        super().__init__()
        self.window = nn.Parameter(torch.full((3, 1, side, side), 1 / side**2))

    def forward(self, received, image):
        difference = nn.functional.conv2d(received - image, self.window, groups=3)
        return difference.square().mean(dim=(1, 2, 3))

def mean(received, image):
    return (received - image).square().mean()

def whole(received, image):
    return (255 * received).round().mean(dim=(1, 2, 3)).detach()

def negative(received, image):
    return l1(received, image) - 10

def broken(received, image):
    return received.reshape(7)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def test_terms_are_those_of_the_function(own: Path) -> None:
    x, y = torch.rand(2, 3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = 2 * (x - y).abs().mean(dim=(1, 2, 3))
    assert torch.equal(image_terms(f"{own}:l1:weight=2", x, y), expected)
    made = make_loss(f"{own}:Blurred:side=5")
    assert made.terms(x, y).shape == (3,)
    x.requires_grad_()
    made.terms(x, y).sum().backward()
    assert x.grad is not None
    assert not made.terms.network.window.requires_grad  # type: ignore[attr-defined]
    assert make_loss("mse") is MSE
    assert torch.equal(Loss(lambda a, b: a).of_mean(torch.tensor(3.0)), torch.tensor(3.0))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mean", r"a value for each image, \(B,\), not \(\)"),
        ("whole", "has no gradient"),
        ("negative", "must be at least 0"),
        ("broken", "RuntimeError"),
        ("other", "has nothing called other"),
        ("Blurred:size=2", "unexpected keyword argument 'size'"),
    ],
)
def test_what_is_no_loss_is_refused(own: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        TrainConfig("witt_light", ("photos",), steps=1, loss=f"{own}:{name}")
    assert "\n" not in str(caught.value)


def test_the_published_way_has_its_own_losses(own: Path, photos: Path, tmp_path: Path) -> None:
    args = ["train", "--preset", "witt_base", "--cbr", "1/16", "--profile", "published", "--loss"]
    args += [f"{own}:l1", "--data", str(photos), "-o", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as caught:
        cli.main(args)
    assert caught.value.code == 2
    assert not (tmp_path / "run").exists()


def test_training_minimises_it(own: Path, photos: Path, tmp_path: Path) -> None:
    """With a loss that is least where all is a grey of 0.25, pictures come to be that."""
    args = ["--data", photos, "--val", photos, "--loss", f"{own}:constant"]
    args += ["--preset", "deepjscc", "--cbr", "1/16", "--lr", "0.01"]
    args += ["--steps", "30", "--batch", "2", "--crop", "32", "--workers", "0", "--warmup", "0"]
    args += ["--ema", "0", "--device", "cpu", "--no-tensorboard", "-o", tmp_path / "run"]
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", *map(str, args)])
    assert caught.value.code == 0
    model, training = witt.load_weights(tmp_path / "run" / "weights.safetensors")
    assert trained_for(training) == f"{own}:constant"
    image = witt.to_tensor(witt.read_image(photos / "0.png").pixels)
    with torch.inference_mode():
        received = model(image, channels.AWGN(), 13.0, 1 / 16).image
    assert float((received - 0.25).abs().mean()) < 0.4 * float((image - 0.25).abs().mean())
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert any("loss_db" in line for line in log)


def test_weights_whose_loss_is_not_here(own: Path) -> None:
    with pytest.warns(UserWarning, match="is not here: gone.py: no such file"):
        assert trained_for({"config": {"loss": "gone.py:l1"}}) == "mse"
