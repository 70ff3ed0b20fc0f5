"""Each example does what its first lines say, and is short enough to be read."""

import ast
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import scipy.special
import torch
from click.testing import CliRunner

import channels
import cli
import witt
from benchmarks.schemes.registry import make_schemes
from witt.link.conditions import Link
from witt.registry import CODECS, METRICS, load_file

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SAMPLE = ROOT / "witt" / "samples" / "kodim23.png"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of one small photograph."""
    folder = tmp_path / "photos"
    folder.mkdir()
    witt.write_png(folder / "a.png", witt.read_image(SAMPLE).pixels[100:196, 200:296].copy())
    return folder


def run(*args: object) -> str:
    """What a command prints; it must end well."""
    result = CliRunner().invoke(cli.cli, list(map(str, args)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.stem)
def test_it_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_own_codec_and_scheme_are_compared(photos: Path, tmp_path: Path) -> None:
    schemes = (
        f"witt_light,mine={EXAMPLES}/own_codec.py:MyCodec,qpsk={EXAMPLES}/own_scheme.py:Thumbnail"
    )
    out = tmp_path / "mine.json"
    run("benchmark", "--dataset", photos, "--schemes", schemes, "--snr", "1,7", "-o", out)
    cells = json.loads(out.read_text())["cells"]
    psnr = {(cell["scheme"], cell["snr_db"]): cell["images"]["psnr_db"][0] for cell in cells}
    for scheme in ("mine", "qpsk"):
        assert 10 < psnr[scheme, 1] < psnr[scheme, 7] < psnr["witt_light", 7]
    run("plot", out, "-o", tmp_path / "drawn")
    svg = next((tmp_path / "drawn").glob("*psnr*.svg")).read_text(encoding="utf-8")
    assert "mine" in svg
    assert "qpsk" in svg


def test_own_codec_sends_what_it_is_asked_for(photos: Path) -> None:
    codec = CODECS.make(f"{EXAMPLES}/own_codec.py:MyCodec")
    image = torch.rand(2, 3, 45, 64, generator=torch.Generator().manual_seed(0))
    for cbr in (1 / 48, 1 / 16, 1 / 4):
        symbols, header = codec.encode(image, 7.0, cbr)
        assert 0.7 * cbr < symbols.shape[1] / (3 * 45 * 64) <= cbr
        torch.testing.assert_close(symbols.abs().square().mean(1), torch.ones(2))
        assert header.bits == 72
    sent = codec(image, channels.AWGN(), 60.0, 1 / 2)
    torch.testing.assert_close(sent.image, image, atol=0.01, rtol=0)


def test_own_codec_is_trained(photos: Path, tmp_path: Path) -> None:
    preset, out = f"{EXAMPLES}/own_codec.py:MyCodec:width=8", tmp_path / "run"
    small = ["--steps", "3", "--batch", "2", "--crop", "48", "--workers", "0", "--device", "cpu"]
    run("train", "--preset", preset, "--data", photos, *small, "--no-tensorboard", "-o", out)
    model, _ = witt.load_weights(out)
    assert type(model).__name__ == "MyCodec"
    assert model.config == {"width": 8}
    (scheme,) = make_schemes(["mine"], {"mine": str(out)})
    assert scheme.record()["training"]["steps"] == 3


def test_own_block_is_trained(photos: Path, tmp_path: Path) -> None:
    sizes = ["dims=8,12", "depths=1,1", "heads=2,3", "mlp_ratio=2"]
    block, out = f"block={EXAMPLES}/own_block.py:gated", tmp_path / "run"
    small = ["--steps", "3", "--batch", "2", "--crop", "20", "--workers", "0", "--device", "cpu"]
    entries = [part for entry in (block, *sizes) for part in ("--set", entry)]
    preset = ["--preset", "witt_cifar_narrow", *entries]
    run("train", *preset, "--data", photos, *small, "--no-tensorboard", "-o", out)
    model, _ = witt.load_weights(out)
    kinds = {type(module).__name__ for module in model.modules()}
    assert "Gated" in kinds
    assert "SwinBlock" not in kinds


def test_own_channel_is_impulsive() -> None:
    """A share p of the noise has `times` the power of the rest, and all of it has unit power."""
    link = Link(f"{EXAMPLES}/own_channel.py:Impulsive:p=0.02")
    assert str(link) == "Impulsive noise, 2% at 20 times the power"
    gain, noise = link.module().draw(2, 500_000, generator=torch.Generator().manual_seed(0))
    assert gain is None
    power = noise.abs().square().double()
    base = 1 / (1 + 19 * 0.02)
    assert float(power.mean()) == pytest.approx(1, abs=0.01)
    # E|n|^4 of a mixture of two complex Gaussians: 2 (1 - p) a^2 + 2 p (20 a)^2.
    fourth = 2 * 0.98 * base**2 + 2 * 0.02 * (20 * base) ** 2
    assert float(power.square().mean()) == pytest.approx(fourth, rel=0.05)


def test_own_metric_is_measured(photos: Path) -> None:
    metric = METRICS.find(f"{EXAMPLES}/own_metric.py:edge_error")
    flat, edge = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    edge[..., 2:] = 0.6  # one of three steps across, none down
    assert float(metric(edge, flat)) == pytest.approx(0.2)
    told = run(
        "evaluate", photos, "--metric", f"psnr,{EXAMPLES}/own_metric.py:edge_error", "--snr", "1,10"
    )
    low, high = (float(line.split()[2]) for line in re.findall(r"^ 1.*", told, re.MULTILINE)[-2:])
    assert high < low
    assert "Edge error" in told


def test_symbols_to_file(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_file(EXAMPLES / "symbols_to_file.py").main(str(photos / "a.png"), str(tmp_path))
    uses, psnr = re.match(r"(\d+) symbols, PSNR (\S+) dB", capsys.readouterr().out).groups()
    tx, rx = (witt.Encoded.load(tmp_path / name) for name in ("tx.npz", "rx.npz"))
    assert int(uses) == tx.symbols.shape[1] <= 96 * 96 * 3 / 16
    assert float(psnr) > 30
    noise = (rx.symbols - tx.symbols).abs().square().mean()
    assert float(noise) == pytest.approx(0.1, rel=0.15)


def test_snr_mismatch(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost where what was told is so; below it, much."""
    load_file(EXAMPLES / "snr_mismatch.py").main(str(photos / "a.png"))
    rows = np.array([line.split() for line in capsys.readouterr().out.splitlines()[1:]], float)
    assert rows[:, 0].tolist() == [4, 7, 10, 13, 16]
    assert rows[2, 1] == rows[2, 2]
    assert (rows[[0, 1], 2] > rows[[0, 1], 1] + 1).all()


