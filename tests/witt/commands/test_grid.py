"""`witt evaluate --grid`: its cells are those of witt evaluate, and each is measured once."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import witt
from witt.commands.evaluate import command
from witt.commands.grid_file import read_grid
from witt.link import grid as of_grid
from witt.report import file_sha256

SHEET = 1024  # pixels of a row of 32 tiles


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two untrained models and two sets of pictures."""
    folder = tmp_path_factory.mktemp("grid")
    with torch.random.fork_rng(devices=[]):
        for seed, name in enumerate(("first", "second")):
            torch.manual_seed(seed)
            witt.save_weights(folder / f"{name}.safetensors", witt.create_model("deepjscc"), {})
        torch.manual_seed(2)
        other = witt.create_model("deepjscc", channels=12)
        witt.save_weights(folder / "other.safetensors", other, {})
    random = np.random.default_rng(0)
    for name, count in (("noise", 3), ("dark", 2)):
        (folder / name).mkdir()
        for number in range(count):
            pixels = random.integers(0, 256 if name == "noise" else 60, (20, 24, 3), dtype=np.uint8)
            witt.write_png(folder / name / f"{number}.png", pixels)
    return folder


GRID = """
[[model]]
name = "A"
weights = "first.safetensors"
[[model]]
name = "B"
weights = "second.safetensors"
[[domain]]
name = "dark, Rayleigh"
channel = "rayleigh"
data = "dark"
specialist = "B"
[[domain]]
name = "noise"
data = "noise"
specialist = "A"
limit = 2
[[domain]]
name = "nobody's"
data = "dark"
"""
GIVEN = ("--snr", "1,10", "--cbr", "1/24")


