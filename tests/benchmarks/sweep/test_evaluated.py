"""Metrics of one's own from evaluation and benchmark to files and figures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import cli
import witt
from benchmarks.commands.benchmark import command as benchmark
from benchmarks.commands.plot import command as plot
from benchmarks.figures.bd import show_deltas
from benchmarks.figures.curves import charts
from benchmarks.sweep.dataset import open_dataset
from benchmarks.sweep.evaluated import read_any
from benchmarks.sweep.results import read_results
from benchmarks.sweep.sweep import Maker
from witt.errors import InputError

METRIC = """
def error(image, reference):
    return (image - reference).abs().mean(dim=(1, 2, 3))
error.label = "Mean error"
error.higher_is_better = False

def picky(image, reference):
    if image.shape[2] == 100:
        raise ValueError("too tall")
    return image.mean(dim=(1, 2, 3))
"""


@pytest.fixture
def metric(tmp_path: Path) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(METRIC)
    return file


@pytest.fixture
def model() -> witt.Codec:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return witt.create_model("deepjscc").eval()


def test_benchmark_to_figure(
    photos: Path, fake_schemes: Maker, metric: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.json"
    words = ["--dataset", str(photos), "--schemes", "a+noisy,b+noisy,c+longer", "--snr", "1,4,7"]
    words += ["--metric", f"psnr,{metric}:error,{metric}:picky", "-o", str(out)]
    done = CliRunner().invoke(benchmark, words, obj=fake_schemes)
    assert done.exit_code == 0, done.exception
    results = read_results(out)
    cell = results.cells[0]
    assert set(json.loads(out.read_text())["cells"][0]["images"]) == {
        "psnr_db", "error", "picky", "channel_uses", "cbr",
    }  # fmt: skip
    # What the metric gives for what the scheme delivers, by hand.
    for index in range(2):
        pixels = witt.read_image(photos / f"p{index}.png").pixels
        seed = witt.link.evaluation.image_seed(0, pixels)
        (sent,) = fake_schemes(["a+noisy"], {})[0].send([pixels], cell.link, 1.0, 1 / 16, [seed])
        by_hand = np.abs(sent.pixels.astype(float) - pixels).mean() / 255
        assert results.column(cell, "error")[index] == pytest.approx(by_hand, rel=1e-5)
    assert np.isnan(results.column(cell, "picky")).tolist() == [False, False, False, True]
    assert f"{results.mean(cell, 'error'):.4f}" in done.stdout
    assert "Mean error, photos" in done.stdout
    said = [line for line in done.stderr.splitlines() if "picky" in line]
    assert said == ["Note: picky failed at p3.png: ValueError: too tall"]
    # Without the file of the metric there is still its label and direction.
    metric.unlink()
    again = CliRunner().invoke(plot, [str(out), "-o", str(tmp_path / "f")])
    assert again.exit_code == 0, again.exception
    chart = next(chart for chart in charts([results]) if chart.metric == "error")
    assert chart.panels[0].ylabel == "Mean error, lower is better"
    assert chart.panels[0].curves[0].y[0] == results.mean(cell, "error")
    assert (tmp_path / "f" / f"{chart.name}.png").is_file()
    assert "-error-over-snr-" in chart.name


def test_lower_is_better_counts_backwards(
    photos: Path, fake_schemes: Maker, metric: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A worse scheme needs more SNR by either metric."""
    pytest.importorskip("bjontegaard")
    out = tmp_path / "r.json"
    words = ["--dataset", str(photos), "--schemes", "a+noisy,c+longer", "--snr", "1,4,7"]
    words += ["--metric", f"psnr,{metric}:error", "-o", str(out)]
    done = CliRunner().invoke(benchmark, words, obj=fake_schemes)
    assert done.exit_code == 0, done.exception
    results = read_results(out)
    show_deltas([results], "a+noisy")
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "longer" in line]
    cells = [float(word) for word in row.split() if word.lstrip("-").replace(".", "").isdigit()]
    rate, quality, error_rate, more_error = cells
    # The worse scheme needs more SNR, and loses quality, by either metric.
    one, other = results.cells[0], results.cells[3]
    worse = results.mean(other, "psnr_db") < results.mean(one, "psnr_db")
    assert worse == (results.mean(other, "error") > results.mean(one, "error"))
    assert worse
    assert quality < 0 < more_error  # each in its own unit
    assert rate > 0
    assert error_rate > 0