def executed(notebook: str) -> dict[str, Any]:
    """Its names after its cells, one after the other, without Jupyter."""
    cells = json.loads((EXAMPLES / notebook).read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), names)
    return names


def test_notebook_of_a_channel() -> None:
    with matplotlib.rc_context():
        matplotlib.use("agg")
        names = executed("channel.ipynb")
    count = names["symbols"].shape[1]
    assert names["noise"] == pytest.approx(0.1, abs=4 * 0.1 / math.sqrt(count))
    # E[1 / (1 + SNR |h|²)] over Exp(1), and no error of unit power would be above 1.
    mmse = math.exp(0.1) * float(scipy.special.exp1(0.1)) / 10
    deviation = math.sqrt(2 / count)  # of the mean of |error|², at most
    assert names["errors"]["MMSE"] == pytest.approx(mmse, abs=4 * deviation * mmse * 2)
    assert names["errors"]["MMSE"] < names["errors"]["zero forcing"]
    psnrs = [result["psnr_db"] for result in names["results"].results]
    assert psnrs[:3] == sorted(psnrs[:3])
    assert all(fading < noise for noise, fading in zip(psnrs[:3], psnrs[3:], strict=True))


def test_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    names = executed("notebook.ipynb")
    for name in ("AWGN", "Rayleigh"):
        assert names["psnrs"][name] == sorted(names["psnrs"][name])
    assert names["mine"] == sorted(names["mine"])
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that has the package installed, in a folder of its own."""
    source, site = tmp_path / "plugin", tmp_path / "site"
    shutil.copytree(EXAMPLES / "plugin", source)  # building leaves files behind
    install = ["pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    pip = [sys.executable, "-m", *install, "--target", str(site), str(source)]
    subprocess.run(pip, check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(site)))}


def test_an_installed_package(plugin: dict[str, str], photos: Path, tmp_path: Path) -> None:
    """Its codec is trained over its channel and measured by its metric, by their names."""

    def witt_command(*args: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *map(str, args)],
            env=plugin,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    short = ["--steps", "5", "--batch", "2", "--crop", "64", "--workers", "0", "--no-tensorboard"]
    how = ["--preset", "my_codec", "--channel", "my_channel", "--data", "photos"]
    witt_command("train", *how, *short, "--device", "cpu", "--out", "runs/mine")
    weights = ["--weights", "runs/mine", "--snr", "10"]
    told = witt_command("evaluate", "photos", *weights, "--metric", "my_metric")
    assert "Largest error" in told
    assert "AWGN is a channel that MyCodec was not trained for: it knows my_channel" in told
    mine = ["--schemes", "mine=runs/mine,new=my_codec", "--snr", "7"]
    swept = ["--channel", "my_channel", "-o", "r.json"]
    assert "Random phase" in witt_command("benchmark", "--dataset", "photos", *mine, *swept)
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["schemes"]["new"]["version"] == "my-plugin 1.0"
    assert record["cells"][0]["source"] == "my-plugin 1.0"
    info = witt_command("info")
    for name in ("my_codec", "my_channel", "my_metric"):
        assert re.search(rf"{name}.*my-plugin 1\.0", info)
