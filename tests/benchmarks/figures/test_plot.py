"""Curves and figures: what is drawn is what is in the files."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.commands.plot import command
from benchmarks.figures.codec_bounds import codec_bounds
from benchmarks.figures.curves import Chart, charts, file_names, groups, psnr_of_mean_mse
from benchmarks.figures.plot import FIXED, draw, paper_style
from benchmarks.figures.published import published_curves
from benchmarks.labels import condensed, is_fixed_mode, scheme_label, without_mode
from benchmarks.sweep.measure import Row, columns
from benchmarks.sweep.results import Cell, Results, open_results, read_results
from channels import theory
from witt.errors import InputError
from witt.link.conditions import Link
from witt.metrics.metric import MS_SSIM, PSNR
from witt.pictures.finding import find_images


def row_of(*values: float) -> Row:
    """PSNR, MS-SSIM, that in dB and as published, channel uses and CBR."""
    return dict(zip(columns([PSNR, MS_SSIM]), values, strict=True))


NAN = math.nan
AWGN = Link()
MEANS = {  # PSNR at 1, 4 and 7 dB
    "witt_base": (28.0, 30.0, 31.5),
    "hevc+ldpc": (NAN, 29.0, 32.0),
    "hevc+ldpc:4qam-1/2": (12.0, 29.0, 29.1),
}
WITT = "WITT (witt_base)"
Make = Callable[..., Results]


@pytest.fixture(autouse=True)
def two_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known sets of two pictures, by hashes that are easily written."""
    sets = {
        "kodak": {"title": "Kodak", "pictures": 2, "first": {"1": "one", "2": "kodak"}},
        "cifar10": {"title": "CIFAR-10", "pictures": 2, "first": {"1": "tile", "2": "cifar10"}},
    }
    monkeypatch.setattr("benchmarks.sweep.known._sets", lambda: sets)


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
        sha256: str | None = None,
        count: int = 2,
        link: Link = AWGN,
    ) -> Results:
        sha256 = name if sha256 is None else sha256
        dataset = {"name": name, "pictures": count, "sha256": sha256, "names": None, "sizes": []}
        results = open_results(tmp_path / file, dataset, 0, [PSNR, MS_SSIM])
        points = [(snr, cbr) for snr in snrs for cbr in cbrs]
        for scheme, values in means.items():
            for (snr, cbr), mean in zip(points, values, strict=True):
                cell = Cell(scheme, link, snr, cbr)
                rows = [
                    row_of(mean + d, 0.9, 10.0 + d, published + d, 5, 0.98 * cbr) for d in (-1, 1)
                ]
                results.prepare([cell])
                results.add(cell, 0, rows[-count:], [{}] * count)
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
    ours = {
        line.get_label(): line
        for line in drawn
        if not line.get_label().endswith(")") or line.get_label() == WITT
    }
    assert list(ours) == [WITT, "HEVC + LDPC", "HEVC + LDPC, fixed modes"]
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
    assert not any(line.is_dashed() for line in (fixed, envelope, by_label[WITT]))
    # In grey, too, no two look alike.
    looks = {(line.get_marker(), str(line.get_linestyle()), line.get_lw()) for line in drawn}
    assert len(looks) == len(drawn)
    witt = by_label["WITT (published)"]
    np.testing.assert_array_equal(witt.get_ydata(), [29.66, 31.31, 32.63, 33.6, 34.29])
    assert witt.get_color() == by_label[WITT].get_color()


def test_bounds_of_the_best_codecs_at_capacity(make: Make) -> None:
    """Of all Kodak pictures, PSNR, AWGN and fast fading; as far as published points go."""
    (drawn,) = lines(charts([make(snrs=(1.0, 4.0, 13.0))])[0])
    by_label = {line.get_label(): line for line in drawn}
    vtm, elic = (by_label[f"{name} at capacity (bound)"] for name in ("VTM", "ELIC"))
    np.testing.assert_array_equal(vtm.get_xdata(), [1, 4, 13])
    # By hand, 4 dB: 3/16 log2(1 + 10^0.4) = 0.33981 bit/pixel; between 0.2458 and 0.4905 of VTM,
    # 31.20 + 3.06 ln(0.33981 / 0.2458) / ln(0.4905 / 0.2458) = 32.63.
    np.testing.assert_allclose(vtm.get_ydata(), [30.82, 32.63, 37.09], atol=0.006)
    np.testing.assert_allclose(elic.get_ydata(), [31.15, 32.87, 37.39], atol=0.006)
    for line in (vtm, elic):
        assert line.is_dashed()
        assert line.get_linewidth() < 1
    assert any("bounds" in note for note in charts([make()])[0].notes)
    assert not codec_bounds("cifar10", AWGN, [(1.0, 1 / 16)])
    assert not codec_bounds("kodak", Link("rayleigh", "block"), [(1.0, 1 / 16)])


