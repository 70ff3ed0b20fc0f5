"""On a GPU the same comes out as on the CPU. Skipped where there is none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import channels
import witt
from witt.metrics.quality import psnr
from witt.training.checkpoint import LOG, read_checkpoint
from witt.training.config import TrainConfig
from witt.training.gpu.attention import WORST, has_triton, kernel_error
from witt.training.gpu.mlp import WIDTHS, mlp_error
from witt.training.gpu.pictures import Crops
from witt.training.gpu.prepare import prepare
from witt.training.gpu.step import Step
from witt.training.gradient import Gradient
from witt.training.loop import train
from witt.training.objective import Conditions
from witt.training.optimizer import optimizers
from witt.training.processes import Processes
from witt.training.schedule import Average
from witt.training.start import initial_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
GPU = torch.device("cuda")


def sample() -> Tensor:
    path = Path(witt.__file__).parent / "samples" / "kodim23.png"
    pixels = torch.frombuffer(bytearray(Image.open(path).tobytes()), dtype=torch.uint8)
    return pixels.reshape(1, 512, 768, 3).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("channel", [channels.AWGN(), channels.Rayleigh()])
@torch.inference_mode()
def test_a_photograph_is_received_as_on_the_cpu(channel: channels.Channel) -> None:
    """A token on the border of two classes may go to the other one: hence the mean."""
    image, model = sample(), witt.load("witt_light")
    received = []
    for device in (torch.device("cpu"), GPU):
        generator = torch.Generator().manual_seed(0)
        out = model.to(device)(image.to(device), channel, 7.0, 1 / 16, generator=generator)
        received.append(out.image.cpu())
    assert float((received[0] - received[1]).abs().mean()) < 1e-3
    difference = psnr(received[0], image) - psnr(received[1], image)
    assert float(difference.abs()) < 0.01


def config(**changes: Any) -> TrainConfig:
    settings = {
        "preset": "witt_light",
        "data": ("none",),
        "snr": (0.0, 20.0),
        "snr_is_range": True,
        "cbr": ("1/48", "1/16"),
        "channel": ("awgn", "rayleigh"),
        "steps": 3,
        "batch": 4,
        "crop": 128,
        "precision": "fp32",
    }
    return TrainConfig(**{**settings, **changes})


@pytest.mark.parametrize("loss", ["mse", "ms-ssim"])
def test_a_replayed_step_has_the_gradient_of_its_own_batch(loss: str) -> None:
    """Of each batch, not of the one that was captured; against the pass that is not a graph."""
    model = witt.load("witt_light").to(GPU).train()
    replayed = Gradient(config(loss=loss), model, Processes(GPU))
    plain = Gradient(config(loss=loss, accumulate=2), model, Processes(GPU))
    generator = torch.Generator().manual_seed(0)
    top = sample()
    for step in range(3):
        left = int(torch.randint(600, (1,), generator=generator))
        crops = [top[:, :, y : y + 128, left : left + 128] for y in (0, 120, 240, 380)]
        image = torch.cat(crops).to(GPU)
        found = []
        for gradient in (replayed, plain):
            model.zero_grad(set_to_none=True)
            seen = gradient(image, step)
            found.append((seen.loss, [p.grad.clone() for p in model.parameters()]))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
        for name, a, b in zip(
            dict(model.named_parameters()), found[0][1], found[1][1], strict=True
        ):
            assert float((a - b).norm()) <= 2e-2 * float(b.norm()) + 1e-6, name


def test_training_is_resumed(tmp_path: Path) -> None:
    Image.fromarray((sample()[0].permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / "a.png")
    settings = config(data=(str(tmp_path),), device="cuda", precision="auto", init="witt_light")
    assert train(settings, tmp_path / "run", terminal=False) == 0
    more = config(**{**settings.to_dict(), "steps": 6})
    assert train(more, tmp_path / "run", resume=True, terminal=False) == 0
    assert read_checkpoint(tmp_path / "run")["step"] == 6


@pytest.mark.skipif(not has_triton(), reason="needs Triton")
@pytest.mark.parametrize(("heads", "depth"), [(4, 32), (10, 32), (2, 16)])
def test_the_attention_kernel(heads: int, depth: int) -> None:
    assert kernel_error(heads, depth, torch.float32, GPU) < 1e-5
    assert kernel_error(heads, depth, torch.bfloat16, GPU) < WORST


@pytest.mark.skipif(not has_triton(), reason="needs Triton")
@pytest.mark.parametrize("width", WIDTHS)
def test_the_mlp_kernel(width: int) -> None:
    assert mlp_error(width, torch.bfloat16, GPU) < WORST


PAPER = {"dims": [32, 64], "depths": [2, 2], "heads": [1, 2], "window": 8, "sends_scale": True}


def test_a_step_in_a_graph_is_the_step() -> None:
    """Of fresh draws each time, with learning rates, SNRs and average as they are given."""
    settings = config(
        preset="witt_cifar", overrides=PAPER, cbr=("1/3",), crop=32, batch=8, channel=("awgn",) * 3
        + ("rayleigh",),
    )  # fmt: skip
    pixels = (sample()[0].permute(1, 2, 0) * 255).byte().numpy()
    said: list[str] = []
    steps = []
    for fast in (True, False):
        model = initial_model(settings).to(GPU)
        steppers = optimizers(model, settings.lr, settings.muon_lr, GPU)
        crops = Crops([np.ascontiguousarray(pixels)], GPU)
        step = Step(settings, model, Average(model, 0.9), steppers, crops)
        if fast:
            prepare(step, said.append)
            assert len(said) == 1  # how long a step takes with the MLP in one kernel, or why not
            assert step.graph is not None
        steps.append(step)
    at = Conditions(torch.linspace(0, 14, 8), torch.full((8,), 32))
    for number in range(5):
        for step in steps:
            step(number, at, 1.0 / (number + 1), step.average.share(number + 1))
    first, second = (step.figures[-5:].tolist() for step in steps)
    assert first == pytest.approx(second, abs=0.05)
    assert len(set(first)) == 5
    for (name, p), q in zip(
        steps[0].model.named_parameters(), steps[1].model.parameters(), strict=True
    ):
        assert float((p - q).detach().norm()) <= 0.02 * float(q.detach().norm()) + 1e-3, name


def test_the_paper_network_is_trained_in_a_graph(tmp_path: Path) -> None:
    """In bfloat16; the log says at what share of the peak; a CPU goes on with it."""
    Image.fromarray((sample()[0].permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / "a.png")
    settings = config(
        preset="witt_cifar", overrides=PAPER, cbr=("1/3",), crop=32, batch=8, steps=60, warmup=10,
        data=(str(tmp_path),), val=(str(tmp_path),), device="cuda", precision="auto",
        snr=(10.0, 20.0),
    )  # fmt: skip
    assert train(settings, tmp_path / "run", terminal=False) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text().splitlines()]
    assert lines[0]["tflops"] > 0
    assert lines[2]["psnr_db"] > lines[0]["psnr_db"] + 1
    assert lines[-1]["score_db"] > 14
    more = config(**{**settings.to_dict(), "steps": 61, "device": "cpu", "val": ()})
    assert train(more, tmp_path / "run", resume=True, terminal=False) == 0
    assert read_checkpoint(tmp_path / "run")["step"] == 61
