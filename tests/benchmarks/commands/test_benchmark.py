"""`witt benchmark`: from the command line to the file."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.commands.benchmark import command
from benchmarks.schemes.scheme import Scheme, Sent
from benchmarks.sweep.execute import SAVE_SECONDS
from benchmarks.sweep.meter import Meter
from benchmarks.sweep.results import read_results
from benchmarks.sweep.sweep import Maker
from benchmarks.sweep.time_left import Kind, TimeLeft
from witt.errors import InputError
from witt.lock import sole_writer


@pytest.fixture
def benchmark(photos: Path, fake_schemes: Maker, tmp_path: Path) -> "Run":
    return Run(photos, fake_schemes, tmp_path / "r.json")


class Run:
    """The command with fakes as schemes."""

    def __init__(self, photos: Path, make: Maker, out: Path) -> None:
        self.photos, self.make, self.out = photos, make, out

    def __call__(self, *options: str) -> Result:
        arguments = ["--dataset", str(self.photos), "--out", str(self.out), *options]
        return CliRunner().invoke(command, arguments, obj=self.make)


def test_file_and_table(benchmark: Run) -> None:
    done = benchmark(
        "--schemes", "a+noisy,b+noisy", "--snr", "1,10", "--cbr", "1/16,1/200", "--limit", "3"
    )
    assert done.exit_code == 0, done.exception
    document = json.loads(benchmark.out.read_text())
    assert document["dataset"]["names"] == ["p0.png", "p1.png", "p2.png"]
    assert len(document["cells"]) == 2 * 2 * 2
    assert document["schemes"]["a+noisy"] == {"family": "a", "strength": 1.0}
    (run,) = document["runs"]
    assert run["command"].split()[0] == "witt"
    assert {"commit", "version", "machine", "seconds", "jobs"} <= set(run)
    mean = sum(document["cells"][0]["images"]["psnr_db"]) / 3
    assert f"{mean:.2f}" in done.stdout
    assert "photos (3 pictures), AWGN, CBR 1/16" in done.stdout
    assert "–" in done.stdout
    notes = [line for line in done.stderr.splitlines() if line.startswith("Note: ")]
    assert notes == [
        f"Note: {name} cannot send every picture at 2 of 4 conditions, which have no mean: "
        "needs a CBR of 0.01"
        for name in ("a+noisy", "b+noisy")
    ]


def test_more_ratios_than_snrs_are_the_columns(benchmark: Run) -> None:
    done = benchmark("--schemes", "a+noisy", "--snr", "7", "--cbr", "1/16,1/8", "--no-ms-ssim")
    assert "SNR 7 dB" in done.stdout
    assert "1/8" in done.stdout
    assert "MS-SSIM" not in done.stdout


def test_the_same_command_goes_on_and_others_are_refused(benchmark: Run) -> None:
    options = ["--schemes", "a+noisy", "--snr", "1", "--no-ms-ssim"]
    assert benchmark(*options).exit_code == 0
    before = json.loads(benchmark.out.read_text())
    assert benchmark(*options).exit_code == 0
    assert json.loads(benchmark.out.read_text()) == before  # nothing to do, nothing written
    assert benchmark(*options, "--channel", "awgn,rayleigh").exit_code == 0
    assert len(json.loads(benchmark.out.read_text())["cells"]) == 2
    for other in (["--seed", "1"], ["--limit", "2"], ["--ms-ssim"]):
        assert isinstance(benchmark(*options, *other).exception, InputError), other


def test_a_second_writer_is_refused(benchmark: Run) -> None:
    options = ["--schemes", "a+noisy", "--snr", "1", "--no-ms-ssim"]
    assert benchmark(*options).exit_code == 0
    before = benchmark.out.read_bytes()
    with sole_writer(benchmark.out):
        error = benchmark(*options, "--channel", "rayleigh").exception
    assert isinstance(error, InputError)
    assert "r.json: another witt process is writing it" in str(error)
    assert benchmark.out.read_bytes() == before
    assert not list(benchmark.out.parent.glob(".*"))


# Sends no picture until it may.
HELD = """
import pathlib, sys, time
import cli
from benchmarks.schemes.softcast import SoftCast
folder, send = pathlib.Path(sys.argv.pop(1)), SoftCast.send_one
def held(self, pixels, link, snr_db, cbr, seed):
    if snr_db < 4:  # not the small picture of its record, which is sent at 10 dB
        (folder / "started").touch()
        while not (folder / "go").exists():
            time.sleep(0.05)
    return send(self, pixels, link, snr_db, cbr, seed)