def test_bounds_end_where_the_published_points_do(make: Make) -> None:
    """At 10 dB ELIC has 0.1235 to 0.8573 bit/pixel: CBR 0.0119 to 0.0826."""
    cbrs = (1 / 96, 1 / 48, 1 / 12, 1 / 8)
    (drawn,) = lines(charts([make(snrs=(10.0,), cbrs=cbrs, means={WITT: (1, 2, 3, 4)})])[0])
    by_label = {line.get_label(): line for line in drawn}
    np.testing.assert_array_equal(by_label["ELIC at capacity (bound)"].get_xdata(), [1 / 48])
    np.testing.assert_array_equal(by_label["VTM at capacity (bound)"].get_xdata(), cbrs)
    rayleigh = codec_bounds("kodak", Link("rayleigh"), [(10.0, 1 / 16)])
    rate = 3 / 16 * float(theory.rayleigh_ergodic_capacity(10.0))
    expected = 34.26 + 3.16 * math.log(rate / 0.4905) / math.log(0.8748 / 0.4905)
    assert rayleigh[0].psnr_db == pytest.approx((expected,))


def test_cliffs_do_not_set_the_scale(make: Make) -> None:
    with paper_style():
        figure = draw(charts([make()])[0])
        assert 24 < figure.axes[0].get_ylim()[0] < 28
        assert [text.get_text() for text in figure.axes[0].texts] == ["4QAM 1/2"]


def test_two_sweeps_that_cross(make: Make) -> None:
    """One over the SNR, one over the CBR: the point in common is no curve of its own."""
    over_snr = make(means={"witt_base": (28.0, 30.0, 31.5)}, file="snr.json")
    one = {"snrs": (4.0,), "cbrs": (1 / 24, 1 / 16)}
    over_cbr = make(means={"witt_base": (27.0, 30.0)}, file="cbr.json", **one)
    over_cbr.quantities = (PSNR,)
    drawn = charts([over_snr, over_cbr], published=False)
    assert [(chart.axis, chart.metric) for chart in drawn] == [
        ("snr", "psnr_db"),
        ("snr", "ms_ssim_db"),
        ("cbr", "psnr_db"),  # by MS-SSIM there is one point only
    ]
    assert [[c.label for c in chart.panels[0].curves] for chart in drawn] == [[WITT]] * 3
    apart = make(means={"witt_base": (32.0,)}, snrs=(10.0,), file="more.json")
    (chart, *_) = charts([over_snr, apart], published=False)
    assert [curve.x for curve in chart.panels[0].curves] == [(1.0, 4.0, 7.0), (10.0,)]


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


def test_over_cbr_at_what_was_used(make: Make) -> None:
    cbrs = (1 / 48, 1 / 16, 1 / 8)
    (drawn,) = lines(charts([make(snrs=(10.0,), cbrs=cbrs)])[0])
    by_label = {line.get_label(): line for line in drawn}
    np.testing.assert_allclose(by_label[WITT].get_xdata(), 0.98 * np.array(cbrs), rtol=1e-6)
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
    results = Results(Path("x"), {"dataset": dataset, "ms_ssim": True}, {})
    cell = Cell("witt", Link(), 1.0, 1 / 3)
    results.prepare([cell])
    rows = [row_of(30.0, NAN, NAN, NAN, 1, 0.1)] * 1024 + [row_of(40.0, NAN, NAN, NAN, 1, 0.1)] * 6
    results.add(cell, 0, rows, [{}] * 1030)
    assert psnr_of_mean_mse(results, cell) == pytest.approx(35.0)


