"""`witt transmit --map`, as it is typed."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import witt
from witt.commands.transmit import command
from witt.pictures.finding import find_images


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [*map(str, words)])


def entry(*words: object) -> dict[str, Any]:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout, parse_constant=pytest.fail)
    return dict(found)


@pytest.mark.parametrize("side", ["ideal", "coded"])
def test_the_map_and_its_figures(weights: Path, picture: Path, tmp_path: Path, side: str) -> None:
    how = ("--weights", weights, "--snr", 14, "--side-information", side, "-o", tmp_path / "out")
    how += ("--no-ms-ssim",)
    with_map, without = entry(picture, *how, "--map"), entry(picture, *how)
    assert with_map["map"] == str(tmp_path / "out" / "photo_map.png")
    assert not {"map", "expected_rmse"} & set(without)
    assert with_map["psnr_db"] == without["psnr_db"]
    assert with_map["uses_per_pixel"] == pytest.approx(with_map["channel_uses"] / (48 * 40))
    assert with_map["measured_rmse"] == pytest.approx(255 * 10 ** (-with_map["psnr_db"] / 20))
    assert with_map["expected_rmse"] > 0
    with Image.open(with_map["map"]) as drawn:
        assert min(drawn.size) > 500
    # It is a result, and no picture to send.
    with pytest.raises(witt.InputError, match=r"no pictures in this folder .* photo_map\.png"):
        find_images([tmp_path / "out"])


def test_a_codec_that_expects_nothing_says_so(picture: Path, tmp_path: Path) -> None:
    """Once, however many pictures."""
    witt.write_png(picture.with_name("b.png"), np.zeros((40, 48, 3), np.uint8))
    how = ("--weights", "deepjscc", "-o", tmp_path / "out", "--no-ms-ssim", "--map", "--json")
    done = run(picture.parent, *how)
    assert done.exit_code == 0, done.output
    says = "the map has no expected error: deepjscc cannot say"
    assert done.stderr.count(says) == 1
    found = json.loads(done.stdout)
    for each in found:
        assert each["expected_rmse"] is None
        assert math.isfinite(each["measured_rmse"])
        assert sum(says in note for note in each["notes"]) == 1
        assert Path(each["map"]).is_file()


@pytest.mark.filterwarnings("ignore:a picture of 48x40 pixels cannot be sent")
@pytest.mark.filterwarnings("ignore:SNR -20 dB is outside")
@pytest.mark.filterwarnings("ignore:.* was lost")
def test_of_a_lost_picture_it_says_that(weights: Path, picture: Path, tmp_path: Path) -> None:
    done = run(picture, "--weights", weights, "--snr=-20", "-o", tmp_path, "--map", "--no-ms-ssim")
    assert done.exit_code == 0, done.output
    assert "no expected error: its side information was lost" in done.stderr
    assert "photo_map.png" in done.stdout


def test_an_input_is_not_replaced_by_a_map(weights: Path, picture: Path) -> None:
    other = picture.with_name("photo_map.png")
    witt.write_png(other, np.zeros((40, 48, 3), np.uint8))
    how = ("--weights", weights, "-o", picture.parent, "--no-ms-ssim")
    done = run(picture, other, *how, "--map")
    assert done.exit_code != 0
    assert isinstance(done.exception, witt.InputError)
    assert "photo_map.png: would be replaced, but is an input" in str(done.exception)
