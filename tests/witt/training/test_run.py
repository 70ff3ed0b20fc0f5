"""Whole runs: they learn, go on as if nothing had happened, and say what goes wrong."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import witt
from witt.errors import InputError
from witt.metrics.loss import Loss
from witt.nn.swin import SwinBlock
from witt.training import gradient as gradient_module
from witt.training import run as run_module
from witt.training.checkpoint import read_checkpoint
from witt.training.config import TrainConfig, continued
from witt.training.loop import train
from witt.training.pictures import Pictures
from witt.training.run import Run
from witt.training.start import initial_model
from witt.training.validation import Scores
from witt.training.watch import StallWatch


def lines(out: Path) -> list[dict[str, Any]]:
    text = (out / "log.jsonl").read_text()
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def signal_at(step: int, number: int, patch: pytest.MonkeyPatch) -> None:
    """A signal in the middle of a step, as Ctrl-C would come."""
    original = Run.train_step

    def stepping(self: Run, image: Tensor) -> tuple[float, str | None]:
        if self.step == step - 1:
            signal.raise_signal(number)
        return original(self, image)

    patch.setattr(Run, "train_step", stepping)


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (signal.SIGINT, {"channel": ("awgn", "rayleigh")}),
        (signal.SIGTERM, {"muon_lr": 0, "loss": "ms-ssim"}),
        (signal.SIGTERM, {"soap_lr": 3e-3}),
    ],
)
def test_a_resumed_run_is_the_same_run(
    tmp_path: Path,
    settings: Callable[..., TrainConfig],
    capsys: pytest.CaptureFixture[str],
    number: int,
    changes: dict[str, Any],
) -> None:
    """Bit for bit, after a signal that lets step 3 finish."""
    config = settings(warmup=2, **changes)
    assert train(config, tmp_path / "whole", tensorboard=False) == 0
    before = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as patch:
        signal_at(3, number, patch)
        assert train(config, tmp_path / "parts", tensorboard=False) == 128 + number
    assert signal.getsignal(number) is before
    assert "witt train --resume --out" in capsys.readouterr().out
    halted = read_checkpoint(tmp_path / "parts")
    assert halted["step"] == 3
    stored = TrainConfig.from_dict(halted["config"])
    assert train(continued(stored, {}), tmp_path / "parts", resume=True, tensorboard=False) == 0
    whole, parts = read_checkpoint(tmp_path / "whole"), read_checkpoint(tmp_path / "parts")
    assert whole["step"] == parts["step"] == 6
    for part in ("model", "average"):
        assert all(torch.equal(whole[part][name], parts[part][name]) for name in whole[part])
    assert not torch.equal(
        whole["model"]["encoder.head.weight"], halted["model"]["encoder.head.weight"]
    )
    (resumed,) = [entry for entry in lines(tmp_path / "parts") if entry.get("resumed")]
    assert (resumed["step"], resumed["seconds"]) == (3, round(halted["seconds"], 1))


def test_the_rates_fall_linearly_after_a_flat_part(
    tmp_path: Path, settings: Callable[..., TrainConfig]
) -> None:
    """The last of six steps begins at 5/6 of the run."""
    config = settings(lr=3e-3, warmup=0, flat=0.5)
    assert train(config, tmp_path / "run", tensorboard=False) == 0
    assert lines(tmp_path / "run")[0]["lr"] == pytest.approx(1e-3)


def test_what_a_run_leaves(
    tmp_path: Path, photos: Path, settings: Callable[..., TrainConfig]
) -> None:
    out = tmp_path / "run"
    config = settings(val=(str(photos),))
    assert train(config, out, tensorboard=False) == 0
    assert TrainConfig.from_dict(json.loads((out / "config.json").read_text())).steps == 6
    model, training = witt.load_weights(out / "weights.safetensors")
    assert training["steps"] == 6
    assert training["machine"].endswith(("CPU thread", "CPU threads"))
    assert training["config"]["preset"] == "witt_light"
    assert list(training["validation"]) == [
        "awgn 1/16 0 dB",
        "awgn 1/16 10 dB",
        "awgn 1/48 10 dB",
    ]
    state = read_checkpoint(out)
    for name, value in model.state_dict().items():  # the average, as float16
        assert torch.equal(value, state["average"][name].half().float())
    assert [set(entry) for entry in lines(out)] == [
        {"step", "seconds", "megapixels", "images_per_s", "psnr_db", "lr"},
        {"step", "seconds", "megapixels", "validation", "score_db", "val_content"},
    ]
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.pt",
        "config.json",
        "log.jsonl",
        "weights.safetensors",
    }
    with pytest.raises(InputError, match="already holds a run"):
        train(config, out)
    with pytest.raises(InputError, match="raise --steps"):
        train(config, out, resume=True)


def test_the_best_weights_are_kept(
    tmp_path: Path,
    photos: Path,
    settings: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Validated after each step; the third is made the best one."""
    given = iter([1.0, 2.0, 5.0, 4.0, 3.0, 2.0, 1.0])

    def pretend(*_: object) -> Scores:
        return Scores({str(p): next_value for p in run_module.points(config)}, {})

    config = settings(val=(str(photos),), val_minutes=1e-6)
    original = Run.validate

    def counted(self: Run, *args: Any) -> None:
        nonlocal next_value
        next_value = next(given)
        original(self, *args)

    next_value = 0.0
    monkeypatch.setattr(run_module, "validate", pretend)
    monkeypatch.setattr(Run, "validate", counted)
    train(config, tmp_path / "run", tensorboard=False)
    _, training = witt.load_weights(tmp_path / "run" / "weights.safetensors")
    assert training["steps"] == 3
    assert set(training["validation"].values()) == {5.0}
    assert capsys.readouterr().out.splitlines()[-1] == (
        "weights.safetensors holds step 3 (5.00 dB in validation), not the last: "
        "step 6 scored 1.00 dB"
    )