def test_files_of_one_data_set_share_a_figure(make: Make) -> None:
    first = make()
    second = make(
        file="other.json", means={"witt_base": (27.0, 28.0, 29.0), "softcast": (20, 21, 22)}
    )
    (group,) = groups([first, second])
    assert len(group.series) == 5
    labels = [curve.label for curve in charts([first, second])[0].panels[0].curves]
    assert labels[:5] == [
        "WITT (witt_base) (r)",
        "HEVC + LDPC",
        "HEVC + LDPC, 4QAM 1/2",
        "WITT (witt_base) (other)",
        "SoftCast",
    ]
    (drawn,) = lines(charts([first, second])[0])
    one, other = (line for line in drawn if line.get_label().startswith("WITT (witt_base) ("))
    assert one.get_color() != other.get_color()
    assert one.get_marker() != other.get_marker()


def test_data_sets_are_told_apart_by_their_pixels(make: Make) -> None:
    """Two folders called alike: a figure for each, neither with the other's curves."""
    one = make("set", sha256="aaaaaaa1", file="a.json")
    two = make("set", sha256="bbbbbbb2", file="b.json", means={"softcast": (20.0, 21.0, 22.0)})
    drawn = [chart for chart in charts([one, two]) if chart.metric == "psnr_db"]
    assert [chart.title.partition(", ")[0] for chart in drawn] == ["set [aaaaaa]", "set [bbbbbb]"]
    assert [len(chart.panels[0].curves) for chart in drawn] == [3, 1]
    assert [c.name[:16] for c in drawn] == ["set-aaaaaa-awgn-", "set-bbbbbb-awgn-"]
    assert len({chart.name for chart in charts([one, two])}) == 4
    assert charts([one])[0].title.startswith("set, AWGN")
    # The same pictures under two names are one data set.
    (group,) = groups([one, make("copy", sha256="aaaaaaa1", file="c.json")])
    assert len(group.series) == 6


def test_kodak_is_kodak_by_its_pixels(make: Make) -> None:
    chart = charts([make("holiday", sha256="kodak")])[0]
    assert chart.title == "Kodak, AWGN, CBR 1/16"
    assert chart.name == "kodak-awgn-psnr-over-snr-at-cbr-1-16"
    assert sum(curve.kind == "published" for curve in chart.panels[0].curves) == 4
    for other in (make(sha256="x", file="x.json"), make(sha256="one", count=1, file="1.json")):
        for chart in charts([other]):
            for panel in chart.panels:
                assert not [curve for curve in panel.curves if curve.kind == "published"]
    other = charts([make(sha256="x", file="x2.json")])[0]
    assert other.title.startswith("kodak, not the pictures of Kodak, AWGN")
    assert other.name.startswith("kodak-x-awgn-psnr")
    few = charts([make(sha256="one", count=1, file="12.json")])[0]
    assert few.title == "Kodak, first 1 of 2, AWGN, CBR 1/16"
    assert few.name == "kodak-first-1-awgn-psnr-over-snr-at-cbr-1-16"
    assert any("of all 2 pictures, and are not drawn beside fewer" in note for note in few.notes)


