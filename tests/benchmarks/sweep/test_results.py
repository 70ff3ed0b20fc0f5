"""The result file."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.labels import cbr_label
from benchmarks.schemes.softcast import SoftCast
from benchmarks.sweep.foreign import plain_link
from benchmarks.sweep.measure import Row, columns
from benchmarks.sweep.results import Cell, Results, open_results, read_results
from witt.errors import InputError
from witt.link.conditions import Link
from witt.metrics.metric import MS_SSIM, PSNR


def row_of(*values: float) -> Row:
    """PSNR, MS-SSIM, that in dB and as published, channel uses and CBR."""
    return dict(zip(columns([PSNR, MS_SSIM]), values, strict=True))


DATASET = {"name": "kodak", "pictures": 3, "sha256": "ab", "names": None, "sizes": [[8, 8]]}
CELL = Cell("witt", Link(), 10.0, 1 / 16)
NAN = math.nan


def row(psnr: float, uses: int = 12) -> Row:
    return row_of(psnr, 0.9, 10.0, NAN, uses, uses / 192)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three pictures of one cell; the last one could not be sent in another."""
    results = open_results(tmp_path / "new" / "r.json", DATASET, 5, [PSNR, MS_SSIM])
    other = CELL._replace(scheme="hevc+ldpc", link=Link("rayleigh"))
    results.prepare([CELL, other])
    results.add(CELL, 0, [row(30.00006), row(31.0)], [{"mode": "x"}, {"p": 0.5}])
    results.add(CELL, 2, [row(35.0)], [{"mode": "y"}])
    results.add(other, 0, [row(30.0), row(NAN)], [{}, {"reason": "too few bits"}])
    results.save()
    return results


def test_what_is_written_is_read(results: Results) -> None:
    again = read_results(results.path)
    assert again.cells == results.cells
    for cell in again.cells:
        for name in columns([PSNR, MS_SSIM]):
            np.testing.assert_array_equal(again.column(cell, name), results.column(cell, name))
    assert again.column(CELL, "psnr_db").tolist() == [30.0001, 31.0, 35.0]
    assert again.mean(CELL, "psnr_db") == pytest.approx((30.0001 + 31 + 35) / 3)
    assert again.info(CELL, "mode") == ["x", None, "y"]
    assert again.info(CELL, "nothing") == [None] * 3
    assert again.finished(CELL)
    assert [again.is_done(CELL, start) for start in (0, 1, 2)] == [True, False, True]


SHIPPED = Path(__file__).parents[3] / "benchmarks" / "results"


def test_softcast_goes_on_where_its_old_name_stopped(tmp_path: Path) -> None:
    """Files that call it "linear" are read as if it had always been "softcast"."""
    text = (SHIPPED / "kodak-rayleigh-snr.json").read_text()
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    assert text.count('"softcast"') > text.count('"linear"') == 0
    old.write_text(text.replace('"softcast"', '"linear"'))
    new.write_text(text)
    one, other = read_results(old), read_results(new)
    assert one.cells == other.cells
    assert one.head == other.head
    assert any(cell.scheme == "softcast" and one.finished(cell) for cell in one.cells)
    one.declare("softcast", {"family": "softcast", **SoftCast().record()})


def test_weights_that_somebody_called_linear_keep_their_name(results: Results) -> None:
    results.declare("linear", {"family": "linear", "weights_sha256": "ab"})
    results.prepare([CELL._replace(scheme="linear")])
    results.save()
    again = read_results(results.path)
    assert [cell.scheme for cell in again.cells][-1] == "linear"
    assert list(again.head["schemes"]) == ["linear"]


def test_a_mean_without_all_pictures_is_none(results: Results) -> None:
    other = results.cells[1]
    assert not results.finished(other)
    assert math.isnan(results.mean(other, "psnr_db"))
    results.add(other, 2, [row(NAN)], [{}])
    assert results.finished(other)
    assert math.isnan(results.mean(other, "psnr_db"))


def test_the_file_is_plain_json(results: Results) -> None:
    document = json.loads(results.path.read_text())
    assert document["format"] == "witt-benchmark-2"
    assert document["cells"][1]["images"]["psnr_db"] == [30.0, None, None]
    assert document["cells"][0]["cbr_label"] == "1/16"
    assert document["cells"][1]["fading"] == "fast"
    assert "NaN" not in results.path.read_text()


