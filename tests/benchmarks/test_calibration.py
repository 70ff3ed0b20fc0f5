"""The calibration of expected errors: of codecs that are right, wrong, and silent."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

import channels
import witt
from benchmarks.calibration import FORMAT, command, measure
from benchmarks.sweep.dataset import open_dataset
from witt.link.conditions import Link

ROUNDING = 1 / 12 / 255**2  # squared error of the 8-bit picture


class Graded(witt.Codec):
    """Sends pixels as they are, lower rows with less power, and knows what error that makes.

    Args:
        belief: factor of the mean squared error that it expects; 1 is right.
    """

    def __init__(self, belief: float = 1.0) -> None:
        super().__init__()
        self.belief = belief

    def gain(self, size: tuple[int, int]) -> Tensor:
        """Of each row."""
        return torch.logspace(0, -1, size[0], dtype=torch.float32)[:, None]

    def encode(self, image: Tensor, snr_db: float | Tensor, cbr: Any = None) -> witt.Encoded:
        values = (image - 0.5) * self.gain((image.shape[2], image.shape[3]))
        symbols = torch.view_as_complex(values.reshape(len(image), -1, 2))
        sent = channels.normalise_power(symbols)
        scale = witt.SideInformation(sent.scale, 16)
        return witt.Encoded(sent.x, witt.Header.of(image, snr_db, scale=scale))

    def decode(self, symbols: Tensor, header: witt.Header, noise_var: Any = None) -> Tensor:
        scale = header.get("scale")
        values = (torch.view_as_real(symbols) / scale[..., None]).reshape(-1, 3, *header.size)
        return values / self.gain(header.size) + 0.5

    def regions(self, symbols: Tensor, header: witt.Header, noise_var: Any = None) -> witt.Regions:
        even = super().regions(symbols, header, noise_var)
        noise = 10 ** (-header.snr_db / 10) / 2 / header.get("scale")[:, 0].square()
        mse = noise[:, None, None] / self.gain(header.size).square() + ROUNDING
        return even._replace(mse=self.belief * mse.expand_as(even.uses))


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    """Two dim pictures, far from the ends of the range, one of odd size."""
    generator = np.random.default_rng(0)
    (tmp_path / "greys").mkdir()
    for index, size in enumerate(((64, 96), (62, 49))):
        pixels = generator.integers(118, 139, (*size, 3), dtype=np.uint8)
        witt.write_png(tmp_path / "greys" / f"{index}.png", pixels)
    return tmp_path / "greys"


@pytest.mark.parametrize("belief", [1.0, 0.5])
def test_a_codec_that_is_right_lies_on_the_diagonal(greys: Path, belief: float) -> None:
    """And one that expects half of the error lies √2 above it."""
    found = measure(Graded(belief), open_dataset(greys), Link(), 12.0, 1.0, 0)
    assert sum(each["pixels"] for each in found["bins"]) == 64 * 96 + 62 * 49
    assert len(found["bins"]) >= 5
    for each in found["bins"]:
        ratio = each["measured_rmse"] / each["expected_rmse"]
        assert each["estimate_rmse"] == each["measured_rmse"]
        # Of 3 values a pixel; a root has half the relative deviation of its square.
        deviation = math.sqrt(2 / (3 * each["pixels"])) / 2
        assert abs(ratio * math.sqrt(belief) - 1) < 4 * deviation
        assert each["measured_p5"] <= each["measured_p95"]
    whole = found["measured_rmse"] / found["expected_rmse"]
    assert abs(whole * math.sqrt(belief) - 1) < 0.03
    # The bins are of rising error, from rows of much power to rows of little.
    expected = [each["expected_rmse"] for each in found["bins"]]
    assert expected == sorted(expected)
    assert expected[-1] > 5 * expected[0]


def test_bins_and_pictures_sum_to_the_whole(greys: Path) -> None:
    found = measure(Graded(), open_dataset(greys), Link(), 12.0, 1.0, 0)
    for key in ("expected_rmse", "measured_rmse"):
        pixels = np.array([each["pixels"] for each in found["bins"]])
        of_bins = np.average([each[key] ** 2 for each in found["bins"]], weights=pixels)
        of_pictures = np.average(
            [each[key] ** 2 for each in found["images"]], weights=[64 * 96, 62 * 49]
        )
        assert of_bins == pytest.approx(found[key] ** 2)
        assert of_pictures == pytest.approx(found[key] ** 2)


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [*map(str, words)])


def test_the_command_measures_and_draws(greys: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "calibration.json"
    done = run(
        *("--data", greys, "--weights", weights, "--snr", "1,7", "--out", out),
        *("--channel", "awgn,rayleigh", "--limit", 1),
    )
    assert done.exit_code == 0, done.output
    document = json.loads(out.read_text())
    assert document["format"] == FORMAT
    (entry,) = document["codecs"].values()
    told = [(each["channel_label"], each["snr_db"]) for each in entry["conditions"]]
    assert told == [(name, snr) for name in ("AWGN", "Rayleigh, fast fading") for snr in (1, 7)]
    for each in entry["conditions"]:
        assert sum(of["pixels"] for of in each["bins"]) == 64 * 96
        assert len(each["images"]) == 1
    again = run("--figure", out, "--out", tmp_path / "again" / "figure")
    assert again.exit_code == 0, again.output
    for kind in ("png", "svg"):
        drawn = (tmp_path / "again" / f"figure.{kind}").read_bytes()
        assert drawn == out.with_suffix(f".{kind}").read_bytes()
        assert len(drawn) > 10_000


def test_says_what_cannot_be_done(greys: Path, tmp_path: Path) -> None:
    done = run("--out", tmp_path / "a.json")
    assert done.exit_code == 1
    assert "name the pictures: --data DIR" in done.output
    done = run("--out", tmp_path / "a.json", "--data", greys, "--weights", "deepjscc", "--snr", 1)
    assert done.exit_code == 1
    assert "deepjscc expects no error, so there is nothing to compare with" in done.output
    assert not (tmp_path / "a.json").exists()
