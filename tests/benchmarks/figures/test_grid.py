"""The heat map of a grid: what it writes is what is in the file."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import witt
from benchmarks.commands.plot import command
from benchmarks.figures.grid import draw_grid, read_grid_results
from benchmarks.figures.plot import paper_style


def document() -> dict[str, Any]:
    """Two models on two domains at two CBRs; one model does not serve the second CBR."""
    matrix = {"cbr_label": "1/12", "psnr_db": [[30.0, 20.5], [27.25, 24.0]],
              "loss_db": [[0.0, 3.5], [2.75, 0.0]]}  # fmt: skip
    part = {"cbr_label": "1/3", "psnr_db": [[31.0, None], [None, None]],
            "loss_db": [[0.0, None], [None, None]]}  # fmt: skip
    return {
        "format": "witt-grid-1",
        "snr_db": [1.0, 7.0],
        "models": [{"name": "A"}, {"name": "B"}],
        "domains": [{"name": "a", "specialist": "A"}, {"name": "b", "specialist": "B"}],
        "matrices": [matrix, part],
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "grid.json"
    file.write_text(json.dumps(document()))
    return file


def test_what_is_written_in_the_cells(path: Path) -> None:
    read = read_grid_results(path)
    assert read is not None
    with paper_style():
        first, second = draw_grid(read).axes[:2]
    words = [[text.get_text() for text in axes.texts] for axes in (first, second)]
    assert words[0] == ["30.00", "20.50\n(3.50)", "27.25\n(2.75)", "24.00"]
    assert words[1] == ["31.00", "–", "–", "–"]
    shown = first.images[0].get_array()
    assert shown is not None
    assert shown.tolist() == [[0, 3.5], [2.75, 0]]
    assert second.images[0].get_clim() == (0, 3.5)  # one scale for all


def test_witt_plot_draws_it(path: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(command, [str(path), "-o", str(tmp_path / "out")])
    assert found.exit_code == 0, (found.output, found.exception)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["grid.png", "grid.svg"]


def test_a_damaged_one_is_refused(path: Path) -> None:
    broken = document()
    del broken["matrices"][0]["psnr_db"][1]
    path.write_text(json.dumps(broken))
    with pytest.raises(witt.InputError, match=r"is damaged \(ValueError: psnr_db is"):
        read_grid_results(path)
    path.write_text("{}")
    assert read_grid_results(path) is None
