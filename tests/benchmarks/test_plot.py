"""Curves and figures: what is drawn is what is in the files."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.curves import Chart, charts, groups, psnr_of_mean_mse
from benchmarks.labels import is_fixed_mode, scheme_label
from benchmarks.measure import Row
from benchmarks.plot import FIXED, draw, paper_style
from benchmarks.plot_command import command
from benchmarks.published import published_curves
from benchmarks.results import Cell, Results, open_results
from witt.errors import InputError
from witt.files import find_images
from witt.link import Link

NAN = math.nan
MEANS = {  # PSNR at 1, 4 and 7 dB
    "witt": (28.0, 30.0, 31.5),
    "hevc+ldpc": (NAN, 29.0, 32.0),
    "hevc+ldpc:4qam-1/2": (12.0, 29.0, 29.1),
}
Make = Callable[..., Results]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a result file of two pictures, 1 dB above and below each mean."""

    def write(
        name: str = "kodak",
        means: dict[str, tuple[float, ...]] = MEANS,
        snrs: tuple[float, ...] = (1.0, 4.0, 7.0),
        cbrs: tuple[float, ...] = (1 / 16,),
        published: float = 9.0,
        file: str = "r.json",
    ) -> Results:
        dataset = {"name": name, "pictures": 2, "sha256": name, "names": None, "sizes": []}
        results = open_results(tmp_path / file, dataset, 0, True)
        points = [(snr, cbr) for snr in snrs for cbr in cbrs]
        for scheme, values in means.items():
            for (snr, cbr), mean in zip(points, values, strict=True):
                cell = Cell(scheme, Link(), snr, cbr)
                rows = [Row(mean + d, 0.9, 10.0 + d, published + d, 5, 0.98 * cbr) for d in (-1, 1)]
                results.prepare([cell])
                results.add(cell, 0, rows, [{}, {}])
        results.save()
        return results

    return write


def lines(chart: Chart) -> list[list[Any]]:
    """The lines of each panel of the drawn figure."""
    with paper_style():
        return [axes.get_lines() for axes in draw(chart).axes]


def test_lines_are_the_means(make: Make) -> None:
    chart = charts([make()])[0]
    assert chart.name == "kodak-awgn-psnr-over-snr-at-cbr-1-16"
    (drawn,) = lines(chart)
    ours = {line.get_label(): line for line in drawn if "published" not in line.get_label()}
    assert list(ours) == ["WITT", "HEVC + LDPC", "HEVC + LDPC, fixed modes"]
    for line, mean in zip(ours.values(), MEANS.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 4, 7])
        np.testing.assert_allclose(line.get_ydata(), mean)  # NaN stays: no line leads there


def test_thin_thick_and_dashed(make: Make) -> None:
    (drawn,) = lines(charts([make()])[0])
    by_label = {line.get_label(): line for line in drawn}
    fixed, envelope = by_label["HEVC + LDPC, fixed modes"], by_label["HEVC + LDPC"]
    assert fixed.get_linewidth() < 1 < envelope.get_linewidth()
    assert fixed.get_color() == FIXED
    published = [line for label, line in by_label.items() if label.endswith("(published)")]
    assert len(published) == 4
    assert all(line.is_dashed() for line in published)
    assert not any(line.is_dashed() for line in (fixed, envelope, by_label["WITT"]))
    # In grey, too, no two look alike.
    looks = {(line.get_marker(), str(line.get_linestyle()), line.get_lw()) for line in drawn}
    assert len(looks) == len(drawn)
    witt = by_label["WITT (published)"]
    np.testing.assert_array_equal(witt.get_ydata(), [29.66, 31.31, 32.63, 33.6, 34.29])
    assert witt.get_color() == by_label["WITT"].get_color()


def test_cliffs_do_not_set_the_scale(make: Make) -> None:
    with paper_style():
        figure = draw(charts([make()])[0])
        assert 24 < figure.axes[0].get_ylim()[0] < 28
        assert [text.get_text() for text in figure.axes[0].texts] == ["4QAM 1/2"]


def test_ms_ssim_by_both_definitions(make: Make) -> None:
    chart = charts([make()])[1]
    ours, theirs = lines(chart)
    assert [panel.title for panel in chart.panels] == [
        "Standard: 5 scales",
        "As published: 4 scales",
    ]
    assert not any("published" in line.get_label() for line in ours)
    np.testing.assert_allclose(ours[0].get_ydata(), [10, 10, 10])
    np.testing.assert_allclose(theirs[0].get_ydata(), [9, 9, 9])
    assert "WITT (published)" in [line.get_label() for line in theirs]
    assert any("1.0 to 1.3 dB" in note for note in chart.notes)
    assert "The published curves are of all 24 pictures." in chart.notes


def test_over_cbr_at_what_was_used(make: Make) -> None:
    cbrs = (1 / 48, 1 / 16, 1 / 8)
    (drawn,) = lines(charts([make(snrs=(10.0,), cbrs=cbrs)])[0])
    by_label = {line.get_label(): line for line in drawn}
    np.testing.assert_allclose(by_label["WITT"].get_xdata(), 0.98 * np.array(cbrs), rtol=1e-6)
    assert by_label["WITT (published)"].get_xdata()[0] == 0.0104