@pytest.fixture
def grid(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `witt evaluate --grid` on a file of this text."""
    monkeypatch.chdir(place)

    def run(text: str, *arguments: object, name: str = "grid.toml") -> Result:
        (tmp_path / name).write_text(text)
        words = ("--grid", tmp_path / name, *arguments)
        return CliRunner().invoke(command, [str(word) for word in words])

    return run


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[of_grid.Place]:
    """The cells that were sent, as they are sent."""
    cells: list[of_grid.Place] = []
    real = of_grid._sent

    def counted(place: of_grid.Place, *rest: Any) -> Any:
        cells.append(place)
        return real(place, *rest)

    monkeypatch.setattr(of_grid, "_sent", counted)
    return cells


def served(place: Path) -> str:
    """The only CBR of the two models."""
    low, _ = witt.load(place / "first.safetensors").served_cbr
    return f"{low:.17g}"


def test_the_matrix_is_that_of_separate_evaluations(
    grid: Callable[..., Result], place: Path, tmp_path: Path
) -> None:
    """Rows and columns in the order of the file; a specialist loses nothing to itself."""
    cbr, out = served(place), tmp_path / "out" / "grid.json"
    found = grid(GRID, "--snr", "1,10", "--cbr", cbr, "-o", out)
    assert found.exit_code == 0, (found.output, found.exception)
    document = json.loads(out.read_text())
    assert document["format"] == "witt-grid-1"
    assert document["complete"] is True
    assert [model["name"] for model in document["models"]] == ["A", "B"]
    digests = [file_sha256(place / f"{name}.safetensors") for name in ("first", "second")]
    assert [model["weights"]["sha256"] for model in document["models"]] == digests
    names = [domain["name"] for domain in document["domains"]]
    assert names == ["dark, Rayleigh", "noise", "nobody's"]
    assert [domain["dataset"]["pictures"] for domain in document["domains"]] == [2, 2, 2]
    (matrix,) = document["matrices"]
    expected = np.zeros((2, 3))
    for row, weights in enumerate(("first", "second")):
        for column, (data, channel) in enumerate(
            (("dark", "rayleigh"), ("noise", "awgn"), ("dark", "awgn"))
        ):
            words = (data, "--weights", f"{weights}.safetensors", "--channel", channel)
            more = ("--snr", "1,10", "--cbr", cbr, "--limit", "2", "--no-ms-ssim", "--json")
            alone = CliRunner().invoke(command, [*words, *more])
            assert alone.exit_code == 0, alone.output
            record = json.loads(alone.stdout)
            expected[row, column] = np.mean([each["psnr_db"] for each in record["results"]])
    assert np.array(matrix["psnr_db"]) == pytest.approx(expected, abs=1e-9)
    loss = matrix["loss_db"]
    assert loss[1][0] == loss[0][1] == 0
    assert loss[0][0] == pytest.approx(expected[1, 0] - expected[0, 0], abs=1e-9)
    assert loss[1][1] == pytest.approx(expected[0, 1] - expected[1, 1], abs=1e-9)
    assert abs(loss[0][0]) > 0.01  # else the above says little
    assert [row[2] for row in loss] == [None, None]
    for text in ("(0.00)", "(–)", f"{expected[0, 0]:.2f} ({loss[0][0]:.2f})"):
        assert text in found.output


def test_no_cell_is_sent_twice(
    grid: Callable[..., Result], place: Path, sent: list[of_grid.Place], tmp_path: Path
) -> None:
    """Neither under another name, nor by a later run; more of them add to what is there."""
    cbr, out = served(place), tmp_path / "o.json"
    again = '[[model]]\nname = "A again"\nweights = "first.safetensors"\n'
    more = '[[domain]]\nname = "noise again"\ndata = "noise"\nlimit = 2\n'
    assert grid(GRID + again + more, "--snr", "7", "--cbr", cbr, "-o", out).exit_code == 0
    assert len(sent) == 2 * 3
    document = json.loads(out.read_text())
    (matrix,) = document["matrices"]
    assert matrix["psnr_db"][2] == matrix["psnr_db"][0]
    assert [row[3] for row in matrix["psnr_db"]] == [row[1] for row in matrix["psnr_db"]]
    assert len(document["cells"]) == 6
    found = grid(GRID, "--snr", "7,8", "--cbr", cbr, "-o", out)
    assert f"{out}: 6 of 12 cells are there" in found.output
    assert [each.condition.snr_db for each in sent[6:]] == [8.0] * 6
    assert grid(GRID, "--snr", "7", "--cbr", cbr, "-o", out, "--seed", 1).exit_code == 0
    assert len(sent) == 18  # another seed, other noise


def test_it_goes_on_after_an_interruption(
    grid: Callable[..., Result],
    place: Path,
    sent: list[of_grid.Place],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cbr, out, real = served(place), tmp_path / "o.json", of_grid._sent

    def broken(each: of_grid.Place, *rest: Any) -> Any:
        if len(sent) == 4:
            raise KeyboardInterrupt
        return real(each, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(of_grid, "_sent", broken)
        assert grid(GRID, "--snr", "7", "--cbr", cbr, "-o", out).exit_code != 0
    document = json.loads(out.read_text())
    assert document["complete"] is False
    assert len(document["cells"]) == 4
    (matrix,) = document["matrices"]
    assert [None in row for row in matrix["psnr_db"]] == [False, True]
    assert grid(GRID, "--snr", "7", "--cbr", cbr, "-o", out).exit_code == 0
    assert len(sent) == 6
    whole = json.loads(out.read_text())
    assert whole["cells"][:4] == document["cells"]
    assert whole["complete"] is True
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_a_model_that_does_not_serve_a_cbr_has_no_cell(
    grid: Callable[..., Result], place: Path
) -> None:
    cbr = served(place)
    other = '[[model]]\nweights = "other.safetensors"\n'
    found = grid(GRID + other, "--snr", "7", "--cbr", cbr, "--json")
    assert found.exit_code == 0, found.output
    (matrix,) = json.loads(found.stdout)["matrices"]
    assert matrix["psnr_db"][2] == [None] * 3
    assert not any(None in row for row in matrix["psnr_db"][:2])
    assert "other, noise: CBR" in found.stderr
    with_none = grid(GRID, "--snr", "7", "--cbr", "1")
    assert isinstance(with_none.exception, witt.InputError)
    assert "is not served" in str(with_none.exception)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[model", "not a settings file"),
        ("snr = 3\n" + GRID, "unknown 'snr': a grid has [[model]] and [[domain]]"),
        ('[[model]]\nweights = "first.safetensors"\n', "it has no [[domain]]"),
        ('[model]\nweights = "first.safetensors"\n', "it has no [[model]]"),
        (GRID.replace('weights = "first.safetensors"', ""), "[[model]] 1: has no weights"),
        (GRID.replace('specialist = "A"', 'specialist = "C"'), "no model called 'C'; choose from"),
        (GRID.replace('name = "B"', 'name = "A"'), "two entries of [[model]] are called 'A'"),
        (GRID.replace("limit = 2", "limit = 0"), "limit = 0: 1 or more"),
        (GRID.replace("limit = 2", 'limit = "2"'), "limit = '2': must be a whole number"),
        (GRID.replace("limit = 2", "limits = 2"), "unknown 'limits'; choose from data, channel"),
        (GRID.replace('"rayleigh"', '"fog"'), "unknown channel 'fog'"),
        (GRID.replace("first.s", "third.s"), "third.safetensors: no such weights file"),
        (GRID.replace('data = "noise"', 'data = "nowhere"'), "nowhere"),
    ],
)
def test_a_bad_file_gives_one_line(grid: Callable[..., Result], text: str, says: str) -> None:
    found = grid(text, *GIVEN)
    assert isinstance(found.exception, witt.InputError), found.output
    message = str(found.exception)
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("noise",), "DIR does not go with --grid"),
        (("--weights", "witt_light"), "--weights does not go with --grid"),
        (("--channel", "awgn"), "--channel does not go with --grid"),
        (("--adapt", 2), "--adapt does not go with --grid"),
        (("--no-ms-ssim", "--metric", "psnr"), "--metric does not go with --grid"),
    ],
)
def test_what_the_file_settles_is_not_asked_for(
    grid: Callable[..., Result], arguments: tuple[object, ...], says: str
) -> None:
    found = grid(GRID, *arguments)
    assert says in str(found.exception)


def test_the_file_itself_is_kept(grid: Callable[..., Result], place: Path, tmp_path: Path) -> None:
    found = grid(GRID, "--snr", "7", "--cbr", served(place), "-o", tmp_path / "grid.toml")
    assert "is the grid itself" in str(found.exception)
    assert (tmp_path / "grid.toml").read_text() == GRID


def test_without_a_grid_there_must_be_pictures() -> None:
    found = CliRunner().invoke(command, ["--snr", "3"])
    assert found.exit_code == 2
    assert "Missing argument 'DIR...'" in found.output


def test_json_and_names(tmp_path: Path) -> None:
    """A grid may be JSON; names that were left out tell what there is."""
    path = tmp_path / "g.json"
    model = {"weights": "runs/mine/weights.safetensors"}
    path.write_text(json.dumps({"model": [model], "domain": [{"data": "a/photos"}]}))
    read = read_grid(path)
    assert [each.name for each in read.models] == ["mine"]
    assert [each.name for each in read.domains] == ["photos, AWGN"]


def test_the_loss_of_what_is_missing_is_unknown() -> None:
    """A mean over SNRs needs all of them."""
    assert math.isnan(of_grid._mean([20.0, math.nan]))
