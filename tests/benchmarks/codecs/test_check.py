"""The comparison with BPG's line."""

from math import isnan
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.codecs import codec
from benchmarks.codecs.check import BPG_PSNR_DB, BPG_RATE, bpg_psnr_db, command, measure
from witt.pictures.images import Pixels
from witt.pictures.writing import write_png


@pytest.fixture
def folder(tmp_path: Path, pixels: Pixels, others: Pixels) -> Path:
    for name, picture in (("a.png", pixels), ("b.png", others)):
        write_png(tmp_path / name, picture)
    return tmp_path


def test_the_line_of_bpg() -> None:
    assert [bpg_psnr_db(rate) for rate in BPG_RATE] == pytest.approx(BPG_PSNR_DB)
    middle = bpg_psnr_db((BPG_RATE[1] * BPG_RATE[2]) ** 0.5)
    assert middle == pytest.approx((BPG_PSNR_DB[1] + BPG_PSNR_DB[2]) / 2)
    assert isnan(bpg_psnr_db(0.05))
    assert isnan(bpg_psnr_db(1.3))


def test_means_are_over_pictures(pixels: Pixels, others: Pixels) -> None:
    own = codec("jpeg")
    point = measure(own, [pixels, others], 30)
    encoded = [own.encode(picture, 30) for picture in (pixels, others)]
    area = pixels.shape[0] * pixels.shape[1]
    assert point.rate == pytest.approx(sum(8 * e.payload_bytes / area for e in encoded) / 2)
    assert point.file_rate == pytest.approx(sum(8 * e.file_bytes / area for e in encoded) / 2)
    errors = [
        np.mean((e.pixels.astype(float) - picture) ** 2)
        for e, picture in zip(encoded, (pixels, others), strict=True)
    ]
    assert point.psnr_db == pytest.approx(np.mean(10 * np.log10(255**2 / np.array(errors))))


def test_prints_a_row_for_each_quality(folder: Path) -> None:
    result = CliRunner().invoke(command, [str(folder), "--codec", "jpeg", "--quality", "20, 50"])
    assert result.exit_code == 0
    assert "jpeg, 2 pictures" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.strip()[:2].isdigit()]
    assert [row[0] for row in rows] == ["20", "50"]
    assert float(rows[0][1]) < float(rows[1][1])
    six = CliRunner().invoke(command, [str(folder), "--codec", "jpeg", "--limit", "1"])
    assert "quality 100 done" in six.stderr
    assert "jpeg, 1 pictures" in six.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--codec", "h264"], "no codec is called 'h264'"),
        (["--codec", "jpeg", "--quality", "20,x"], "--quality 'x': jpeg has 1 to 100"),
        (["--codec", "vtm"], "is not on PATH"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    result = CliRunner().invoke(command, [str(folder), *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(tmp_path), "--codec", "jpeg"])
    assert result.exit_code == 2
    assert "no pictures" in result.stderr
