"""Two processes and one folder: one trains, the other is refused and touches nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cli
import witt
from witt.training.checkpoint import read_checkpoint
from witt.training.config import TrainConfig
from witt.training.loop import train

ROOT = Path(__file__).parents[3]
TINY = [
    *("--set", "dims=8,12,16", "--set", "depths=1,1,1", "--set", "heads=1,1,1", "--set", "patch=2"),
    *("--set", "channels=24", "--set", "classes=3", "--set", "smooth_channels=2"),
    *("--crop", "32", "--batch", "2", "--workers", "0", "--device", "cpu", "--no-tensorboard"),
]
SECONDS = 120


def start(*args: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "train", *map(str, args)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """A command line of this process that is refused in one line, for the sake of another one."""

    def check(*args: object) -> None:
        with pytest.raises(SystemExit) as caught:
            cli.main(["train", *map(str, args)])
        out, err = capsys.readouterr()
        assert (caught.value.code, out) == (2, "")
        assert err.startswith("Error: ")
        assert "another witt process" in err
        assert err.count("\n") == 1

    return check


def test_a_folder_has_one_run_at_a_time(
    photos: Path, tmp_path: Path, refused: Callable[..., None]
) -> None:
    """Neither a new run nor --resume nor a recipe gets in; the first one loses nothing."""
    out, line = tmp_path / "new" / "run", [*TINY, "--data", photos]
    first = start(*line, "--minutes", 3, "--seed", 1, "--save-minutes", 1e-4, "-o", out)
    try:
        wait_for(out / "checkpoint.pt", first)
        refused(*line, "--steps", 1, "--seed", 2, "-o", out)
        refused("--resume", "--minutes", 3.1, "-o", out)
        refused("--recipe", two_stages(tmp_path), *line, "--steps", 1, "-o", out)
        first.send_signal(signal.SIGTERM)
        printed, errors = first.communicate(timeout=SECONDS)
    finally:
        first.kill()
    assert (first.returncode, errors) == (128 + signal.SIGTERM, "")
    step = read_checkpoint(out)["step"]
    assert step > 0
    assert printed.splitlines()[-1] == f"weights.safetensors holds step {step:,}, the last"
    assert witt.load_weights(out)[1]["steps"] == step
    assert {p.name for p in out.iterdir()} == {
        *("checkpoint.pt", "config.json", "log.jsonl", "weights.safetensors")
    }
    settings = json.loads((out / "config.json").read_text())
    assert (settings["seed"], settings["minutes"]) == (1, 3)
    steps = [json.loads(entry)["step"] for entry in (out / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))


def test_of_two_at_the_same_time_one_trains(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    both = [
        start(*TINY, "--data", photos, "--steps", 2, "--seed", seed, "-o", out) for seed in (0, 1)
    ]
    ends = [process.communicate(timeout=SECONDS) for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], ends
    (error,) = [err for code, (_, err) in zip(codes, ends, strict=True) if code == 2]
    # By how far the first one was when the second came.
    assert "another witt process" in error or "already holds a run" in error
    config = witt.load_weights(out)[1]["config"]
    assert config["seed"] == codes.index(0)
    assert json.loads((out / "config.json").read_text())["seed"] == codes.index(0)


def two_stages(folder: Path) -> Path:
    path = folder / "two.toml"
    path.write_text('[[stage]]\nname = "a"\n[[stage]]\nname = "b"\n')
    return path


def test_stages_of_a_recipe_are_one_run(
    photos: Path, tmp_path: Path, refused: Callable[..., None]
) -> None:
    """The second stage's folder does not exist yet while the first one trains."""
    out = tmp_path / "out"
    line = ["--recipe", two_stages(tmp_path), *TINY, "--data", photos, "--minutes", 3, "-o", out]
    first = start(*line)
    try:
        wait_for(out / "1-a" / "checkpoint.pt", first)
        refused(*line, "--resume")
        refused(*TINY, "--data", photos, "--steps", 1, "-o", out)
        refused("--resume", "--minutes", 3.1, "-o", out / "1-a")
    finally:
        first.kill()
        first.communicate()
    assert not (out / "2-b").exists()


def test_a_run_that_cannot_begin_leaves_no_folder(photos: Path, tmp_path: Path) -> None:
    config = TrainConfig("witt_light", (str(tmp_path / "nowhere"),), steps=1, device="cpu")
    with pytest.raises(witt.InputError, match="nowhere"):
        train(config, tmp_path / "new" / "run", tensorboard=False)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(witt.InputError, match="nowhere"):
        train(config, tmp_path / "mine", tensorboard=False)
    assert list((tmp_path / "mine").iterdir()) == []  # one that was there stays