def test_evaluation_to_figure(
    photos: Path, model: witt.Codec, metric: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """`witt evaluate -o` and `Results.save` are drawn like a benchmark, of the same pictures."""
    weights = tmp_path / "runs" / "mine" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    witt.save_weights(weights, model, {})
    path = tmp_path / "x.json"
    with pytest.raises(SystemExit) as stop:
        cli.main(
            f"evaluate {photos} --weights {weights.parent} --snr 1,7 --metric {metric}:error,psnr "
            f"-o {path}".split()
        )
    assert stop.value.code == 0
    capsys.readouterr()
    results = read_any(path)
    document = json.loads(path.read_text())
    assert results.dataset == open_dataset(photos).record()
    assert [cell.scheme for cell in results.cells] == ["mine", "mine"]
    for cell, result in zip(results.cells, document["results"], strict=True):
        assert results.finished(cell)
        for key in ("error", "psnr_db", "cbr"):
            assert results.mean(cell, key) == pytest.approx(result[key], rel=1e-12)
    saved = tmp_path / "saved.json"
    witt.evaluate({"three": model}, photos, snr=[1, 7], metrics=("psnr",), repeats=3, seed=1).save(
        saved
    )
    drawn = charts([results, read_any(saved)])
    assert {chart.metric for chart in drawn} == {"error", "psnr_db"}
    (chart,) = [chart for chart in drawn if chart.metric == "psnr_db"]
    assert [curve.scheme for curve in chart.panels[0].curves] == ["mine", "three"]
    means = [result["psnr_db"] for result in witt.Results.load(saved).results]
    assert chart.panels[0].curves[1].y == pytest.approx(means, rel=1e-12)
    done = CliRunner().invoke(plot, [str(path), str(saved), "-o", str(tmp_path / "f")])
    assert done.exit_code == 0, done.exception
    assert len(done.output.split()) == 4


def test_an_evaluation_of_before_is_drawn(tmp_path: Path) -> None:
    """It has neither metrics nor a codec in each result, and says nothing of its pictures."""
    channel = {"channel": "awgn", "fading": None, "coherence": None, "k_factor_db": None}
    entry = {"batch": 0, "psnr_db": 30.0, "ms_ssim": None, "ms_ssim_db": None, "cbr": 0.06,
             "channel_uses": 7, "ms_ssim_variant": None}  # fmt: skip
    results = [
        {**channel, "profile": "ours", "snr_db": snr, "cbr_requested": 1 / 16, "cbr_label": "1/16",
         "psnr_db": 31.0, "ms_ssim": None, "ms_ssim_db": None, "cbr": 0.06,
         "images": [{**entry, "image": "kodak/a.png"},
                    {**entry, "image": "kodak/b.png", "batch": 1, "psnr_db": 32.0}]}
        for snr in (1.0, 4.0)
    ]  # fmt: skip
    document = {"format": "witt-evaluation-1", "weights": {"name": "witt_light"}, "seed": 0,
                "ms_ssim": False, "adapt": 5, "images": 2, "results": results}  # fmt: skip
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document))
    (chart,) = charts([read_any(path)])
    (curve,) = chart.panels[0].curves
    assert (curve.scheme, curve.y) == ("witt_light+adapt:5", (31.0, 31.0))
    assert chart.title.startswith("kodak, not the pictures of Kodak")
    # Cut short: the second condition has one picture, so that there is no curve.
    results[1]["images"] = results[1]["images"][:1]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="a curve needs two SNRs"):
        charts([read_any(path)])
    for damage in ({"results": []}, {"results": [{"channel": "awgn"}]}, {"images": "many"}):
        path.write_text(json.dumps({**document, **damage}))
        with pytest.raises(InputError, match="is damaged"):
            read_any(path)
