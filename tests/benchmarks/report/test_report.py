"""The page of `witt report`: what it says is what is in the files, and it loads nothing."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cli
from benchmarks.figures.bd import Curve, delta
from benchmarks.report.page import report_page
from benchmarks.sweep.measure import Row, columns
from benchmarks.sweep.results import Cell, Results, open_results, read_results
from witt.errors import InputError
from witt.link.conditions import Link
from witt.metrics.metric import MS_SSIM, PSNR, Quantity

SHIPPED = Path(__file__).parents[3] / "benchmarks" / "results"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"'{{ 7*7 }}"
WITHIN = {"html": 1, "head": 1, "body": 1, "main": 1, "title": 1, "style": 1, "script": 2}


class Page(HTMLParser):
    """Elements with their attributes, rows of tables, the text of each element's name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)
        self.close()
        (data,) = (text for text in self.texts["script"] if text.startswith("["))
        self.charts: list[dict[str, Any]] = json.loads(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("td", "th"):
            self.rows[-1][-1] += data
        if self._open:
            self.texts.setdefault(self._open, []).append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def row_of(psnr: float, quality: float = 10.0) -> Row:
    """PSNR, MS-SSIM, that in dB and as published, channel uses and CBR."""
    values = (psnr, 0.9, quality, quality - 1, 5, 1 / 16)
    return dict(zip(columns([PSNR, MS_SSIM]), values, strict=True))


def results_of(path: Path, schemes: dict[str, list[float]], name: str = "two") -> Results:
    """Two pictures, 1 dB above and below each mean, at SNRs of 0, 4, 8, … dB."""
    dataset = {"name": name, "pictures": 2, "sha256": "", "names": None, "sizes": []}
    results = open_results(path, dataset, 3, [PSNR, MS_SSIM])
    for scheme, means in schemes.items():
        for index, mean in enumerate(means):
            cell = Cell(scheme, Link(), 4.0 * index, 1 / 16)
            results.prepare([cell])
            results.add(cell, 0, [row_of(mean - 1), row_of(mean + 1)], [{}, {}])
    results.save()
    return results


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return results_of(tmp_path / "r.json", {"a": [20, 24, 28], "b": [18, 22, 26]}).path


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(arg) for arg in args])
    return int(stopped.value.code or 0)