SoftCast.send_one = held
cli.main()
"""


@pytest.mark.slow
def test_two_processes_lose_nothing(photos: Path, tmp_path: Path) -> None:
    """Two commands with one --out at a time: one line and exit code 2 for the second."""
    out = tmp_path / "c.json"
    common = ["benchmark", "--dataset", str(photos), "--schemes", "softcast", "--out", str(out)]
    common += ["--no-ms-ssim", "--snr"]
    root = Path(__file__).parents[3]

    def second() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli", *common, "4:20"]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=200)

    held = [sys.executable, "-c", HELD, str(tmp_path), *common, "1,2,3"]
    with subprocess.Popen(held, cwd=root) as first:
        try:
            deadline = time.monotonic() + 200
            while not (tmp_path / "started").exists() and time.monotonic() < deadline:
                assert first.poll() is None
                time.sleep(0.1)
            refused = second()
        finally:
            (tmp_path / "go").touch()
        assert first.wait(200) == 0
    assert refused.returncode == 2
    (line,) = [one for one in refused.stderr.splitlines() if not one.startswith("Note: ")]
    assert line.startswith(f"Error: {out}: another witt process is writing it")
    assert {cell.snr_db for cell in read_results(out).cells} == {1, 2, 3}
    assert second().returncode == 0
    results = read_results(out)
    assert {cell.snr_db for cell in results.cells} == set(range(1, 21))
    assert all(results.finished(cell) for cell in results.cells)


def test_a_scheme_that_fails_is_named_at_the_end(
    photos: Path, fake_schemes: Maker, tmp_path: Path
) -> None:
    class Broken:
        name = family = "broken"

        def record(self) -> dict[str, str]:
            return {"weights": "1"}

        def send(self, *_: object) -> list[Sent]:
            raise RuntimeError("no more\nink")

    def make(names: Sequence[str], weights: Mapping[str, str]) -> list[Scheme]:
        return [Broken(), *fake_schemes(["a+noisy"], weights)]

    run = Run(photos, make, tmp_path / "r.json")
    done = run("--schemes", "broken,a+noisy", "--snr", "1", "--no-ms-ssim")
    assert isinstance(done.exception, InputError)
    assert re.fullmatch(
        r"broken failed at 1 of 1 conditions, which are tried again next time: RuntimeError: "
        r"no more ink \(test_benchmark\.py, line \d+\)",
        str(done.exception),
    )
    assert "a + noisy" in done.stdout  # the table is there
    broken, well = json.loads(run.out.read_text())["cells"]
    assert "no more ink" in broken["failed"]
    assert broken["done"] == []
    assert well["done"] == [0, 1, 2, 3]


def test_what_cannot_be_done_is_a_note(photos: Path, tmp_path: Path) -> None:
    """No capacity is known for a channel that changes within a picture, in blocks."""
    arguments = ["--dataset", str(photos), "--out", str(tmp_path / "r.json"), "--snr", "10"]
    arguments += ["--schemes", "jpeg+capacity,linear", "--no-ms-ssim", "--limit", "1"]
    arguments += ["--channel", "rayleigh", "--coherence", "50"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.exception
    assert (
        "Note: jpeg+capacity cannot send every picture at 1 of 1 conditions, which have no mean: "
        "no capacity for Rayleigh, block fading (50 symbols)"
    ) in done.stderr
    cells = {
        cell["scheme"]: cell for cell in json.loads((tmp_path / "r.json").read_text())["cells"]
    }
    assert cells["jpeg+capacity"]["images"]["psnr_db"] == [None]
    assert cells["softcast"]["images"]["psnr_db"][0] > 20


def test_ratios_and_channels_named_twice_are_one(benchmark: Run) -> None:
    options = ["--schemes", "a+noisy,a+noisy", "--snr", "1,1.0", "--cbr", "1/16,0.0625"]
    assert benchmark(*options, "--channel", "awgn,awgn", "--no-ms-ssim").exit_code == 0
    assert len(json.loads(benchmark.out.read_text())["cells"]) == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--schemes", "unknown+noisy"], "choose from a+noisy, b+noisy"),
        (["--schemes", " , "], "--schemes is empty"),
        (["--dataset", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line(benchmark: Run, options: list[str], named: str) -> None:
    done = benchmark(*options)
    assert isinstance(done.exception, InputError)
    assert named in str(done.exception)
    assert not benchmark.out.exists()


def test_weights_are_name_and_file(benchmark: Run, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    done = benchmark(
        "--schemes", "a+noisy", "--snr", "1", "--no-ms-ssim", "--weights", f"a+noisy={notes}"
    )
    assert done.exit_code == 0
    assert len(notes.read_text().splitlines()) == 4
    error = benchmark("--schemes", "a+noisy", "--weights", f"b+noisy={notes}").exception
    assert "b+noisy=…: no scheme is called so here, only a+noisy" in str(error)
    error = benchmark("--schemes", "a+noisy", "--weights", "x/justafile").exception
    assert "justafile=…: no scheme is called so here, only a+noisy" in str(error)
    for text in ("=file", "name="):
        done = benchmark("--schemes", "a+noisy", "--weights", text)
        assert done.exit_code == 2
        assert "is not NAME=FILE" in done.stderr


def test_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from collections import Counter

    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    time_left = TimeLeft(Counter({Kind("a", True): 100}))
    with Meter(time_left) as meter:
        time_left.record(Kind("a", True), 20, 40.0)
        meter.update("a")
        now += 31
        meter.update("a")
        meter.update("a")
    assert capsys.readouterr().err == "20 %  2:40 left  a\n"


def test_a_stop_costs_seconds_of_work_at_most() -> None:
    assert SAVE_SECONDS <= 10


def test_options_as_those_of_evaluate(benchmark: Run, tmp_path: Path) -> None:
    """The folder as an argument, --json, and the folder of a run as weights with its name."""
    words = ["--schemes", "a+noisy", "--snr", "1", "--metric", "psnr", "-o", str(benchmark.out)]
    both = [str(benchmark.photos), "--dataset", str(benchmark.photos), *words]
    for named, said in ((both, "a benchmark is of one folder"), (words, "name a folder of pict")):
        error = CliRunner().invoke(command, named, obj=benchmark.make).exception
        assert isinstance(error, InputError)
        assert said in str(error)
    done = CliRunner().invoke(
        command, [str(benchmark.photos), *words, "--json"], obj=benchmark.make
    )
    assert done.exit_code == 0, done.exception
    assert done.stdout == benchmark.out.read_text()
    assert "AWGN, CBR 1/16" in done.stderr
    notes = tmp_path / "mine"  # what the fakes take for weights
    done = benchmark("--weights", str(notes), "--snr", "4", "--metric", "psnr", "--limit", "1")
    assert isinstance(done.exception, InputError)  # the file is of all pictures
    benchmark.out = tmp_path / "other.json"
    done = benchmark("--weights", str(notes), "--snr", "4", "--metric", "psnr", "--limit", "1")
    assert done.exit_code == 0, done.exception
    assert [cell.scheme for cell in read_results(benchmark.out).cells] == ["mine"]
    assert notes.read_text().startswith("mine awgn 4")
