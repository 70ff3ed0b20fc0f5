"""`witt benchmark`: from the command line to the file."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.benchmark import command
from benchmarks.execute import SAVE_SECONDS
from benchmarks.pace import Kind, Pace
from benchmarks.progress import Meter
from benchmarks.sweep import Maker
from witt.errors import InputError


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
    done = benchmark("--schemes", "a+noisy", "--weights", "justafile")
    assert done.exit_code == 2
    assert "NAME=FILE" in done.stderr


def test_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from collections import Counter

    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    pace = Pace(Counter({Kind("a", True): 100}))
    with Meter(pace) as meter:
        pace.saw(Kind("a", True), 20, 40.0)
        meter.update("a")
        now += 31
        meter.update("a")
        meter.update("a")
    assert capsys.readouterr().err == "20 %  2:40 left  a\n"


def test_a_stop_costs_seconds_of_work_at_most() -> None:
    assert SAVE_SECONDS <= 10