def test_numbers_and_curves_are_those_of_the_shipped_file(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report.html"
    assert run("report", SHIPPED / "kodak-awgn-snr.json", "-o", out) == 0
    page = Page(out.read_text())
    results = read_results(SHIPPED / "kodak-awgn-snr.json")
    told = [row for row in page.rows if len(row) == 11 and row[-2] == "24"]
    assert len(told) == len(results.cells) > 60
    for row, cell in zip(told, results.cells, strict=True):
        assert [row[1], row[2], row[3]] == ["AWGN", f"{cell.snr_db:g}", "1/16"]
        assert row[5] == f"{results.mean(cell, 'psnr_db'):.2f}"
        assert row[6] == f"{np.std(results.column(cell, 'psnr_db'), ddof=1):.2f}"
        assert row[7] == f"{results.mean(cell, 'ms_ssim_db'):.2f}"
        lost = results.info(cell, "lost")
        assert row[-1] == ("–" if lost[0] is None else str(sum(lost)))
    assert {row[-1] for row in told} >= {"–", "0", "24"}  # below its cliff a mode loses all
    series = {each["label"]: each for each in page.charts[0]["panels"][0]["series"]}
    base = [cell for cell in results.cells if cell.scheme == "witt_base"]
    points = [[cell.snr_db, results.mean(cell, "psnr_db")] for cell in base]
    assert [point[1:] for point in series["WITT (witt_base)"]["points"]] == points
    assert [y for *_, y in series["WITT (published)"]["points"]] == [
        29.66,
        31.31,
        32.63,
        33.6,
        34.29,
    ]
    assert ["WITT (witt_base)", "28.53", "–", "29.69", "–", "30.55"] in [r[:6] for r in page.rows]
    # Who made it, and on what.
    assert any("witt reproduce kodak-awgn-snr" in row[-1] for row in page.rows)
    assert "AMD EPYC" in page.texts["dd"]
    assert results.dataset["sha256"] in page.texts["dd"]


def test_a_mean_that_is_not_of_every_picture_is_not_told(tmp_path: Path) -> None:
    results = results_of(tmp_path / "r.json", {"a": [20, 24]})
    cell = Cell("a", Link(), 8.0, 1 / 16)
    results.prepare([cell])
    results.add(cell, 0, [row_of(30)], [{}])
    results.fail(cell, "the second broke off")
    results.save()
    page = Page(report_page([results.path]))
    (row,) = (row for row in page.rows if row[-2] == "1 of 2")
    assert row[5] == row[6] == "–"
    assert any("the second broke off" in text for text in page.texts["p"])
    assert len(page.charts[0]["panels"][0]["stops"]) == 2


def test_differences_are_those_of_bd(file: Path) -> None:
    pytest.importorskip("bjontegaard")
    page = Page(report_page([file]))
    snr = [10 ** (db / 10) for db in (0, 4, 8)]
    found = delta(Curve(snr, [20, 24, 28]), Curve(snr, [18, 22, 26]))
    assert found.rate_db == pytest.approx(2)
    assert ["b", "2.00 (75%)", "-2.00 (100%)"] in [row[:3] for row in page.rows]
    assert ["a", "-2.00 (75%)", "2.00 (100%)"] in [row[:3] for row in page.rows]


def test_without_the_library_of_the_differences(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    page = Page(report_page([file]))
    (said,) = (text for text in page.texts["p"] if "bjontegaard" in text)
    assert "pip install 'witt[baselines]'" in said
    assert not any("BD-" in cell for row in page.rows for cell in row)


def test_names_from_files_are_text(tmp_path: Path) -> None:
    results = results_of(tmp_path / "r.json", {HOSTILE: [20, 24, 28], "b": [18, 22, 26]}, HOSTILE)
    results.head["schemes"][HOSTILE] = {HOSTILE: HOSTILE}
    results.head["runs"] = [{"command": HOSTILE, "machine": {HOSTILE: [HOSTILE]}}]
    results.head["metrics"] = [PSNR.record(), {**Quantity("x", "x", HOSTILE).record()}]
    results.save()
    document = json.loads(results.path.read_text())
    for cell in document["cells"]:
        cell["images"]["x"] = [1.0, 2.0]
    results.path.write_text(json.dumps(document))
    page = Page(report_page([results.path]))
    names = [name for name, _ in page.elements]
    assert {name: names.count(name) for name in WITHIN} == WITHIN
    assert "img" not in names
    assert not [key for _, attributes in page.elements for key in attributes if key[:2] == "on"]
    assert any(series["label"] == HOSTILE for series in page.charts[0]["panels"][0]["series"])
    assert HOSTILE in [row[0] for row in page.rows]
    assert any(HOSTILE in text for text in page.texts["title"])


def test_it_loads_nothing(file: Path) -> None:
    text = report_page([file, SHIPPED / "visual.json"])
    page = Page(text)
    for _, attributes in page.elements:
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(key, "#").startswith(("#", "data:image/png;base64,"))
    (style,) = page.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    (script,) = (text for text in page.texts["script"] if not text.startswith("["))
    assert re.findall(r"\w+://[^\"]*", script) == ["http://www.w3.org/2000/svg"]  # a name
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import|eval|innerHTML)\b", script)
    # And the browser is told so: nothing is loaded, and no other script runs.
    policy = next(a["content"] for a in page.named("meta") if "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert policy.endswith(f"script-src 'sha256-{digest}'")


def png(colour: tuple[int, int, int]) -> str:
    buffer = BytesIO()
    Image.new("RGB", (3, 2), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def visual() -> dict[str, Any]:
    entry = {"cbr_label": "1/16", "link": "AWGN"}
    sent = {**entry, "snr_db": 1.0, "scheme": "a", "psnr_db": 28.125, "png": png((1, 2, 3))}
    lost = {**entry, "snr_db": 1.0, "scheme": "b", "psnr_db": None, "png": None}
    return {
        "format": "witt-visual-1",
        "picture": "p.png",
        "crop": {"left": 0, "top": 0, "width": 3, "height": 2},
        "original": png((9, 9, 9)),
        "schemes": {},
        "runs": [],
        "entries": [sent, lost],
    }


def test_pictures_are_whole(visual: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(json.dumps(visual))
    page = Page(report_page([path]))
    shown = [image["src"].partition(",")[2] for image in page.named("img")]
    assert shown == [png((9, 9, 9)), png((1, 2, 3))]
    assert page.texts["b"] == ["28.12 dB", "– dB"]
    assert "cannot be sent" in page.texts["div"]
    assert not page.rows


@pytest.fixture
def transmitted(tmp_path: Path, weights: Path, picture: Path) -> list[Path]:
    """The lists that `witt transmit` prints at two SNRs."""
    lists = []
    for snr in (1, 10):
        words = ["transmit", str(picture), "--weights", str(weights), "--snr", str(snr), "--json"]
        out = tmp_path / f"out{snr}"
        told = CliRunner().invoke(cli.cli, [*words, "--no-ms-ssim", "--output", str(out)])
        assert told.exit_code == 0, told.output
        lists.append(tmp_path / f"{snr}.json")
        lists[-1].write_text(told.stdout)
    return lists


def test_pictures_that_witt_transmit_sent(transmitted: list[Path], picture: Path) -> None:
    """A row for each SNR, in order, with the figure of what is shown, pixel by pixel."""
    page = Page(report_page(transmitted[::-1]))
    records = [json.loads(path.read_text())[0] for path in transmitted]
    shown = [image["src"].partition(",")[2] for image in page.named("img")]
    wanted = [name for each in records for name in (str(picture), each["received"])]
    for text, name in zip(shown, wanted, strict=True):
        with Image.open(BytesIO(base64.b64decode(text))) as one, Image.open(name) as other:
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert page.texts["b"] == [f"{each['psnr_db']:.2f} dB" for each in records]
    assert page.texts["h4"] == ["SNR 1 dB", "SNR 10 dB"]


def test_pictures_that_are_gone_are_named(
    transmitted: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (received,) = (Path(each["received"]) for each in json.loads(transmitted[0].read_text()))
    received.unlink()
    assert run("report", transmitted[0], "-o", transmitted[0].parent / "r.html") == 2
    assert f"{received}: is not there any more" in capsys.readouterr().err
    records = json.loads(transmitted[1].read_text())
    del records[0]["snr_db"]
    transmitted[1].write_text(json.dumps(records))
    assert run("report", transmitted[1], "-o", transmitted[1].parent / "r.html") == 2
    assert "is damaged: snr_db is None" in capsys.readouterr().err


def test_an_evaluation_of_one_condition(tmp_path: Path) -> None:
    """No curve, but the number, and the settings that only such a file has."""
    entry = {
        "image": "p.png",
        "batch": 0,
        "seed": 1,
        "psnr_db": 30.0,
        "channel_uses": 4,
        "cbr": 0.1,
        "side_information_lost": True,
    }
    condition = {
        "codec": "mine",
        "channel": "awgn",
        "channel_label": "AWGN",
        "fading": None,
        "coherence": None,
    }
    condition |= {"k_factor_db": None, "snr_db": 7.0, "cbr_requested": 0.1, "cbr_label": "0.1"}
    document = {
        "format": "witt-evaluation-2",
        "codec": "mine",
        "device": "cpu",
        "adapt": 0,
        "seed": 11,
        "images": 1,
        "metrics": [PSNR.record()],
        "results": [{**condition, "psnr_db": 30.0, "images": [entry]}],
    }
    path = tmp_path / "e.json"
    path.write_text(json.dumps(document))
    page = Page(report_page([path]))
    assert page.charts == []
    assert page.rows[-1] == ["mine", "AWGN", "7", "1/10", "0.10000", "30.00", "–", "1", "1"]
    told = dict(zip(page.texts["dt"], page.texts["dd"], strict=True))
    assert (told["device"], told["seed"]) == ("cpu", "11")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("entries", 0, "scheme"), None),
        (("entries", 0, "snr_db"), "1"),
        (("entries", 1, "psnr_db"), []),
        (("crop",), None),
        (("crop", "width"), 0),
        (("schemes",), None),
        (("runs",), [None]),
    ],
)
def test_damaged_pictures(
    visual: dict[str, Any], where: tuple[Any, ...], value: Any, tmp_path: Path
) -> None:
    inner: Any = visual
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path = tmp_path / "v.json"
    path.write_text(json.dumps(visual))
    with pytest.raises(InputError, match=r"v\.json: is damaged"):
        report_page([path])


@pytest.mark.parametrize(("key", "value"), [("runs", ["x"]), ("schemes", {"a": 1})])
def test_damaged_records(file: Path, key: str, value: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(InputError, match=r"r\.json: is damaged"):
        report_page([file])


def test_what_is_refused(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2, and what was there stays."""
    out = tmp_path / "out.html"
    out.write_text("before")
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": "witt-benchmark-2", "cells')
    before = file.read_bytes()
    for args in (
        (tmp_path / "none.json", "-o", out),
        (broken, "-o", out),
        (file, broken, "-o", out),
        (file, "-o", tmp_path),
        (file, "-o", file),
        (file, "-o", broken / "below.html"),
    ):
        assert run("report", *args) == 2
        told = capsys.readouterr().err
        assert told.startswith("Error: ")
        assert told.count("\n") == 1
    assert out.read_text() == "before"
    assert file.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"out.html", "broken.json", "r.json"}


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_script_draws(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(report_page([file, SHIPPED / "visual.json"]))
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/chromium",
    ]
    options += ["--virtual-time-budget=2000", "--dump-dom", path.as_uri()]
    command = [str(CHROMIUM), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    page = Page(done.stdout)
    curves = [a for name, a in page.elements if name == "g" and "curve" in a.get("class", "")]
    assert len(curves) == 6  # two by PSNR, two by each of two MS-SSIMs
    lines = [a["d"] for name, a in page.elements if name == "path" and a.get("stroke-width") == "2"]
    assert any(re.fullmatch(r"M[\d. ]+L[\d. ]+L[\d. ]+", line) for line in lines)
    frames = [a for name, a in page.elements if name == "img"]
    assert frames
    assert all(a["style"].startswith("transform: scale(1)") for a in frames)
    assert sum("aria-pressed" in a for a in page.named("button")) == 4
