"""Whole runs of the GPU's trainer, on the CPU: they learn, end on time and go on."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import witt
from witt.codecs.presets import preset
from witt.codecs.witt import WITT
from witt.training.checkpoint import read_checkpoint
from witt.training.config import TrainConfig, continued
from witt.training.gpu import run as gpu_run
from witt.training.gpu.run import DeviceRun, takes
from witt.training.gpu.step import Step
from witt.training.loop import train
from witt.training.objective import Conditions
from witt.training.pictures import Pictures
from witt.training.processes import Processes
from witt.training.progress import Bar

SIZES = {"dims": [16, 32], "depths": [1, 1], "heads": [1, 2], "sends_scale": True}


def lines(out: Path) -> list[dict[str, Any]]:
    text = (out / "log.jsonl").read_text()
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpu_run.ON_CPU, "1")


@pytest.fixture
def tiny(settings: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    """Makes the settings of a tiny run."""

    def make(**changes: Any) -> TrainConfig:
        values = {"preset": "witt_cifar", "overrides": SIZES, "cbr": ("1/3",), "crop": 16,
                  "batch": 4, "channel": ("awgn", "rayleigh"), "warmup": 5}  # fmt: skip
        return settings(**{**values, **changes})

    return make


def run(config: TrainConfig, out: Path, **options: Any) -> int:
    return train(config, out, tensorboard=False, terminal=False, **options)


def test_it_learns(tmp_path: Path, photos: Path, tiny: Callable[..., TrainConfig]) -> None:
    config = tiny(steps=100, val=(str(photos),), snr=(10, 20), snr_is_range=True, ema=0.9)
    assert run(config, tmp_path / "run") == 0
    *logged, validated = lines(tmp_path / "run")
    assert [entry["step"] for entry in logged] == [20, 40, 60, 80, 100]
    assert set(logged[0]) == {
        "step", "seconds", "megapixels", "images_per_s", "tflops", "psnr_db", "lr"
    }  # fmt: skip
    assert logged[-1]["psnr_db"] > logged[0]["psnr_db"] + 5
    assert logged[-1]["megapixels"] == round(100 * 4 * 16**2 / 1e6, 2)
    assert validated["score_db"] > 17
    model, training = witt.load_weights(tmp_path / "run" / "weights.safetensors")
    assert training["steps"] == 100
    assert training["score_db"] == validated["score_db"]
    assert model.config.sends_scale


def test_the_rates_fall_linearly_after_a_flat_part(
    tmp_path: Path, tiny: Callable[..., TrainConfig]
) -> None:
    config = tiny(steps=6, warmup=0, lr=3e-3, flat=0.5, soap_lr=1e-3)
    assert run(config, tmp_path / "run") == 0
    assert lines(tmp_path / "run")[-1]["lr"] == pytest.approx(1e-3)


def test_it_ends_on_time_at_a_learning_rate_of_nothing(
    tmp_path: Path, tiny: Callable[..., TrainConfig]
) -> None:
    assert run(tiny(steps=None, minutes=0.04, ema=0), tmp_path / "run") == 0
    logged = lines(tmp_path / "run")
    seconds, rates = [[entry[name] for entry in logged] for name in ("seconds", "lr")]
    assert 2.4 <= seconds[-1] < 4
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.05 * 1e-3
    state = read_checkpoint(tmp_path / "run")
    for name, value in state["model"].items():  # without an average
        torch.testing.assert_close(state["average"][name], value, atol=1e-6, rtol=1e-5)


def signal_at(step: int, patch: pytest.MonkeyPatch) -> None:
    original = Step.__call__

    def stepping(self: Step, number: int, *rest: Any) -> None:
        if number == step - 1:
            signal.raise_signal(signal.SIGINT)
        original(self, number, *rest)

    patch.setattr(Step, "__call__", stepping)


def test_a_resumed_run_is_the_same_run(tmp_path: Path, tiny: Callable[..., TrainConfig]) -> None:
    """Bit for bit, after Ctrl-C in step 3; the SNRs of the first half are others."""
    config = tiny(snr_first=(15, 20), snr=(0, 5))
    assert run(config, tmp_path / "whole") == 0
    with pytest.MonkeyPatch.context() as patch:
        signal_at(3, patch)
        assert run(config, tmp_path / "parts") == 128 + signal.SIGINT
    halted = read_checkpoint(tmp_path / "parts")
    assert halted["step"] == 3
    stored = TrainConfig.from_dict(halted["config"])
    assert run(continued(stored, {}), tmp_path / "parts", resume=True) == 0
    whole, parts = read_checkpoint(tmp_path / "whole"), read_checkpoint(tmp_path / "parts")
    assert whole["step"] == parts["step"] == 6
    for part in ("model", "average"):
        assert all(torch.equal(whole[part][name], parts[part][name]) for name in whole[part])


def test_the_first_half_has_its_own_snrs(
    tmp_path: Path, tiny: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[torch.Tensor] = []
    original = Step.__call__

    def stepping(self: Step, number: int, at: Conditions, *rest: Any) -> None:
        drawn.append(at.snr_db)
        original(self, number, at, *rest)

    monkeypatch.setattr(Step, "__call__", stepping)
    assert run(tiny(steps=8, snr_first=(15, 20), snr=(0, 5)), tmp_path / "run") == 0
    first, second = torch.cat(drawn[:4]), torch.cat(drawn[4:])
    assert bool(((first >= 15) & (first <= 20)).all())
    assert len(first.unique()) == 16
    assert set(second.tolist()) <= {0.0, 5.0}


def test_several_steps_at_once_are_the_same_steps(
    tmp_path: Path, tiny: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tiny(steps=10), tmp_path / "one") == 0
    original = DeviceRun._prepare

    def prepared(self: DeviceRun, bar: Bar) -> None:
        original(self, bar)
        self.several = 4

    monkeypatch.setattr(DeviceRun, "_prepare", prepared)
    assert run(tiny(steps=10), tmp_path / "four") == 0
    one, four = (read_checkpoint(tmp_path / name) for name in ("one", "four"))
    assert one["step"] == four["step"] == 10
    assert one["pixels"] == four["pixels"]
    assert all(torch.equal(one["model"][name], four["model"][name]) for name in one["model"])
    figures = [lines(tmp_path / name)[0]["psnr_db"] for name in ("one", "four")]
    assert figures[1] == pytest.approx(figures[0], abs=3)  # of calls, which have 4 steps or 2


def test_a_run_goes_on_with_the_other_trainer(
    tmp_path: Path, tiny: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There and back, as where the GPU is gone."""
    assert run(tiny(steps=2), tmp_path / "run") == 0
    monkeypatch.delenv(gpu_run.ON_CPU)
    assert run(tiny(steps=4), tmp_path / "run", resume=True) == 0
    monkeypatch.setenv(gpu_run.ON_CPU, "1")
    assert run(tiny(steps=6), tmp_path / "run", resume=True) == 0
    assert read_checkpoint(tmp_path / "run")["step"] == 6


