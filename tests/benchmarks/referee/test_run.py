"""Schemes before the referee: honest ones hold, each lie is marked, and nothing crosses."""

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import cli
from benchmarks.commands.referee import command
from benchmarks.referee import processes, program
from benchmarks.referee.measure import used
from benchmarks.referee.run import needs_true_gains
from benchmarks.referee.verdict import check_picture, check_samples
from benchmarks.schemes.scheme import Scheme
from witt.errors import InputError
from witt.link.conditions import Link

# A thumbnail in plain QPSK, its size in front: honest but for what it is told to lie about.
OWN = """
from pathlib import Path
import numpy as np
from benchmarks.schemes.scheme import OneByOne, Sent

KEPT = []

class Thumb(OneByOne):
    def __init__(self, power=1.0, more=0, boast=False, peek=False):
        self.power, self.more, self.boast, self.peek = power, more, boast, peek

    def to_samples(self, pixels, link, snr_db, cbr):
        if self.peek:
            KEPT.append(pixels)
            for folder in (Path.cwd(), Path(__import__("tempfile").gettempdir())):
                np.save(folder / "kept.npy", pixels)
        head = np.array(pixels.shape[:2], ">u2").tobytes()
        bits = np.unpackbits(np.frombuffer(head + pixels[::8, ::8].tobytes(), np.uint8))
        bits = np.append(bits, np.arange(2 * self.more) % 2)
        signs = 1 - 2.0 * bits.reshape(-1, 2)
        return (self.power / 2) ** 0.5 * (signs[:, 0] + 1j * signs[:, 1])

    def from_samples(self, samples, csi):
        if self.peek:
            files = list(Path.cwd().glob("*.npy"))
            return KEPT[0] if KEPT else np.load(files[0]) if files else None
        y = samples if csi is None else samples / csi.h
        data = np.packbits(np.stack([y.real < 0, y.imag < 0], 1).ravel()).tobytes()
        height, width = map(int, np.frombuffer(data[:4], ">u2"))
        small = np.frombuffer(data[4:], np.uint8)[: -(-height // 8) * -(-width // 8) * 3]
        small = small.reshape(-(-height // 8), -(-width // 8), 3)
        return small.repeat(8, 0).repeat(8, 1)[:height, :width]

    def send_one(self, pixels, link, snr_db, cbr, seed):
        samples = Thumb().to_samples(pixels, link, snr_db, cbr)
        shown = pixels if self.boast or self.peek else Thumb().from_samples(samples, None)
        return Sent(shown, len(samples), {"header_bits": 32})

class Together(OneByOne):
    def send_one(self, pixels, link, snr_db, cbr, seed):
        return Sent(pixels, 1, {})

class Broken(Thumb):
    def from_samples(self, samples, csi):
        raise RuntimeError("out of order")
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program without an interpreter of its own, which takes seconds to start."""

    def run(scheme: Scheme, folder: Path, arguments: Sequence[str]) -> str:
        module, *rest = arguments
        if module == "cli":
            monkeypatch.chdir(folder)
            with contextlib.redirect_stdout(io.StringIO()):
                failed = cli._run(rest)
            monkeypatch.undo()
            monkeypatch.setattr(processes, "_run", run)
        else:
            failed = program.main(rest[0], folder)
        if failed:
            raise InputError(f"{scheme.name}: {rest[0]} failed")
        return ""

    monkeypatch.setattr(processes, "_run", run)


def referee(photos: Path, out: Path, schemes: str, *options: str) -> Result:
    condition = ["--snr", "20", "--cbr", "1/8", "--limit", "2", "--no-ms-ssim"]
    arguments = ["--data", str(photos), "--schemes", schemes, "-o", str(out), *condition, *options]
    return CliRunner().invoke(command, arguments)


