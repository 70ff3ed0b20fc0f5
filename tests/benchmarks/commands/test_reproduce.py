"""`witt reproduce`: figures by name, with fakes in place of the schemes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import witt
from benchmarks.commands.plot import command as plot
from benchmarks.commands.reproduce import command
from benchmarks.figures.paper import FIGURES, Crop, pick, quick
from benchmarks.figures.visual import draw_visual, read_visual
from benchmarks.schemes.scheme import Scheme
from benchmarks.sweep.results import read_results
from benchmarks.sweep.sweep import Maker
from witt.errors import InputError
from witt.lock import sole_writer


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
    done = reproduce(make, data, "kodak-awgn-snr", "--quick", "--schemes", "witt_light,hevc+ldpc")
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
    options = ["--quick", "--schemes", "witt_light", "--weights", f"witt_light={notes}"]
    assert reproduce(make, data, *names, *options).exit_code == 0
    assert len(notes.read_text().splitlines()) == 4 * 5
    assert (data / "out" / "kodak-msssim-snr-quick.svg").exists()
    assert not (data / "out" / "kodak-msssim-snr-quick.json").exists()


def test_cifar_in_two_files(make: Maker, data: Path) -> None:
    done = reproduce(make, data, "cifar10-awgn-cbr", "--schemes", "softcast,hevc+capacity")
    assert done.exit_code == 0, done.exception
    out = data / "out"
    assert read_results(out / "cifar10-awgn-cbr.json").pictures == 300
    digital = read_results(out / "cifar10-awgn-cbr-digital.json")
    assert {cell.scheme for cell in digital.cells} == {"hevc+capacity"}
    assert [each.name for each in digital.quantities] == ["psnr"]


def test_visual_comparison(make: Maker, data: Path) -> None:
    done = reproduce(make, data, "visual", "--schemes", "witt_light,softcast")
    assert done.exit_code == 0, done.exception
    out = data / "out"
    record = read_visual(out / "visual.json")
    assert record is not None
    assert [(e["scheme"], e["snr_db"]) for e in record["entries"]] == [
        ("witt_light", 1.0),
        ("witt_light", 10.0),
        ("softcast", 1.0),
        ("softcast", 10.0),
    ]
    drawn = [axes.get_xlabel() for axes in draw_visual(record).axes]
    assert drawn[0] == "Original\nSNR 1 dB →"
    assert drawn[1] == f"witt_light (classified code)\n{record['entries'][0]['psnr_db']:.2f} dB"
    # witt plot draws the same file again.
    done = CliRunner().invoke(plot, [str(out / "visual.json"), "-o", str(data / "again")])
    assert done.exit_code == 0, done.exception
    assert (data / "again" / "visual.png").read_bytes() == (out / "visual.png").read_bytes()


def test_damaged_comparison(make: Maker, data: Path) -> None:
    assert reproduce(make, data, "visual", "--schemes", "softcast").exit_code == 0
    path = data / "out" / "visual.json"
    document = json.loads(path.read_text())
    document["entries"][0]["png"] = document["original"][:100]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"visual\.json: is damaged"):
        read_visual(path)


def test_weights_that_are_not_there_are_left_out(
    make: Maker, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witt.store.weights.shipped", lambda: {"witt_light": Path("unread")})
    done = reproduce(make, data, "visual")
    assert done.exit_code == 0, done.exception
    assert "left out of visual, for want of weights: deepjscc, witt_base;" in done.stderr
    schemes = {
        e["scheme"] for e in json.loads((data / "out" / "visual.json").read_text())["entries"]
    }
    assert schemes == {"witt_light", "softcast", "hevc+ldpc", "hevc+nr"}


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


def test_the_name_of_the_paper(make: Maker, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "witt" says which weights it is; in a figure of tiles it is the one for them."""
    there = dict.fromkeys(("witt_light", "witt_cifar_light"), Path("unread"))
    monkeypatch.setattr("benchmarks.schemes.registry.shipped", lambda: there)
    done = reproduce(make, data, "visual", "cifar10-awgn-cbr", "--schemes", "witt,deepjscc")
    assert done.exit_code == 0, done.exception
    assert "Note: witt is witt_light here: witt_base, the network of the paper" in done.stderr
    assert "Note: witt is witt_cifar_light here: witt_cifar, the network" in done.stderr
    cells = read_results(data / "out" / "cifar10-awgn-cbr.json").cells
    assert {cell.scheme for cell in cells} == {"witt_cifar_light", "deepjscc_cifar"}


def test_weights_that_nothing_asks_for(make: Maker, data: Path) -> None:
    error = reproduce(make, data, "visual", "--weights", "witt=x").exception
    assert isinstance(error, InputError)
    assert "--weights witt=…: no scheme is called so here, only witt_base, " in str(error)


def test_a_scheme_that_fails_costs_the_others_nothing(make: Maker, data: Path) -> None:
    """Both in a sweep and in the comparison; named at the end, and the exit code tells."""

    def failing(names: Sequence[str], weights: Mapping[str, str]) -> Sequence[Scheme]:
        schemes = list(make(names, weights))
        for scheme in schemes:
            if scheme.name == "softcast":
                scheme.send = lambda *_: 1 / 0
        return schemes

    options = ["--quick", "--schemes", "softcast,witt_light"]
    done = reproduce(failing, data, "kodak-rayleigh-snr", "visual", *options)
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith(
        "kodak-rayleigh-snr-quick: softcast failed at 5 of 5 conditions, which are tried again "
        "next time: ZeroDivisionError: division by zero (test_reproduce.py, line "
    )
    assert "; visual-quick: softcast failed: ZeroDivisionError" in str(done.exception)
    out = data / "out"
    results = read_results(out / "kodak-rayleigh-snr-quick.json")
    done_cells = {cell.scheme for cell in results.cells if results.finished(cell)}
    assert done_cells == {"witt_light"}
    assert (out / "kodak-rayleigh-snr-quick.png").exists()
    record = read_visual(out / "visual-quick.json")
    assert record is not None
    assert [e["scheme"] for e in record["entries"] if e["png"] is None] == ["softcast"] * 2
    # Mended, the same command goes on.
    assert reproduce(make, data, "kodak-rayleigh-snr", *options).exit_code == 0
    results = read_results(out / "kodak-rayleigh-snr-quick.json")
    assert all(results.finished(cell) for cell in results.cells)
    assert not any(results.failed(cell) for cell in results.cells)


def test_a_second_writer_is_refused(make: Maker, data: Path) -> None:
    """Whoever it is that writes one of the files: `witt benchmark` may, too."""
    (data / "out").mkdir()
    for figure, file in (
        ("kodak-rayleigh-snr", "kodak-rayleigh-snr-quick"),
        ("visual", "visual-quick"),
    ):
        with sole_writer(data / "out" / f"{file}.json"):
            error = reproduce(make, data, figure, "--quick", "--schemes", "softcast").exception
        assert isinstance(error, InputError)
        assert "another witt process is writing it" in str(error)
        assert list((data / "out").iterdir()) == []


def test_crop() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    np.testing.assert_array_equal(Crop(1, 2, 3, 1).of(pixels), pixels[2:3, 1:4])
