"""Bjøntegaard differences of curves whose difference is known."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figures.bd import Curve, Delta, delta, show_deltas
from benchmarks.sweep.measure import Row, columns
from benchmarks.sweep.results import Cell, Results, open_results
from witt.errors import InputError
from witt.link.conditions import Link
from witt.metrics.metric import MS_SSIM, PSNR

pytest.importorskip("bjontegaard")


def row_of(*values: float) -> Row:
    """PSNR, MS-SSIM, that in dB and as published, channel uses and CBR."""
    return dict(zip(columns([PSNR, MS_SSIM]), values, strict=True))


RATE = np.array([0.01, 0.02, 0.04, 0.08])
QUALITY = 40 + 6 * np.log2(RATE)


def test_the_same_quality_at_half_the_rate() -> None:
    found = delta(Curve(RATE, QUALITY), Curve(RATE / 2, QUALITY))
    assert found.rate_percent == pytest.approx(-50)
    assert found.rate_db == pytest.approx(-10 * math.log10(2))
    assert found.quality_db == pytest.approx(6)


def test_a_constant_gain_and_a_curve_against_itself() -> None:
    found = delta(Curve(RATE, QUALITY), Curve(RATE[::-1], QUALITY[::-1] + 1.5))
    assert found.quality_db == pytest.approx(1.5)
    assert found.rate_percent == pytest.approx(100 * (2 ** (-1.5 / 6) - 1))
    assert delta(Curve(RATE, QUALITY), Curve(RATE, QUALITY)) == pytest.approx((0, 0, 1, 1))


def test_where_curves_do_not_tell() -> None:
    apart = delta(Curve(RATE, QUALITY), Curve(RATE, QUALITY + 100))
    assert math.isnan(apart.rate_percent)
    assert apart.quality_db == pytest.approx(100)
    falling = delta(Curve(RATE, QUALITY), Curve(RATE, [30, 31, 30.5, 32]))
    assert math.isnan(falling.rate_percent)
    assert math.isfinite(falling.quality_db)
    few = delta(Curve(RATE, QUALITY), Curve(RATE, [30, math.nan, math.nan, 32]))
    assert all(map(math.isnan, few))
    assert math.isnan(Delta(-100.0, 0.0).rate_db)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Scheme b needs 2 dB more SNR than a, over SNRs of 0 to 12 dB."""
    dataset = {"name": "x", "pictures": 1, "sha256": "", "names": None, "sizes": []}
    results = open_results(tmp_path / "r.json", dataset, 0, [PSNR, MS_SSIM])
    for scheme, shift in (("a", 0), ("b", 2)):
        for snr in (0.0, 4.0, 8.0, 12.0):
            cell = Cell(scheme, Link(), snr, 1 / 16)
            results.prepare([cell])
            quality = 30 + 0.5 * (snr - shift)
            results.add(cell, 0, [row_of(quality, 0.9, math.nan, math.nan, 5, 1 / 16)], [{}])
    return results


def test_table_over_snr_is_in_db(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    show_deltas([results], "a")
    out = capsys.readouterr().out
    assert "BD-SNR dB" in out
    (row,) = [line.split() for line in out.splitlines() if line.split()[:1] == ["b"]]
    # 30 to 36 dB against 29 to 35: five of six are shared; the SNRs are the same.
    assert row == ["b", "2.00", "(83%)", "-1.00", "(100%)", "–", "–"]


def test_no_number_from_next_to_no_overlap() -> None:
    """Curves of 18 dB that share 0.2 and 10 dB; rates of 3 octaves that share 1 and 2."""
    by = [delta(Curve(RATE, QUALITY), Curve(RATE, QUALITY + up)) for up in (17.8, 8.0)]
    assert [one.quality_shared for one in by] == pytest.approx([0.2 / 18, 10 / 18])
    assert math.isnan(by[0].rate_percent)
    assert by[1].rate_percent == pytest.approx(100 * (2 ** (-8 / 6) - 1))
    by = [delta(Curve(RATE, QUALITY), Curve(RATE * 2**octaves, QUALITY)) for octaves in (2, 1)]
    assert [one.rate_shared for one in by] == pytest.approx([1 / 3, 2 / 3])
    assert math.isnan(by[0].quality_db)
    assert by[1].quality_db == pytest.approx(-6)
    # A short curve within a long one is shared whole.
    assert delta(Curve(RATE, QUALITY), Curve(RATE[:3], QUALITY[:3])).quality_shared == 1


def test_a_gap_is_said_in_the_table(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    for snr in (0.0, 4.0, 8.0, 12.0):
        cell = Cell("far", Link(), snr, 1 / 16)
        results.prepare([cell])
        results.add(cell, 0, [row_of(35.8 + 0.5 * snr, 0.9, math.nan, math.nan, 5, 1 / 16)], [{}])
    show_deltas([results], "a")
    out = capsys.readouterr().out
    (row,) = [line.split() for line in out.splitlines() if line.split()[:1] == ["far"]]
    assert row == ["far", "–", "(3%)", "5.80", "(100%)", "–", "–"]
    assert "under 50% in common" in out


def test_other_pictures_are_not_compared(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two folders of one name: rows against the curve of the same pictures only."""
    other = dict(results.head, dataset={**results.dataset, "sha256": "other"})
    cells = {cell: results._cells[cell] for cell in results.cells}
    show_deltas([results, Results(tmp_path / "s.json", other, cells)], "a")
    out = capsys.readouterr().out
    assert [line.split(":")[1].split(",")[0] for line in out.splitlines() if "Against" in line] == [
        " x []",
        " x [other]",
    ]
    assert out.count("2.00 (83%)") == 2


def test_rows_name_the_file(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = {cell: results._cells[cell] for cell in results.cells if cell.scheme == "a"}
    show_deltas([results, Results(tmp_path / "s.json", results.head, cells)], "a")
    out = capsys.readouterr().out
    assert "Against a (r): x, AWGN, CBR 1/16" in out
    assert "a (s)" in out


def test_unknown_reference_lists_the_schemes(results: Results) -> None:
    with pytest.raises(InputError, match="choose from a, b"):
        show_deltas([results], "c")
