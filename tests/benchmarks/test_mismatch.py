"""What a wrong SNR costs: the three ways agree where nothing is wrong, and a figure comes of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import witt
from benchmarks.mismatch import FORMAT, WAYS, command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for index in range(2):
        pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        witt.write_png(tmp_path / "photos" / f"{index}.png", pixels)
    return tmp_path / "photos"


@pytest.mark.parametrize("channel", ["awgn", "rayleigh"])
def test_all_ways_agree_at_the_snr_that_was_told(
    photos: Path, weights: Path, tmp_path: Path, channel: str
) -> None:
    out = tmp_path / "out" / "mismatch.json"
    found = run(
        *("--data", photos, "--weights", f"{weights},deepjscc", "--told", 7),
        *("--snr", "4,7,10", "--channel", channel, "--out", out),
    )
    assert found.exit_code == 0, found.output
    document = json.loads(out.read_text())
    assert (document["format"], document["true_db"]) == (FORMAT, [4, 7, 10])
    for codec, entry in document["codecs"].items():
        values = {way: np.array(entry["psnr_db"][way]) for way in WAYS}
        assert all(each.shape == (3, 2) for each in values.values())
        for way in WAYS:  # within the rounding of the equaliser
            assert values[way][1] == pytest.approx(values["known"][1], abs=0.01)
        blind = codec == "deepjscc" and channel == "awgn"  # it is told no SNR and hears none
        assert np.allclose(values["believed"][0], values["known"][0], atol=1e-3) == blind
    drawn = run("--figure", out, "--figure", out, "--out", tmp_path / "out" / "figure")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000


def test_says_what_is_missing(tmp_path: Path) -> None:
    found = run("--out", tmp_path / "a.json")
    assert found.exit_code == 1
    assert "name what to measure" in found.output
