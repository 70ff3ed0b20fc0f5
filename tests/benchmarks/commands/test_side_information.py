"""`witt benchmark --side-information`: what is counted, what is named, and what is not mixed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import cli
import witt
from benchmarks.figures.curves import charts
from benchmarks.schemes.scheme import Sent, channel_uses, send_checked
from benchmarks.sweep.evaluated import read_any
from benchmarks.sweep.results import read_results
from benchmarks.sweep.side import is_ideal
from witt.link.conditions import Link
from witt.pictures.images import Pixels
from witt.side_information import LONGEST_HEADER

IDEAL = ("--side-information", "ideal")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    y, x = np.mgrid[0:48, 0:64]
    for name in ("a", "b"):
        pixels = np.stack([3 * x, 5 * y, (x + y) % 256], axis=2).astype(np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        witt.write_png(tmp_path / "photos" / f"{name}.png", pixels)
    return tmp_path / "photos"


@pytest.fixture
def cnn(tmp_path: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = witt.create_model("deepjscc")
    witt.save_weights(tmp_path / "cnn.safetensors", model, {})
    return tmp_path / "cnn.safetensors"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    return int(stop.value.code or 0), *capsys.readouterr()


def test_coded_or_ideal(
    folder: Path, cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {way: tmp_path / f"{way}.json" for way in ("coded", "ideal")}
    for way, path in paths.items():
        told = () if way == "coded" else IDEAL
        words = ("benchmark", folder, "--schemes", f"mine={cnn},softcast", "--snr", "4,10")
        code, out, err = run(capsys, *words, "--no-ms-ssim", "-o", path, *told)
        assert code == 0, err
        assert ("mine, ideal side information" in out) == (way == "ideal")
    coded, ideal = (read_results(path) for path in paths.values())
    assert [is_ideal(each.head["schemes"]["mine"]) for each in (coded, ideal)] == [False, True]
    cell = next(cell for cell in coded.cells if cell.scheme == "mine" and cell.snr_db == 10)
    # The header is on top of the CBR asked for, counted, and no reason to drop the picture.
    assert np.array_equal(coded.column(cell, "psnr_db"), ideal.column(cell, "psnr_db"))
    assert not np.isnan(coded.column(cell, "psnr_db")).any()
    on_top = coded.info(cell, "uses_on_top")
    assert on_top == coded.info(cell, "side_uses")
    more = coded.column(cell, "channel_uses") - ideal.column(cell, "channel_uses")
    assert more.tolist() == on_top
    assert coded.mean(cell, "cbr") > ideal.mean(cell, "cbr")
    for results, named in ((coded, False), (ideal, True)):
        (chart,) = charts([results])
        assert any("mine: ideal side information." in note for note in chart.notes) == named
    # A file holds one of them.
    words = ("benchmark", folder, "--schemes", f"mine={cnn}", "--snr", "4,10", "--no-ms-ssim")
    code, _, err = run(capsys, *words, "-o", paths["coded"], *IDEAL)
    assert code == 2
    assert "holds results of another mine (side_information 'coded', not None" in err


def test_files_of_evaluate_are_named_too(
    folder: Path, cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for told in ((), IDEAL):
        path = tmp_path / f"e{len(told)}.json"
        words = ("evaluate", folder, "--weights", cnn, "--snr", "4,10", "--no-ms-ssim", "-o", path)
        assert run(capsys, *words, *told)[0] == 0
        results = read_any(path)
        assert is_ideal(results.head["schemes"]["cnn"]) == bool(told)
        for cell in results.cells:
            assert not np.isnan(results.column(cell, "psnr_db")).any()
    document = json.loads(path.read_text())
    del document["side_information"]  # as files of before are
    for result in document["results"]:
        del result["side_information"]
    path.write_text(json.dumps(document))
    assert is_ideal(read_any(path).head["schemes"]["cnn"])


class Over:
    """A scheme that takes more channel uses than it may, and calls them a header."""

    name = family = "over"

    def __init__(self, more: int, on_top: int) -> None:
        self.more, self.on_top = more, on_top

    def record(self) -> dict[str, object]:
        return {"version": 1}

    def send(self, pictures: list[Pixels], *at: object) -> list[Sent]:
        uses = channel_uses(pictures[0], 1 / 16) + self.more
        return [Sent(pictures[0], uses, {"uses_on_top": self.on_top})]


@pytest.mark.parametrize(
    ("more", "on_top", "counts"),
    [(0, 0, True), (1, 0, False), (108, 108, True), (109, 108, False), (2000, 2000, False)],
)
def test_no_more_than_a_header_comes_on_top(more: int, on_top: int, counts: bool) -> None:
    assert LONGEST_HEADER < 2000
    pixels = np.zeros((64, 64, 3), np.uint8)
    (sent,) = send_checked(Over(more, on_top), [pixels], Link(), 10.0, 1 / 16, [0])
    assert (sent.pixels is not None) == counts