def test_one_picture_is_learnt(
    settings: Callable[..., TrainConfig], picture: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    """Without the linear path, whose start is good already: 3 dB in 60 steps."""
    config = settings(
        preset="witt_cifar",
        overrides={"dims": [16, 24], "depths": [1, 2], "heads": [2, 2]},
        cbr=("1/3",),
        snr=(20,),
        steps=60,
        batch=4,
        lr=3e-3,
        warmup=5,
    )
    tiles = picture(3, 32, 32)[None]
    run = Run(config, tmp_path, initial_model(config), Pictures([], tiles))
    image = torch.from_numpy(tiles).permute(0, 3, 1, 2).expand(4, 3, 32, 32).float() / 255
    figures = [run.train_step(image)[0] for _ in range(60)]
    assert sum(figures[-5:]) / 5 > sum(figures[:5]) / 5 + 3


@pytest.mark.parametrize("compiles", [False, True])
def test_compile_means_the_swin_blocks(
    compiles: bool,
    tmp_path: Path,
    settings: Callable[..., TrainConfig],
) -> None:
    config = settings(compile=compiles)
    model = initial_model(config)
    tiles = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    Run(config, tmp_path, model, Pictures([], tiles))
    blocks = [module for module in model.modules() if isinstance(module, SwinBlock)]
    assert blocks
    assert {block.strip_is_compiled for block in blocks} == {compiles}


def test_divergence_stops_the_run(
    tmp_path: Path, settings: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    config = settings(steps=100, lr=1e30, muon_lr=1e30, clip=1e30, warmup=0)
    with pytest.raises(InputError, match=r"training diverged: the .* was not finite in 20 steps"):
        train(config, out, tensorboard=False)
    assert read_checkpoint(out)["step"] == 0  # the one from before
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("weights.safetensors holds step 0, not the last: step ")
    assert any("not finite" in entry.get("warning", "") for entry in lines(out))


def test_a_step_that_is_not_finite_is_skipped(
    tmp_path: Path, settings: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Loss.of_mean

    def broken(loss: Loss, mean: Tensor) -> Tensor:
        return original(loss, mean) * (float("nan") if run.step in (2, 3) else 1.0)

    config = settings(muon_lr=0)
    tiles = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    run = Run(config, tmp_path, initial_model(config), Pictures([], tiles))
    monkeypatch.setattr(Loss, "of_mean", broken)
    image = torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 255
    messages, weights = [], []
    for _ in range(6):
        messages.append(run.train_step(image)[1])
        weights.append(run.model.encoder.head.weight.detach().clone())
    assert [message is None for message in messages] == [True, True, False, True, True, True]
    assert torch.equal(weights[1], weights[2])
    assert torch.equal(weights[2], weights[3])
    assert not torch.equal(weights[3], weights[4])
    assert bool(torch.isfinite(weights[5]).all())


def test_a_stall_is_told(
    tmp_path: Path,
    settings: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is learnt at a learning rate of 0, and the network's first picture is constant."""
    monkeypatch.setattr(run_module, "StallWatch", lambda: StallWatch(steps=4, share=0, every=2))
    config = settings(
        preset="witt_cifar",
        overrides={"dims": [8, 8], "depths": [1, 1], "heads": [1, 1]},
        cbr=("1/3",),
        snr=(5,),
        lr=0,
        muon_lr=0,
        steps=40,
        warmup=2,
        crop=16,
    )
    train(config, tmp_path / "run", tensorboard=False)
    warned = [entry["warning"] for entry in lines(tmp_path / "run") if "warning" in entry]
    assert "training has stalled" in warned[0]
    assert "training has stalled" in capsys.readouterr().out


def test_tensorboard(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(settings(), tmp_path / "run", tensorboard=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    (scalar,) = events.Scalars("train/psnr_db")
    assert scalar.step == 6
    assert scalar.value == pytest.approx(lines(tmp_path / "run")[-1]["psnr_db"], rel=1e-6)


def test_damaged_checkpoints(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    config, out = settings(), tmp_path / "run"
    with pytest.raises(InputError, match=r"no checkpoint\.pt to resume from"):
        train(config, out, resume=True)
    train(config, out, tensorboard=False)
    data = (out / "checkpoint.pt").read_bytes()
    for damaged in (b"", data[: len(data) // 2], b"PK" + data[:100]):
        (out / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(InputError, match="a damaged one"):
            train(config, out, resume=True)
    torch.save({"model": {}}, out / "checkpoint.pt")
    with pytest.raises(InputError, match="not a checkpoint of witt train"):
        train(config, out, resume=True)


def test_the_first_half_of_a_run_has_its_own_snrs(
    tmp_path: Path, settings: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []
    original = gradient_module.Gradient.__call__

    def watched(self: gradient_module.Gradient, *args: Any) -> gradient_module.Seen:
        seen = original(self, *args)
        drawn.append(seen.snr_db)
        return seen

    monkeypatch.setattr(gradient_module.Gradient, "__call__", watched)
    config = settings(steps=4, snr=(0, 10), snr_first=(15, 20))
    assert train(config, tmp_path / "run", tensorboard=False) == 0
    assert bool((torch.cat(drawn[:2]) >= 15).all())
    assert set(torch.cat(drawn[2:]).tolist()) <= {0.0, 10.0}
