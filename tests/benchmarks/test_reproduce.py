"""`witt reproduce`: figures by name, with fakes in place of the schemes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import witt
from benchmarks.figures import FIGURES, Crop, pick, quick
from benchmarks.plot_command import command as plot
from benchmarks.reproduce import command
from benchmarks.results import read_results
from benchmarks.scheme import Scheme
from benchmarks.sweep import Maker
from benchmarks.visual import draw_visual, read_visual
from witt.errors import InputError


@pytest.fixture
def data(tmp_path: Path, cifar: Path) -> Path:
    """A data folder: four small pictures and a large one as Kodak's, and CIFAR-10 sheets."""
    (tmp_path / "kodak").mkdir()
    rng = np.random.default_rng(1)
    for index in (1, 2, 3, 4, 19):
        size = (768, 512, 3) if index == 19 else (66, 70, 3)
        pixels = rng.integers(0, 256, size, dtype=np.uint8)
        witt.write_png(tmp_path / "kodak" / f"kodim{index:02}.png", pixels)
    return tmp_path


@pytest.fixture
def make(fake_schemes: Maker) -> Maker:
    """Fakes for any name, each a family of its own."""

    def make(names: Sequence[str], weights: Mapping[str, str]) -> Sequence[Scheme]:
        return fake_schemes(names, weights)

    return make


def reproduce(make: Maker, data: Path, *arguments: str) -> Result:
    options = ["--data", str(data), "--out", str(data / "out"), *arguments]
    return CliRunner().invoke(command, options, obj=make)


def test_a_figure_of_the_snr(make: Maker, data: Path) -> None:
    done = reproduce(make, data, "kodak-awgn-snr", "--quick", "--schemes", "witt,hevc+ldpc")
    assert done.exit_code == 0, done.exception
    out = data / "out"
    assert {path.name for path in out.iterdir()} == {
        f"kodak-awgn-snr-quick.{suffix}" for suffix in ("json", "png", "svg")
    }
    results = read_results(out / "kodak-awgn-snr-quick.json")
    assert results.dataset["names"] == [f"kodim0{i}.png" for i in (1, 2, 3, 4)]
    assert {cell.snr_db for cell in results.cells} == {1, 4, 7, 10, 13}
    assert "kodak-awgn-snr-quick" in done.stderr  # the table of times
    assert done.stdout.splitlines() == [
        str(out / f"kodak-awgn-snr-quick.{s}") for s in ("png", "svg")
    ]


def test_figures_share_their_results(make: Maker, data: Path) -> None:
    notes = data / "notes"
    names = ("kodak-awgn-snr", "kodak-msssim-snr")
    options = ["--quick", "--schemes", "witt", "--weights", f"witt={notes}"]
    assert reproduce(make, data, *names, *options).exit_code == 0
    assert len(notes.read_text().splitlines()) == 4 * 5
    assert (data / "out" / "kodak-msssim-snr-quick.svg").exists()
    assert not (data / "out" / "kodak-msssim-snr-quick.json").exists()


def test_cifar_in_two_files(make: Maker, data: Path) -> None:
    done = reproduce(make, data, "cifar10-awgn-cbr", "--schemes", "linear,hevc+capacity")
    assert done.exit_code == 0, done.exception
    out = data / "out"
    assert read_results(out / "cifar10-awgn-cbr.json").pictures == 300
    digital = read_results(out / "cifar10-awgn-cbr-digital.json")
    assert {cell.scheme for cell in digital.cells} == {"hevc+capacity"}
    assert not digital.head["ms_ssim"]


def test_visual_comparison(make: Maker, data: Path) -> None:
    done = reproduce(make, data, "visual", "--schemes", "witt,linear")
    assert done.exit_code == 0, done.exception
    out = data / "out"
    record = read_visual(out / "visual.json")
    assert record is not None
    assert [(e["scheme"], e["snr_db"]) for e in record["entries"]] == [
        ("witt", 1.0),
        ("witt", 10.0),
        ("linear", 1.0),
        ("linear", 10.0),
    ]
    drawn = [axes.get_xlabel() for axes in draw_visual(record).axes]
    assert drawn[0] == "Original\nSNR 1 dB →"
    assert drawn[1] == f"WITT\n{record['entries'][0]['psnr_db']:.2f} dB"
    # witt plot draws the same file again.
    done = CliRunner().invoke(plot, [str(out / "visual.json"), "-o", str(data / "again")])
    assert done.exit_code == 0, done.exception
    assert (data / "again" / "visual.png").read_bytes() == (out / "visual.png").read_bytes()


def test_damaged_comparison(make: Maker, data: Path) -> None:
    assert reproduce(make, data, "visual", "--schemes", "witt").exit_code == 0
    path = data / "out" / "visual.json"
    document = json.loads(path.read_text())
    document["entries"][0]["png"] = document["original"][:100]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"visual\.json: is damaged"):
        read_visual(path)


def test_weights_that_are_not_there_are_left_out(
    make: Maker, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witt.weights.shipped", lambda: {"witt_light": Path("unread")})
    done = reproduce(make, data, "visual")
    assert done.exit_code == 0, done.exception
    assert "deepjscc is left out" in done.stderr
    schemes = {
        e["scheme"] for e in json.loads((data / "out" / "visual.json").read_text())["entries"]
    }
    assert schemes == {"witt", "linear", "hevc+ldpc"}


def test_unknown_figures_list_the_names(make: Maker, data: Path) -> None:
    done = reproduce(make, data, "kodak")
    assert isinstance(done.exception, InputError)
    assert all(figure.name in str(done.exception) for figure in FIGURES)


def test_data_that_is_not_there(
    make: Maker, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty" / "here"
    empty.mkdir(parents=True)
    for error, named in (
        (reproduce(make, empty, "visual").exception, "--data is the folder that holds kodak/"),
        (reproduce(make, empty / "x", "visual").exception, "no such folder"),
    ):
        assert isinstance(error, InputError)
        assert named in str(error)
    monkeypatch.chdir(empty)
    done = CliRunner().invoke(command, ["visual"], obj=make)
    assert "give --data" in str(done.exception)


def test_schemes_of_another_figure(make: Maker, data: Path) -> None:
    for figure in ("visual", "kodak-awgn-snr"):
        error = reproduce(make, data, figure, "--schemes", "jpeg+ldpc").exception
        assert isinstance(error, InputError)
        assert "none of them is in" in str(error)


def test_every_figure_of_the_issue() -> None:
    names = {figure.name for figure in FIGURES}
    assert names == {
        "kodak-awgn-snr",
        "kodak-rayleigh-snr",
        "kodak-awgn-cbr",
        "kodak-msssim-snr",
        "cifar10-awgn-snr",
        "cifar10-rayleigh-snr",
        "cifar10-awgn-cbr",
        "visual",
    }
    assert pick(()) == FIGURES
    assert all(bool(figure.sweeps) != bool(figure.visual) for figure in FIGURES)
    limits = {sweep.limit for figure in FIGURES for sweep in quick(figure).sweeps}
    assert limits == {4, 256}


def test_crop() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    np.testing.assert_array_equal(Crop(1, 2, 3, 1).of(pixels), pixels[2:3, 1:4])
