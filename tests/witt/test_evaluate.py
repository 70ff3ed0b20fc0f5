"""`witt evaluate`, as it is typed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cli
import witt
from witt.evaluation import image_seed


class Evaluate:
    """`witt evaluate` with the tiny weights on a folder of two pictures."""

    def __init__(self, weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.weights, self.folder, self.capsys = weights, folder, capsys

    def __call__(self, *args: object) -> tuple[int, str, str]:
        words = ("evaluate", self.folder, "--weights", self.weights, *args)
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        return int(stop.value.code or 0), *self.capsys.readouterr()

    def json(self, *args: object) -> dict[str, Any]:
        code, out, err = self("--json", *args)
        assert code == 0, err
        return json.loads(out, parse_constant=pytest.fail)


@pytest.fixture
def evaluate(weights: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    witt.write_png(picture.with_name("second.png"), np.full((32, 16, 3), 60, np.uint8))
    return Evaluate(weights, picture.parent, capsys)


def test_means_are_those_of_the_pictures(evaluate: Evaluate) -> None:
    record = evaluate.json("--snr", "0:2", "--cbr", "1/16,1/48", "--channel", "awgn,rayleigh")
    assert record["format"] == "witt-evaluation-1"
    cells = [(r["channel"], r["cbr_requested"], r["snr_db"]) for r in record["results"]]
    expected = [
        (channel, cbr, snr)
        for channel in ("awgn", "rayleigh")
        for cbr in (1 / 16, 1 / 48)
        for snr in (0.0, 1.0, 2.0)
    ]
    assert cells == expected
    for result in record["results"]:
        for name in ("psnr_db", "ms_ssim", "ms_ssim_db", "cbr"):
            values = [entry[name] for entry in result["images"]]
            assert len(values) == record["images"] == 2
            assert result[name] == pytest.approx(sum(values) / 2, rel=1e-12)
        for entry in result["images"]:
            assert entry["cbr"] == entry["channel_uses"] / (3 * entry["width"] * entry["height"])


def test_a_cell_does_not_depend_on_the_lists(evaluate: Evaluate) -> None:
    many = evaluate.json("--snr", "1,4", "--cbr", "1/16,1/24", "--channel", "awgn,rician,rayleigh")
    (alone,) = evaluate.json("--snr", "4", "--cbr", "1/24", "--channel", "rayleigh", "--limit", 1)[
        "results"
    ]
    (same,) = [
        r
        for r in many["results"]
        if (r["channel"], r["cbr_label"], r["snr_db"]) == ("rayleigh", "1/24", 4.0)
    ]
    assert len(alone["images"]) == 1
    timeless = [{**entry, "seconds": 0} for entry in (alone["images"][0], same["images"][0])]
    assert timeless[0] == timeless[1]


def test_transmit_gives_the_same_picture(evaluate: Evaluate, tmp_path: Path) -> None:
    args = ("--snr", "4", "--channel", "rayleigh", "--coherence", 8)
    entry = evaluate.json(*args)["results"][0]["images"][0]
    words = ["transmit", entry["image"], *args, "--seed", entry["seed"], "--json"]
    words += ["--weights", evaluate.weights, "-o", tmp_path / "out"]
    with pytest.raises(SystemExit):
        cli.main([str(word) for word in words])
    (sent,) = json.loads(evaluate.capsys.readouterr().out)
    for name in ("psnr_db", "ms_ssim", "cbr", "channel_uses", "width", "height"):
        assert sent[name] == entry[name]


def test_pictures_get_noise_of_their_own() -> None:
    one, two = np.zeros((2, 4, 3), np.uint8), np.zeros((4, 2, 3), np.uint8)
    seeds = {image_seed(0, one), image_seed(0, two), image_seed(1, one), image_seed(0, one + 1)}
    assert len(seeds) == 4
    assert image_seed(0, one) == image_seed(0, one.copy())
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_file_and_table(evaluate: Evaluate, tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    code, out, err = evaluate("--snr", "-2:2:2", "--no-ms-ssim", "--out", path)
    assert code == 0, err
    record = json.loads(path.read_text())
    assert record["config"] == json.loads(json.dumps(witt.load(evaluate.weights).config.to_dict()))
    assert record["seed"] == 0
    assert len(record["weights"]["sha256"]) == 64
    assert record["results"][0]["ms_ssim"] is None
    assert "MS-SSIM" not in out
    for result in record["results"]:
        assert f"{result['psnr_db']:.2f}" in out
    assert "-2 " in out
    assert list(path.parent.iterdir()) == [path]


def test_variants_of_ms_ssim_are_named(evaluate: Evaluate) -> None:
    _, out, err = evaluate("--snr", "1")
    assert "MS-SSIM dB" in out
    assert "ms-ssim-2scales (1)" in err
    assert "ms-ssim-1scale (1)" in err


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--snr", "nan"], "'nan' is not an SNR"),
        (["--cbr", "1/16,1/2"], "CBR 0.5 is not served"),
        (["--channel", "awgn,laser"], "'laser' is not a channel"),
        (["-o", "{folder}"], "is a folder"),
        (["-o", "{folder}/photo.png"], "is an input"),
        (["-o", "{folder}/photo.png/x.json"], "photo.png"),
        (["--limit", "0"], "0"),
    ],
)
def test_bad_input(args: list[str], named: str, evaluate: Evaluate) -> None:
    before = {path: path.read_bytes() for path in evaluate.folder.iterdir()}
    code, out, err = evaluate(*(arg.format(folder=evaluate.folder) for arg in args))
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert named in err
    assert {path: path.read_bytes() for path in evaluate.folder.iterdir()} == before