def test_many_of_a_known_set_go_with_the_whole(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make("cifar10", cbrs=(1 / 3,), means={"softcast": (20.0, 21.0, 22.0)})
    part = make("cifar10", sha256="tile", count=1, cbrs=(1 / 3,), file="part.json")
    assert len(charts([whole, part])) == 4  # one is not many
    monkeypatch.setattr("benchmarks.sweep.known.MANY", 1)
    chart = charts([whole, part])[0]
    assert chart.title.startswith("CIFAR-10, AWGN")
    assert [curve.label for curve in chart.panels[0].curves][:3] == [
        "SoftCast",
        "WITT (witt_base) (first 1)",
        "HEVC + LDPC (first 1)",
    ]
    assert "The published curves are of all 2 pictures." in chart.notes
    assert len(groups([whole, part], alike=True)) == 2


def test_files_of_one_name_are_named_with_their_folders() -> None:
    def of(path: str) -> Results:
        return Results(Path(path), {"ms_ssim": False}, {})

    one, two, three = of("a/r.json"), of("b/r.json"), of("a/s.json")
    assert list(file_names([one, two, three]).values()) == ["a/r.json", "b/r.json", "s"]


def test_channels_of_one_name_have_files_of_their_own(make: Make) -> None:
    files = [make(link=Link("rician", k_factor_db=k), file=f"{k}.json") for k in (3.0, 6.0)]
    names = [chart.name for chart in charts(files)]
    assert len(set(names)) == 4


def test_a_channel_that_is_not_known_here(make: Make) -> None:
    """Somebody's own: drawn with its own label, and not as a fading one of ours."""

    class Tropo(Link):
        def record(self) -> dict[str, Any]:
            none = dict.fromkeys(("fading", "coherence", "k_factor_db"))
            return {"channel": "tropo", **none, "hops": 3}

        def __str__(self) -> str:
            return "Tropospheric scatter, 3 hops"

    link = Tropo()
    results = make(link=link)
    again = read_results(results.path)
    chart = charts([again])[0]
    assert chart.title == "Kodak, Tropospheric scatter, 3 hops, CBR 1/16"
    assert chart.name == "kodak-tropo-psnr-over-snr-at-cbr-1-16"
    assert [curve.kind for curve in chart.panels[0].curves] == ["measured", "measured", "fixed"]
    read = again.cells[0].link
    assert read.record() == link.record()
    assert not read.fades
    with pytest.raises(InputError, match=r"Tropospheric scatter, 3 hops: .* not known here"):
        read.module()
    # Where it is known, the same file goes on.
    cells = [cell._replace(link=link) for cell in again.cells]
    assert all(again.is_done(cell, 0) for cell in again.cells)
    again.prepare(cells)
    assert again.cells == tuple(cells)
    assert all(again.is_done(cell, 0) for cell in cells)


def test_a_caption_tells_what_training_there_was(make: Make) -> None:
    results = make(means={"witt_light": (28.0, 30.0, 31.0), "softcast": (20.0, 21.0, 22.0)})
    training = {"steps": 13438, "hours": {"1 GPU": 0.283}, "data": "784 photographs"}
    results.declare("witt_light", {"family": "witt_light", "training": training})
    cell = results.cells[0]
    results.add(
        cell, 0, [row_of(28.0, 0.9, 1.0, 1.0, 5, 0.06)] * 2, [{"warnings": ["too loud"]}] * 2
    )
    chart = charts([results])[0]
    label = "witt_light (classified code)"
    assert chart.notes[-2:] == (
        f"{label}: trained 13,438 steps, 17 min on 1 GPU; 784 photographs.",
        f"{label}: too loud.",
    )
    (drawn,) = lines(chart)
    colour = {line.get_label(): line.get_color() for line in drawn}
    assert colour[label] != colour["WITT (published)"]


def test_unfinished_cells_are_not_drawn(make: Make) -> None:
    results = make()
    cell = Cell("witt_base", Link(), 20.0, 1 / 16)
    results.prepare([cell])
    results.add(cell, 0, [row_of(40.0, 0.9, 10.0, 9.0, 5, 1 / 16)], [{}])
    (drawn,) = lines(charts([results])[0])
    assert drawn[0].get_xdata().tolist() == [1, 4, 7]


def test_one_point_is_no_curve(make: Make) -> None:
    results = make(means={"witt_base": (30.0,)}, snrs=(1.0,))
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
    assert scheme_label("witt_base+adapt:10") == "WITT (witt_base), optimised per image (10 steps)"
    assert scheme_label("witt_light") == "witt_light (classified code)"
    assert scheme_label("witt") == "witt"  # weights that somebody called so
    assert without_mode("hevc+ldpc:4qam-1/2") == "hevc+ldpc"
    assert without_mode("witt_light+adapt:5") == "witt_light+adapt:5"
    assert is_fixed_mode("jpeg+ldpc:4qam-1/3")
    assert not is_fixed_mode("hevc+ldpc")


def test_lines_that_say_the_same_are_one() -> None:
    lines = ["SNR 25 dB is too loud", "SNR -30.5 dB is too loud", "not so", "SNR 25 dB is too loud"]
    assert condensed(lines) == ["SNR 25 dB is too loud (and 1 more such)", "not so"]


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


def test_a_file_named_twice_is_one(make: Make, tmp_path: Path) -> None:
    pytest.importorskip("bjontegaard")
    path, out = make().path, tmp_path / "f"
    done = CliRunner().invoke(command, [str(path), str(path), "--bd", "witt_base", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "(r)" not in done.output


def test_bd_that_is_refused_leaves_nothing(make: Make, tmp_path: Path) -> None:
    out = tmp_path / "f"
    done = CliRunner().invoke(command, [str(make().path), "--bd", "hevc", "-o", str(out)])
    assert isinstance(done.exception, InputError)
    assert not out.exists() or not list(out.iterdir())


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