def test_a_network_that_learns_nothing_starts_again(
    tmp_path: Path,
    tiny: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Once: with the first weights, at half the learning rates, which rise again."""
    monkeypatch.setattr(gpu_run, "RESTART_S", 0.0)
    monkeypatch.setattr(gpu_run, "RESTART_STEPS", 2)
    monkeypatch.setattr(gpu_run, "LEARNED_DB", 100.0)
    first: list[torch.Tensor] = []
    original = Step.__call__

    def stepping(self: Step, number: int, at: Conditions, factor: float, share: float) -> None:
        first.append(self.model.encoder.head.weight.detach().clone())
        original(self, number, at, factor, share)

    monkeypatch.setattr(Step, "__call__", stepping)
    assert run(tiny(steps=4, warmup=2), tmp_path / "run") == 0
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[2], first[3])
    assert "from the start again" in capsys.readouterr().out
    (warned,) = [entry["warning"] for entry in lines(tmp_path / "run") if "warning" in entry]
    assert warned.startswith("nothing learned in 2 steps")
    state = read_checkpoint(tmp_path / "run")
    peaks = [group["peak"] for stored in state["optimizers"] for group in stored["param_groups"]]
    assert peaks == [0.5 * 0.01, 0.5 * 1e-3]


def test_what_diverges_is_told(tmp_path: Path, tiny: Callable[..., TrainConfig]) -> None:
    with pytest.raises(witt.InputError, match="training diverged: the loss or gradient"):
        run(tiny(steps=100, lr=1e30, muon_lr=1e30, clip=1e30, warmup=0), tmp_path / "run")
    assert read_checkpoint(tmp_path / "run")["step"] == 0


@pytest.mark.parametrize(
    ("changes", "sizes", "taken"),
    [
        ({}, {}, True),
        ({}, {"modulation": False}, True),
        ({}, {"block": "mixer"}, False),  # Swin is written out
        ({}, {"mlp_ratio": 2.0}, True),
        ({"loss": "ms-ssim"}, {}, False),
        ({"profile": "published"}, {}, False),
        ({"accumulate": 2}, {}, False),
        ({"compile": True}, {}, False),
        ({"crop": 20}, {}, False),  # not whole windows
        ({"batch": 3}, {}, False),  # of two channels
    ],
)
def test_which_runs_it_takes(
    tiny: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    sizes: dict[str, Any],
    taken: bool,
) -> None:
    config, alone = tiny(**changes), Processes(torch.device("cpu"))
    model = WITT(preset("witt_cifar", **SIZES, **sizes))
    pictures = Pictures([], np.zeros((5, 32, 32, 3), np.uint8))
    assert takes(config, model, alone, pictures) is taken
    assert not takes(config, model, replace(alone, count=2), pictures)
    other = witt.create_model("deepjscc")
    assert not takes(config, other, alone, pictures)
    for memory in (4 * pictures.nbytes, 5 * pictures.nbytes):
        monkeypatch.setattr(gpu_run, "_memory", lambda device, memory=memory: memory)
        assert takes(config, model, alone, pictures) is (taken and memory > 4 * pictures.nbytes)
    monkeypatch.delenv(gpu_run.ON_CPU)
    assert not takes(config, model, alone, pictures)
