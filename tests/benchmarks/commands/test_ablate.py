"""`witt ablate` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cli
from benchmarks.ablation import work

NET = "witt_cifar:dims=[8,16]:depths=[1,1]:heads=[1,2]:modulation=false"
CNN = "cnn=deepjscc:dims=[4,8]:channels=32"
OPTIONS = ["--", "--batch", "2", "--workers", "0", "--device", "cpu"]


@pytest.fixture
def sheets(tmp_path: Path) -> Path:
    """A folder like CIFAR-10's, of 40 training pictures and without a test set."""
    folder = tmp_path / "cifar"
    folder.mkdir()
    pixels = np.random.default_rng(7).integers(0, 256, (160, 256, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "train_00.webp", lossless=True)
    np.save(folder / "train_labels.npy", np.zeros(40, np.uint8))
    return folder


def run(*args: object) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["ablate", *map(str, args)])
    code = caught.value.code
    assert isinstance(code, int)
    return code


def test_from_the_command_line(
    sheets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    common = ["--data", sheets, "--val", sheets, "--steps", 3, "--out", out]
    assert run("--presets", f"{NET},{CNN}", *common, "--seeds", "0", *OPTIONS) == 0
    printed = capsys.readouterr().out
    document = json.loads((out / "results.json").read_text())
    assert document["format"] == "witt-ablation-1"
    assert document["data"]["pictures"] == 30  # the last 10 are held out
    assert document["validation"]["pictures"] == 10
    settings = document["settings"]
    assert [settings[key] for key in ("crop", "batch", "soap_lr", "flat")] == [32, 2, 0.003, 0.4]
    assert [row["preset"] for row in document["rows"]] == [NET, "cnn"]
    assert {len(row["psnr_db"]) for row in document["rows"]} == {5}
    (made,) = document["runs"]
    assert {"command", "commit", "machine"} <= set(made)
    assert (out / "table.md").read_text() in printed
    assert {path.name for path in out.iterdir()} == {
        "results.json", "table.md", "ablation.png", "ablation.svg", "runs",
    }  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr(work, "train", pytest.fail)
        assert run("--presets", CNN, *common, "--seeds", "0", *OPTIONS) == 0
        assert run("--presets", f"{CNN},nothing", *common, "--seeds", "0,1", *OPTIONS) == 2
        assert capsys.readouterr().err.startswith("Error: preset nothing: unknown preset")
        assert run("--presets", CNN, *common, *OPTIONS, "--batch", "4") == 2
        assert "is of batch 2, not 4; choose another --out" in capsys.readouterr().err
    config = tmp_path / "half.toml"
    config.write_text(f'presets = ["{CNN}"]\nminutes = 9\nshares = 0.5\n[train]\nbatch = 2\n')
    assert run("--config", config, *common, *OPTIONS[:1], *OPTIONS[3:]) == 0
    document = json.loads((out / "results.json").read_text())
    assert [(r["seed"], r["share"], r["run"]) for r in document["rows"]] == [
        (0, 1.0, 0), (0, 1.0, 0), (0, 0.5, 1), (1, 0.5, 1),
    ]  # fmt: skip
    config = json.loads((out / "runs" / "cnn-3-steps-share0.5-seed1" / "config.json").read_text())
    assert (config["data_share"], config["seed"]) == (0.5, 1)


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--presets", CNN], "one of --minutes, --petaflops, --steps"),
        (["--presets", CNN, "--minutes", "1", "--steps", "2"], "one of --minutes"),
        (["--presets", CNN, "--minutes", "0"], "--minutes: give numbers above 0"),
        (["--presets", CNN, "--minutes", "nan"], "--minutes: give numbers above 0"),
        (["--presets", CNN, "--minutes", "soon"], "'soon': write numbers with commas"),
        (["--presets", CNN, "--steps", "2", "--seeds", "0.5"], "write whole numbers"),
        (["--presets", ",", "--steps", "2"], "--presets"),
        (["--presets", CNN, "--steps", "2", "--shares", "0"], "--data-share is 0"),
        (["--presets", CNN, "--steps", "2", "--", "--preset", "deepjscc"], "--preset after --"),
        (["--presets", CNN, "--steps", "2", "--", "--colour", "3"], "--colour"),
        (["--presets", CNN, "--steps", "2", "--", "--batch", "0"], "--batch"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_trained(
    args: list[str],
    named: str,
    sheets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "train", pytest.fail)
    out = tmp_path / "out"
    assert run("--data", sheets, "--val", sheets, "--out", out, *args) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not out.exists()
