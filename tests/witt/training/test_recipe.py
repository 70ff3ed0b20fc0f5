"""Shipped recipes run, stage after stage, and go on where they were interrupted."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import cli
import witt
from witt.training.checkpoint import read_checkpoint
from witt.training.recipe import read_recipe, shipped
from witt.training.run import Run

SIZES = {
    "paper-kodak-awgn": ("dims=8,12,16,16", "depths=1,1,1,1", "heads=1,1,2,2", "modnet_layers=2"),
    "paper-cifar10-awgn": ("dims=8,12", "depths=1,1", "heads=1,1", "modnet_layers=2"),
    "masked-cifar10": ("dims=8,12", "depths=1,1", "heads=1,1", "modnet_layers=2"),
}
SMALL = ("--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0", "--no-tensorboard")


def run(*args: object) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", *map(str, args)])
    code = caught.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def data(photos: Path, sheets: tuple[Path, np.ndarray]) -> dict[str, Path]:
    """What each recipe asks for."""
    return {
        "paper-kodak-awgn": photos,
        "paper-cifar10-awgn": sheets[0],
        "masked-cifar10": sheets[0],
    }


def line(name: str, data: dict[str, Path], out: Path) -> list[object]:
    sizes = [part for entry in SIZES[name] for part in ("--set", entry)]
    return ["--recipe", name, "--data", data[name], *SMALL, *sizes, "--device", "cpu", "-o", out]


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("paper")])
def test_the_stages_of_a_shipped_recipe(
    name: str, data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The published two steps: without ModNets at one SNR, then with them at all."""
    out = tmp_path / "run"
    assert run(*line(name, data, out)) == 0
    assert f"{name}, stage 2-all-snrs" in capsys.readouterr().out
    first, second = (out / folder for folder in ("1-one-snr", "2-all-snrs"))
    configs = [json.loads((folder / "config.json").read_text()) for folder in (first, second)]
    assert [config["snr"] for config in configs] == [[13], [1, 4, 7, 10, 13]]
    assert [config["lr"] for config in configs] == [1e-4, 1e-4]
    assert [config["muon_lr"] for config in configs] == [0, 0]
    assert configs[1]["init"] == str(first / "weights.safetensors")
    plain, trained = (witt.load_weights(f / "weights.safetensors")[0] for f in (first, second))
    assert [model.config.modulation for model in (plain, trained)] == [False, True]
    assert plain.config.dims == trained.config.dims
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(*(plain.encode(image, snr_db).symbols for snr_db in (1.0, 13.0)))
    assert not torch.equal(*(trained.encode(image, snr_db).symbols for snr_db in (1.0, 13.0)))
    # Adam has seen all parameters but those of the ModNets, which are kept, unused.
    adam = [read_checkpoint(f)["optimizers"][0]["state"] for f in (first, second)]
    names = [key for key, _ in plain.named_parameters()]
    assert len(adam[1]) == len(names)
    assert len(adam[0]) == len([key for key in names if "modnet" not in key])


def test_masked_first_and_plain_then(data: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(*line("masked-cifar10", data, out)) == 0
    first, second = (out / folder for folder in ("1-masked", "2-plain"))
    configs = [json.loads((folder / "config.json").read_text()) for folder in (first, second)]
    assert [(c["mask"], c["mask_noise"]) for c in configs] == [(0.3, 0.1), (0, 0)]
    assert [(c["soap_lr"], c["lr"]) for c in configs] == [(0.003, 1e-3)] * 2
    assert configs[1]["init"] == str(first / "weights.safetensors")


def test_an_interrupted_recipe_goes_on(
    data: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, out = "paper-cifar10-awgn", tmp_path / "run"
    original = Run.train_step

    def stepping(self: Run, image: Tensor) -> tuple[float, str | None]:
        if self.out.name == "2-all-snrs" and self.step == 0:
            signal.raise_signal(signal.SIGTERM)
        return original(self, image)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "train_step", stepping)
        assert run(*line(name, data, out)) == 128 + signal.SIGTERM
    printed = capsys.readouterr().out
    assert f"go on with: witt train --recipe {name} --resume --out {out}" in printed
    assert run(*line(name, data, out)) == 2  # nothing is overwritten
    assert "already holds a run" in capsys.readouterr().err
    before = (out / "1-one-snr" / "checkpoint.pt").read_bytes()
    assert run("--recipe", name, "--resume", "--out", out) == 0
    assert read_checkpoint(out / "2-all-snrs")["step"] == 2
    assert (out / "1-one-snr" / "checkpoint.pt").read_bytes() == before
    assert "stage 1-one-snr" not in capsys.readouterr().out


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--recipe", "list") == 0
    printed = capsys.readouterr().out.splitlines()
    assert [entry.split(":")[0] for entry in printed] == list(shipped())
    assert set(shipped()) == set(SIZES)
    assert all(len(entry) < 120 for entry in printed)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("steps = 3\n", "it has no [[stage]]"),
        ("[[stage]]\nsteps = 3\n", "needs a name"),
        ('[[stage]]\nname = "a/b"\n', "needs a name"),
        ('colour = 3\n[[stage]]\nname = "a"\n', "unknown setting 'colour'"),
        ('resume = true\n[[stage]]\nname = "a"\n', "unknown setting 'resume'"),
        ('[[stage]]\nname = "a"\nbatch = "two"\n', "'two'"),
        ("[[stage]\n", "not a settings file"),
    ],
)
def test_bad_recipes(
    text: str,
    named: str,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    assert run("--recipe", path, "--data", photos, "-o", tmp_path / "run") == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_unknown_recipe_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--recipe", "paper-kodak") == 2
    error = capsys.readouterr().err
    assert "no recipe 'paper-kodak'; choose from masked-cifar10, paper-cifar10-awgn" in error


def test_what_the_weights_fix_cannot_be_set(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["--init", weights, "--data", photos, *SMALL, "-o", tmp_path / "run"]
    assert run(*start, "--set", "dims=8,12,16") == 2
    assert "--set dims: the weights of --init fix it ((16, 24, 32))" in capsys.readouterr().err
    assert run(*start, "--set", "dims=16,24,32", "--set", "modulation=false") == 0
    written = tmp_path / "run" / "weights.safetensors"
    assert witt.load(written).config.modulation is False


def test_a_stage_has_the_settings_of_all() -> None:
    recipe = read_recipe("paper-kodak-awgn")
    assert [stage.name for stage in recipe.stages] == ["one-snr", "all-snrs"]
    for stage in recipe.stages:
        assert stage.settings["preset"] == "witt_base"
        assert (stage.settings["batch"], stage.settings["crop"]) == (16, 256)
    assert [path.name for path in recipe.folders(Path("out"))] == ["1-one-snr", "2-all-snrs"]
