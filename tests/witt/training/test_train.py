"""`witt train` as typed: what reaches the run, and one line for whatever cannot be used."""

import json
from pathlib import Path

import numpy as np
import pytest

import cli
import witt
from witt.store.weights import load_weights
from witt.training.checkpoint import read_checkpoint

TINY = [
    *("--set", "dims=8,12,16", "--set", "depths=1,1,1", "--set", "heads=1,1,1", "--set", "patch=2"),
    *("--set", "channels=24", "--set", "classes=3", "--set", "smooth_channels=2"),
    *("--crop", "32", "--batch", "2", "--workers", "0", "--device", "cpu", "--no-tensorboard"),
]


def run(*args: object) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", *map(str, args)])
    code = caught.value.code
    assert isinstance(code, int)
    return code


def test_a_run_from_the_command_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    line = [*TINY, "--snr", "-2:20", "--cbr", "1/24,1/16", "--channel", "awgn,rician"]
    assert run(*line, "--data", photos, "--val", photos, "--steps", 3, "-o", out) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "done: 3 steps" in printed.out
    config = json.loads((out / "config.json").read_text())
    assert config["snr"] == [-2, 20]
    assert config["snr_is_range"] is True
    assert config["minutes"] is None
    model = witt.load(out / "weights.safetensors")
    assert model.config.dims == (8, 12, 16)
    assert model.config.served_cbr == (1 / 24, 1 / 16)

    assert run("--resume", "--out", out, "--steps", 5) == 0
    assert read_checkpoint(out)["step"] == 5
    assert run("--resume", "--out", out, "--steps", 6, "--seed", 3, "--snr", "0:20") == 2
    assert (
        "these differ: snr (-2.0,20.0, asked 0.0,20.0), seed (0, asked 3)"
        in capsys.readouterr().err
    )

    assert (config["lr"], config["muon_lr"]) == (1e-3, 0.01)

    weights = out / "weights.safetensors"
    more = ["--crop", 32, "--batch", 2, "--workers", 0, "--cbr", "1/16", "--no-tensorboard"]
    assert run("--init", weights, "--data", photos, *more, "--steps", 2, "-o", tmp_path / "b") == 0
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert (config["lr"], config["muon_lr"]) == (1e-4, 0.003)  # gentle
    assert "--init without --val" in capsys.readouterr().err
    assert run("--resume", "-o", tmp_path / "b", "--steps", 3) == 0
    further, training = load_weights(tmp_path / "b" / "weights.safetensors")
    assert further.config.dims == (8, 12, 16)
    steps = training["steps"] + training["before"]["steps"]
    assert training["total_steps"] == steps


def test_the_command_line_wins_over_the_file(photos: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(*TINY, "--data", photos, "--steps", 2, "--lr", "0.002", "-o", first) == 0
    assert run("--config", first / "config.json", "--steps", 1, "--seed", 4, "-o", second) == 0
    before = json.loads((first / "config.json").read_text())
    after = json.loads((second / "config.json").read_text())
    assert after == {**before, "steps": 1, "seed": 4}
    assert after["lr"] == 0.002


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ([], "--data"),
        (["--data", "nowhere"], "nowhere"),
        (["--data", "{photos}", "--val", "nowhere"], "nowhere"),
        (["--data", "{empty}"], "empty"),
        (["--data", "{photos}", "--snr", "nan"], "'nan'"),
        (["--data", "{photos}", "--snr", "loud"], "'loud'"),
        (["--data", "{photos}", "--cbr", "0"], "'0'"),
        (["--data", "{photos}", "--cbr", "1/5000"], "1/5000"),
        (["--data", "{photos}", "--preset", "witt_base", "--cbr", "1/16,1/8"], "rate_adaptive"),
        (["--data", "{photos}", "--preset", "witt_huge"], "witt_huge"),
        (["--data", "{photos}", "--channel", "wire"], "wire"),
        (["--data", "{photos}", "--batch", "0"], "--batch"),
        (["--data", "{photos}", "--batch", "two"], "'two'"),
        (["--data", "{photos}", "--crop", "30"], "--crop 30"),
        (["--data", "{photos}", "--minutes", "nan"], "--minutes"),
        (["--data", "{photos}", "--init", "nowhere"], "nowhere"),
        (["--data", "{photos}", "--set", "colour=3"], "colour"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--config", "{unknown}"], "'colour'"),
        (["--resume"], "checkpoint.pt"),
        (["--data", "{photos}", "--device", "abacus"], "abacus"),
        (["--data", "{photos}", "--out", "{file}"], "file"),
    ],
)
def test_bad_input_is_one_line(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    named: str,
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "unknown.json").write_text('{"colour": 3}')
    places = {
        "photos": photos,
        "empty": tmp_path / "empty",
        "file": tmp_path / "file",
        "unknown": tmp_path / "unknown.json",
    }
    small = ["--set", "dims=8,8,8", "--set", "heads=1,1,1"] if "--preset" not in args else []
    small = [] if "--init" in args else small
    assert run(*small, "--steps", 1, *[arg.format(**places) for arg in args]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert named in error
    assert list((tmp_path / "work").iterdir()) == []  # nothing written


def test_a_run_is_never_overwritten(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(*TINY, "--data", photos, "--steps", 1, "-o", out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run(*TINY, "--data", photos, "--steps", 1, "-o", out) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_cifar_sheets(
    sheets: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = sheets
    small = ["--set", "dims=8,12", "--set", "depths=1,1", "--set", "heads=1,1"]
    line = ["--preset", "witt_cifar", *small, "--data", folder, "--val", folder, "--crop", 32]
    rest = ["--steps", 1, "--batch", 2, "--workers", 0, "--no-tensorboard", "-o", tmp_path / "run"]
    assert run(*line, *rest) == 0
    printed = capsys.readouterr().out
    assert "30 training pictures" in printed
    assert "the last 10 CIFAR-10 training pictures are held out" in printed
    assert "CBR 1/3" in printed


def test_the_first_half_and_the_defaults_of_a_network(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["--set", "dims=8,8", "--set", "depths=1,1", "--set", "heads=1,1", "--crop", 16]
    line = ["--preset", "witt_cifar", *tiny, "--cbr", "1/3", "--steps", 1, "--no-tensorboard"]
    line += ["--device", "cpu", "--workers", 0, "--batch", 2, "--data", photos]
    assert run(*line, "--snr-first", "10,20", "-o", tmp_path / "a") == 2
    assert "--snr-first: give a range, as 10:20" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    rates = ["--flat", 0.4, "--soap-lr", 0.002]
    assert run(*line, "--snr-first", "10:20", *rates, "-o", tmp_path / "a") == 0
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["snr_first"] == [10, 20]
    assert config["muon_lr"] == 0.005
    assert (config["flat"], config["soap_lr"]) == (0.4, 0.002)
    assert run("--resume", "--out", tmp_path / "a", "--steps", 2) == 0
    again = ["--config", tmp_path / "a" / "config.json", "-o", tmp_path / "b", "--steps", 1]
    assert run(*again) == 0
    assert json.loads((tmp_path / "b" / "config.json").read_text()) == {**config, "steps": 1}