def test_cifar_by_both_definitions(make: Make) -> None:
    results = make("cifar10", cbrs=(1 / 3,))
    chart = charts([results])[0]
    ours, theirs = lines(chart)
    # 27 and 29 dB: the mean of the errors is nearer to the worse picture.
    expected = -10 * math.log10((10**-2.7 + 10**-2.9) / 2)
    assert theirs[0].get_ydata()[0] == pytest.approx(expected)
    assert ours[0].get_ydata()[0] == pytest.approx(28.0)
    assert "WITT (published)" not in [line.get_label() for line in ours]
    assert "WITT (published)" in [line.get_label() for line in theirs]


def test_published_psnr_of_cifar_is_by_batches() -> None:
    dataset = {"name": "cifar10", "pictures": 1030, "sha256": "", "names": None, "sizes": []}
    results = Results(Path("x"), {"dataset": dataset}, {})
    cell = Cell("witt", Link(), 1.0, 1 / 3)
    results.prepare([cell])
    rows = [Row(30.0, NAN, NAN, NAN, 1, 0.1)] * 1024 + [Row(40.0, NAN, NAN, NAN, 1, 0.1)] * 6
    results.add(cell, 0, rows, [{}] * 1030)
    assert psnr_of_mean_mse(results, cell) == pytest.approx(35.0)


def test_files_of_one_data_set_share_a_figure(make: Make) -> None:
    first = make()
    second = make(file="other.json", means={"witt": (27.0, 28.0, 29.0), "linear": (20, 21, 22)})
    (group,) = groups([first, second])
    assert len(group.series) == 5
    labels = [curve.label for curve in charts([first, second])[0].panels[0].curves]
    assert labels[:5] == [
        "WITT (r)",
        "HEVC + LDPC",
        "HEVC + LDPC, 4QAM 1/2",
        "WITT (other)",
        "Linear",
    ]


def test_unfinished_cells_are_not_drawn(make: Make) -> None:
    results = make()
    cell = Cell("witt", Link(), 20.0, 1 / 16)
    results.prepare([cell])
    results.add(cell, 0, [Row(40.0, 0.9, 10.0, 9.0, 5, 1 / 16)], [{}])
    (drawn,) = lines(charts([results])[0])
    assert drawn[0].get_xdata().tolist() == [1, 4, 7]


def test_one_point_is_no_curve(make: Make) -> None:
    results = make(means={"witt": (30.0,)}, snrs=(1.0,))
    with pytest.raises(InputError, match=r"r\.json: a curve needs two SNRs or two CBRs"):
        charts([results])


@pytest.mark.parametrize(
    ("link", "metric", "at", "names"),
    [
        (Link(), "psnr_db", {"cbr": 1 / 16}, ["WITT", "DeepJSCC", "BPG+Capacity", "BPG+LDPC"]),
        (Link("rayleigh"), "psnr_db", {"cbr": 1 / 16}, ["WITT", "DeepJSCC", "BPG+LDPC"]),
        (Link("rayleigh", "block"), "psnr_db", {"cbr": 1 / 16}, []),
        (Link(), "ms_ssim_published_db", {"cbr": 1 / 16}, ["WITT", "DeepJSCC"]),
        (Link(), "ms_ssim_db", {"cbr": 1 / 16}, []),
        (Link(), "psnr_db", {"cbr": 1 / 12}, []),
        (Link(), "psnr_db", {"snr_db": 10.0}, ["WITT", "DeepJSCC"]),
        (Link(), "psnr_db", {"snr_db": 7.0}, []),
        (Link("rician"), "psnr_db", {"cbr": 1 / 16}, []),
    ],
)
def test_published_curves(link: Link, metric: str, at: dict[str, float], names: list[str]) -> None:
    assert [curve.name for curve in published_curves("kodak", link, metric, **at)] == names


def test_names() -> None:
    assert scheme_label("hevc-420+ldpc:64qam-1/2") == "HEVC 4:2:0 + LDPC, 64QAM 1/2"
    assert scheme_label("mine") == "mine"
    assert scheme_label("witt+adapt:10") == "WITT, adapted (10)"
    assert is_fixed_mode("jpeg+ldpc:4qam-1/3")
    assert not is_fixed_mode("hevc+ldpc")


def test_command_writes_png_and_svg(make: Make, tmp_path: Path) -> None:
    results, out = make(), tmp_path / "figures"
    done = CliRunner().invoke(command, [str(results.path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    stem = "kodak-awgn-{}-over-snr-at-cbr-1-16"
    expected = {f"{stem.format(k)}.{e}" for k in ("psnr", "msssim") for e in ("png", "svg")}
    assert {path.name for path in out.iterdir()} == expected
    png = out / f"{stem.format('psnr')}.png"
    with Image.open(png) as image:
        assert image.size[0] > 800
    with pytest.raises(InputError, match="2 files written by this program"):
        find_images([out])
    before = {path: path.read_bytes() for path in out.iterdir()}
    CliRunner().invoke(command, [str(results.path), "--out", str(out)])
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_command_without_published(make: Make, tmp_path: Path) -> None:
    path = make().path
    arguments = [str(path), "--no-published", "-o", str(tmp_path / "f")]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    assert not any(
        c.kind == "published" for c in charts([make()], published=False)[0].panels[0].curves
    )


def test_command_refuses_damaged_files(make: Make, tmp_path: Path) -> None:
    path = make().path
    path.write_text(path.read_text()[:300])
    done = CliRunner().invoke(command, [str(path), "-o", str(tmp_path / "f")])
    assert isinstance(done.exception, InputError)
    assert "cut short" in str(done.exception)
    assert not (tmp_path / "f").exists()
