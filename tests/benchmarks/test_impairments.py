"""What radios cost: nothing where nothing is wrong, and a figure comes of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import channels
import witt
from benchmarks.impairments import FORMAT, SWEEPS, command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    witt.write_png(tmp_path / "photos" / "0.png", pixels)
    return tmp_path / "photos"


def test_every_sweep_has_cases() -> None:
    for sweep in SWEEPS.values():
        for case_of in sweep.lines.values():
            for value in sweep.values:
                channels.check_channel(case_of(value).channel)


def test_each_sweep_costs_nothing_where_nothing_is_wrong(
    photos: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "impairments.json"
    what = "belief,offset,clipping,feedback"
    found = run("--data", photos, "--weights", weights, "--what", what, "--snr", 7, "--out", out)
    assert found.exit_code == 0, found.output
    document = json.loads(out.read_text())
    assert document["format"] == FORMAT
    psnr = document["codecs"][str(weights)]["psnr_db"]
    assert list(psnr) == list(document["sweeps"]) == what.split(",")
    for each in psnr:
        for values in psnr[each].values():
            assert np.array(values).shape == (len(SWEEPS[each].values), 1)
    ideal = psnr["belief"]["both"][2]
    assert psnr["belief"]["transmitter alone"][2] == psnr["belief"]["receiver alone"][2] == ideal
    assert psnr["offset"]["phase tracked"][0] == pytest.approx(ideal, abs=1e-4)
    assert psnr["clipping"]["hard"][-1] == pytest.approx(ideal, abs=0.05)
    assert (tmp_path / "out" / "impairments.png").stat().st_size > 10_000
    again = run("--figure", out, "--out", tmp_path / "out" / "again.json")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "out" / "again.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", ".", "--what", "rust"), "unknown sweep 'rust': choose from clipping, offset"),
        ((), "name what to measure: --data DIR"),
    ],
)
def test_refused(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    found = run(*arguments, "--out", tmp_path / "x.json")
    assert found.exit_code == 1
    assert message in found.output
    assert not (tmp_path / "x.json").exists()