def test_continuing_asks_for_the_same_run(results: Results) -> None:
    path = results.path
    assert open_results(path, DATASET, 5, [PSNR, MS_SSIM]).cells == results.cells
    for changed, named in (
        ((DATASET, 6, [PSNR, MS_SSIM]), "seed 5, not 6"),
        ((DATASET, 5, [PSNR]), "metrics psnr, ms-ssim, not psnr"),
        (({**DATASET, "sha256": "cd"}, 5, [PSNR, MS_SSIM]), "with other pixels"),
        (
            ({**DATASET, "sha256": "cd", "pictures": 4}, 5, [PSNR, MS_SSIM]),
            r"kodak \(3 pictures\), not kodak",
        ),
    ):
        with pytest.raises(InputError, match=named):
            open_results(path, *changed)


def test_another_version_is_refused(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.sweep.results.version", lambda: "99.0")
    with pytest.raises(InputError, match=r"version of witt .*, not 99\.0"):
        open_results(results.path, DATASET, 5, [PSNR, MS_SSIM])


def test_another_scheme_of_the_same_name_is_refused(results: Results) -> None:
    results.declare("witt", {"sha256": "1", "rate": float("nan")})
    results.save()
    again = read_results(results.path)
    again.declare("witt", {"sha256": "1", "rate": float("nan")})
    with pytest.raises(InputError, match=r"another witt .*sha256 '1', not '2'"):
        again.declare("witt", {"sha256": "2", "rate": None})


def edit(document: dict[str, Any], *keys: Any, value: Any) -> None:
    for key in keys[:-1]:
        document = document[key]
    document[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("format",), "witt-benchmark-0"),
        (("seed",), "5"),
        (("dataset",), None),
        (("dataset", "pictures"), 4),
        (("dataset", "pictures"), 0),
        (("cells",), {"a": 1}),
        (("cells", 0, "images", "psnr_db"), [1.0]),
        (("cells", 0, "images", "psnr_db"), ["a", "b", "c"]),
        (("cells", 0, "images", "psnr_db"), 3),
        (("cells", 0, "images"), {}),
        (("cells", 0, "channel"), 3),
        (("cells", 0, "fading"), "string"),
        (("cells", 0, "snr_db"), "loud"),
        (("cells", 0, "done"), [None]),
        (("cells", 1, "scheme"), "witt"),
    ],
)
def test_damaged_files_are_refused(results: Results, keys: tuple[Any, ...], value: Any) -> None:
    document = json.loads(results.path.read_text())
    edit(document, *keys, value=value)
    if keys[-1] == "scheme":  # twice the same cell
        document["cells"][1].update(channel="awgn", fading=None)
    results.path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"r\.json: .*(damaged|format)"):
        read_results(results.path)


def test_cut_and_missing_files_are_refused(results: Results) -> None:
    whole = results.path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 3):
        results.path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="cut short"):
            read_results(results.path)
    results.path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="damaged"):
        read_results(results.path)
    results.path.write_text("[1, 2]")
    with pytest.raises(InputError, match="format"):
        read_results(results.path)
    with pytest.raises(InputError, match="no such result file"):
        read_results(results.path.parent / "none.json")
    with pytest.raises(InputError, match="is a folder"):
        open_results(results.path.parent, DATASET, 5, [PSNR, MS_SSIM])


def test_equal_channels_compare_equal() -> None:
    assert plain_link(Link("awgn", "block", 7, 3.0)) == Link()
    assert plain_link(Link("rayleigh", "fast", 1, 3.0)) == Link("rayleigh")
    assert plain_link(Link("rician", "block", 7, 3.0)) == Link("rician", "block", 7, 3.0)


@pytest.mark.parametrize(
    ("cbr", "label"), [(1 / 16, "1/16"), (0.0625, "1/16"), (1 / 3, "1/3"), (0.07, "0.07"), (1, "1")]
)
def test_labels_of_ratios(cbr: float, label: str) -> None:
    assert cbr_label(cbr) == label