@pytest.mark.usefixtures("in_this_process")
def test_each_lie_is_marked_and_honesty_is_not(photos: Path, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "referee.json"
    lies = {
        "honest": "",
        "loud": ":power=1.2",
        "long": ":more=100",
        "boaster": ":boast=true",
    }
    schemes = ",".join(f"{name}={own}:Thumb{lie}" for name, lie in lies.items())
    done = referee(photos, out, schemes)
    assert done.exit_code == 0, done.exception
    document = json.loads(out.read_text())
    wrong = {
        name: {c["what"] for p in one["pictures"] for c in p["checks"] if not c["holds"]}
        for name, one in document["schemes"].items()
    }
    assert wrong == {
        "honest": set(),
        "loud": {"mean power"},
        "long": {"symbols"},
        "boaster": {"PSNR dB"},
    }
    rows = [line.split() for line in done.stdout.splitlines()]
    marks = {row[0]: row[1] for row in rows if row and row[0] in lies}
    assert marks == {"honest": "✓", "loud": "✗", "long": "✗", "boaster": "✗"}
    assert "✗ long: symbols 1,888 claimed, 1,988 measured (+100, +5.30 %)" in done.stdout
    assert "✗ loud: mean power 1 claimed, 1.2 measured (+0.79 dB)" in done.stdout
    picture = document["schemes"]["honest"]["pictures"][0]
    measured = picture["measured"]
    assert measured["samples"] == measured["symbols"] == picture["claimed"]["channel_uses"] == 1888
    assert measured["cbr"] == 1888 / (96 * 100 * 3)
    assert measured["papr_db"] == pytest.approx(0, abs=1e-5)
    assert measured["psnr_db"] == picture["claimed"]["psnr_db"]
    assert {"commit", "version", "machine", "command"} <= set(document["run"])
    assert document["condition"]["seed"] == 0
    assert document["tolerances"]["symbols"] == 0


def test_nothing_crosses_but_the_samples(photos: Path, own: Path, tmp_path: Path) -> None:
    """A scheme that keeps the original in memory, its folder and the temporary one loses it."""
    out = tmp_path / "referee.json"
    done = referee(photos, out, f"peek={own}:Thumb:peek=true", "--limit", "1")
    assert done.exit_code == 0, done.exception
    (picture,) = json.loads(out.read_text())["schemes"]["peek"]["pictures"]
    assert picture["measured"]["lost"]
    (lost,) = [check for check in picture["checks"] if check["what"] == "lost"]
    assert not lost["holds"]
    assert not list(tmp_path.rglob("kept.npy"))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("channel", ["awgn", "rayleigh"])
def test_shipped_weights_go_by_the_commands(photos: Path, tmp_path: Path, channel: str) -> None:
    """What witt send and witt receive do is what witt benchmark says of the same picture."""
    out = tmp_path / "referee.json"
    done = referee(photos, out, "witt_light", "--channel", channel, "--limit", "1", "--snr", "10")
    assert done.exit_code == 0, done.exception
    (picture,) = json.loads(out.read_text())["schemes"]["witt_light"]["pictures"]
    measured = picture["measured"]
    assert not measured["lost"], picture["receiver"]
    assert measured["side_information_symbols"] > 100
    assert measured["samples"] > 1.03 * measured["symbols"]
    names = {check["what"]: check["holds"] for check in picture["checks"]}
    assert names.pop("PSNR dB") in (True, False)  # of a small picture, noise decides
    assert names == dict.fromkeys(
        ("symbols", "mean power", "header bits", "symbols of side information"), True
    )


@pytest.mark.usefixtures("in_this_process")
def test_what_cannot_be_looked_at(photos: Path, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "referee.json"
    done = referee(photos, out, f"{own}:Together,broken={own}:Broken")
    assert "Together: not looked at: no separate encoder and decoder" in done.stdout
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == "broken: broken: receive failed"
    schemes = json.loads(out.read_text())["schemes"]
    assert schemes["Together"]["no_ends"] == "Together: no separate encoder and decoder"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--schemes", "jpeg+capacity"], "jpeg+capacity: a bound, not a system"),
        (["--schemes", "nobody"], "no scheme is called 'nobody'"),
        (["--schemes", ","], "--schemes is empty"),
        (["--data", "nowhere"], "nowhere"),
        (["--weights", "mine=x"], "no scheme is called so here"),
        (["-o", "."], "is a folder"),
    ],
)
def test_bad_input(
    photos: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["referee", "--data", str(photos), "--schemes", "jpeg+ldpc", *options])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_lost_picture_is_judged_by_the_claims_own_chance() -> None:
    claim = {"psnr_db": 30.0, "lost": False, "survival": 0.9}
    (check,) = check_picture(claim, {"psnr_db": 10.0}, False, "a CRC failed")
    assert check.holds
    assert check.note == "a CRC failed; a chance of 0.1 by the claim"
    assert not check_picture({**claim, "survival": 1.0}, {}, False, "")[0].holds
    assert not check_picture({"psnr_db": 30.0}, {}, False, "")[0].holds
    assert check_picture({**claim, "lost": True}, {"psnr_db": 30.0}, True, "")[0].holds
    assert not check_picture({**claim, "lost": True, "survival": 0.001}, {}, True, "")[0].holds


def test_the_power_of_few_random_symbols_is_no_lie() -> None:
    """Four standard errors: 64QAM of 200 symbols is within 0.75 dB, of 100,000 within 0.1 dB."""
    levels = np.arange(-7, 8, 2) / 42**0.5
    draw = np.random.default_rng(1).choice
    few = (draw(levels, 200) + 1j * draw(levels, 200)).astype(np.complex64)
    loud = (1.1**0.5 * few).astype(np.complex64)
    assert check_samples({"channel_uses": 200}, used(loud), 200)[1].holds
    many = (draw(levels, 100_000) + 1j * draw(levels, 100_000)).astype(np.complex64)
    assert check_samples({"channel_uses": 100_000}, used(many), 100_000)[1].holds
    loud = (1.1**0.5 * many).astype(np.complex64)
    assert not check_samples({"channel_uses": 100_000}, used(loud), 100_000)[1].holds


def test_who_is_told_the_gains() -> None:
    assert not needs_true_gains(Link())
    assert not needs_true_gains(Link("rayleigh", "block"))
    assert needs_true_gains(Link("rayleigh"))
    assert needs_true_gains(Link("rician", "block", 64))
