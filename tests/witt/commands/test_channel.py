"""`witt channel`, and pictures that go over it as samples."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf

import cli
import witt
from witt.radio.frame import PREAMBLE
from witt.radio.samples import Recording, read_samples, write_samples

ROOT = Path(__file__).parents[3]


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    return int(stop.value.code or 0)


@pytest.fixture
def sent(weights: Path, picture: Path, tmp_path: Path) -> Path:
    """A frame of a small picture at 20 dB."""
    path = tmp_path / "tx.sigmf"
    assert run("send", picture, "-o", path, "--weights", weights, "--snr", 20, "--cbr", "1/8") == 0
    return path


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """100,000 samples of unit power."""
    path = tmp_path / "ones.sigmf"
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, 100_000)
    write_samples(path, Recording(np.exp(1j * phases).astype(np.complex64)))
    return path


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--model", "rayleigh"),
        ("--model", "rician", "--coherence", 50, "--delay", 1234),
        ("--frequency-offset", 4321, "--phase-noise", 20),
    ],
)
def test_noise_is_what_was_asked_for(quiet: Path, tmp_path: Path, more: tuple[Any, ...]) -> None:
    """y − h x is CN(0, N0) for the gains that --csi writes, at −3 dB; gains have unit power."""
    rx, csi = tmp_path / "rx.sigmf", tmp_path / "csi.sigmf"
    assert run("channel", quiet, "-o", rx, "--snr", -3, "--csi", csi, *more) == 0
    x, y, h = (read_samples(each).samples for each in (quiet, rx, csi))
    delay = len(y) - len(x)
    assert delay == (1234 if "--delay" in more else 0)
    assert not h[:delay].any()
    noise = y - h * np.concatenate([np.zeros(delay), x])
    n0, count = 10**0.3, len(noise)
    assert float((np.abs(noise) ** 2).mean()) == pytest.approx(n0, rel=4 / np.sqrt(count))
    assert abs(noise.mean()) < 4 * np.sqrt(n0 / count)
    assert abs((noise**2).mean()) < 4 * n0 * np.sqrt(2 / count)
    power = float((np.abs(h[delay:]) ** 2).mean())
    assert power == pytest.approx(1, rel=4 / np.sqrt(count / 50))


def test_an_offset_turns_evenly(quiet: Path, tmp_path: Path) -> None:
    rx = tmp_path / "rx.sigmf"
    over = ("--snr", 100, "--frequency-offset", -2500)
    assert run("channel", quiet, "-o", rx, *over) == 0
    x, y = read_samples(quiet).samples, read_samples(rx).samples
    turns = np.exp(2j * np.pi * -0.0025 * np.arange(len(x)))
    assert np.allclose(y, x * turns, atol=1e-3)


def test_the_same_seed_gives_the_same_bytes(quiet: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.sigmf" for name in "abc"]
    for path, seed in zip(files, (5, 5, 6), strict=True):
        assert run("channel", quiet, "-o", path, "--seed", seed, "--model", "rayleigh") == 0
    first, second, third = (read_samples(path).samples for path in files)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)
    same = tmp_path / "again" / "a.sigmf"
    assert run("channel", quiet, "-o", same, "--seed", 5, "--model", "rayleigh") == 0
    assert same.read_bytes() == files[0].read_bytes()


def test_samples_are_those_of_a_frame(sent: Path, weights: Path) -> None:
    """Read by the library: of unit power, with a peak at the preamble, nothing beside them told."""
    file = sigmf.sigmffile.fromarchive(str(sent))
    samples = file.read_samples()
    assert float((np.abs(samples) ** 2).mean()) == pytest.approx(1, abs=0.01)
    assert len(samples) > PREAMBLE


@pytest.mark.parametrize("way", ["own", "ideal"])
def test_a_picture_over_the_air(
    way: str, sent: Path, weights: Path, picture: Path, tmp_path: Path
) -> None:
    """Without noise to speak of, the picture is that of the symbols, whatever the metadata say."""
    rx, csi, out = tmp_path / "rx.sigmf-meta", tmp_path / "csi.sigmf", tmp_path / "out.png"
    over = ("--snr", 60, "--delay", 300, "--frequency-offset", 3000, "--csi", csi)
    assert run("channel", sent, "-o", rx, *over) == 0
    bare = read_samples(rx)
    write_samples(rx, Recording(bare.samples, None))
    more = ("--synchronisation", "ideal", "--csi", csi) if way == "ideal" else ()
    assert run("receive", rx, "-o", out, "--weights", weights, *more) == 0
    straight = tmp_path / "straight.png"
    told = ("--synchronisation", "ideal", "--snr", 60)
    assert run("receive", sent, "-o", straight, "--weights", weights, *told) == 0
    found, expected = (witt.read_image(path).pixels.astype(int) for path in (out, straight))
    assert np.abs(found - expected).max() <= 2
    assert found.shape == witt.read_image(picture).pixels.shape


def test_ofdm_over_paths(
    weights: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The receiver finds out which waveform it is, and TDL-A of 300 ns does no harm to it."""
    tx, rx, out = (tmp_path / name for name in ("tx.sigmf", "rx.sigmf", "out.png"))
    rate = ("--sample-rate", 15.36e6)
    how = ("--weights", weights, "--snr", 20, "--waveform", "ofdm", *rate)
    assert run("send", picture, "-o", tx, *how) == 0
    over = ("--model", "tdl-a:delay_spread_ns=300", "--frequency-offset", 20e3, "--delay", 99)
    assert run("channel", tx, "-o", rx, "--snr", 30, *over) == 0
    assert run("receive", rx, "-o", out, "--weights", weights, *rate) == 0
    assert witt.read_image(out).pixels.shape == (40, 48, 3)
    capsys.readouterr()
    for model, named in (("ofdm-tdl-a", "channel of symbols"), ("tdl-a:x=3", "unexpected")):
        assert run("channel", tx, "-o", rx, "--model", model) == 2
        assert named in capsys.readouterr().err
    assert run("receive", rx, "-o", out, "--synchronisation", "ideal", *rate) == 2
    assert "a frame of OFDM" in capsys.readouterr().err


def test_pipes(sent: Path, weights: Path, picture: Path, tmp_path: Path) -> None:
    """send | channel | receive gives the picture that three files give."""
    rx, out = tmp_path / "rx.sigmf", tmp_path / "out.png"
    assert run("channel", sent, "-o", rx, "--snr", 20, "--seed", 3) == 0
    assert run("receive", rx, "-o", out, "--weights", weights) == 0
    call = f"{sys.executable} -m cli"
    line = (
        f"{call} send {picture} -o - --weights {weights} --snr 20 --cbr 1/8 | "
        f"{call} channel - -o - --snr 20 --seed 3 | "
        f"{call} receive - -o {tmp_path / 'piped.png'} --weights {weights}"
    )
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], env=where, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "piped.png").read_bytes() == out.read_bytes()


def test_a_cut_frame_gives_what_there_is(
    sent: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, cut, out = sent.read_bytes(), tmp_path / "cut.sigmf", tmp_path / "out.png"
    samples = read_samples(sent).samples
    start = content.index(samples.tobytes())
    cut.write_bytes(content[: start + 8 * (len(samples) - 400)])
    assert run("receive", cut, "-o", out, "--weights", weights) == 0
    err = capsys.readouterr().err
    assert "symbols are missing" in err
    assert len(err.splitlines()) == 1
    assert witt.read_image(out).pixels.shape == (40, 48, 3)
    out.unlink()
    cut.write_bytes(content[: start + 8 * (PREAMBLE + 60)])
    assert run("receive", cut, "-o", out, "--weights", weights) == 2
    assert "the file is not whole" in capsys.readouterr().err
    assert not out.exists()


def test_what_is_refused(
    sent: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"

    def refused(named: str, *args: object) -> None:
        before = {each: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
        capsys.readouterr()
        assert run(*args) == 2
        err = capsys.readouterr().err
        assert named in err, err
        assert len(err.splitlines()) == 1, err
        after = {each: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
        assert before == after

    def written(name: str, samples: Any, **more: Any) -> Path:
        path = tmp_path / name
        write_samples(path, Recording(np.asarray(samples, np.complex64), **more))
        return path

    rng = np.random.default_rng(0)
    noise = rng.standard_normal(20_000) + 1j * rng.standard_normal(20_000)
    mine = ("-o", out, "--weights", weights)
    refused("no preamble", "receive", written("noise.sigmf", noise), *mine)
    refused("no preamble", "receive", written("zeros.sigmf", np.zeros(5000)), *mine)
    refused("no preamble", "receive", written("short.sigmf", np.ones(9)), *mine)
    twice = np.repeat(read_samples(sent).samples, 2)
    refused("no preamble", "receive", written("twice.sigmf", twice), *mine)
    other = written("rate.sigmf", twice, sample_rate_hz=2e6)
    refused("give --sample-rate", "receive", other, *mine)
    refused("of other weights", "receive", sent, "-o", out)
    refused("no such file of samples", "receive", tmp_path / "none.sigmf", *mine)
    refused("give --synchronisation ideal", "receive", sent, *mine, "--snr", 5)
    refused("by witt channel", "receive", sent, *mine, "--channel", "awgn")
    ideal = ("--synchronisation", "ideal", "--csi", other)
    refused("how much noise", "receive", sent, *mine, *ideal)
    refused("not the gains of", "receive", sent, *mine, *ideal, "--snr", 5)
    refused("is the input", "channel", sent, "-o", sent)
    refused("is the input", "channel", sent, "-o", tmp_path / "o.sigmf", "--csi", sent)
    refused("named .sigmf", "channel", sent, "-o", tmp_path / "o.png")
    refused("half of the sample rate", "channel", sent, "--frequency-offset", 1e6)
    refused("half of the sample rate", "channel", sent, "--frequency-offset", "nan")
    refused("all samples are 0", "channel", tmp_path / "zeros.sigmf", "-o", tmp_path / "o.sigmf")
    loud = written("nan.sigmf", [1, 2, 3])
    loud.write_bytes(loud.read_bytes().replace(np.complex64(2).tobytes(), b"\xff" * 8))
    refused("not a number", "channel", loud, "-o", tmp_path / "o.sigmf")


def test_lost_in_noise(
    sent: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The preamble is found at −5 dB; the header was planned for 20 dB."""
    rx, out = tmp_path / "rx.sigmf", tmp_path / "out.png"
    assert run("channel", sent, "-o", rx, "--snr", -5) == 0
    capsys.readouterr()
    assert run("receive", rx, "-o", out, "--weights", weights) == 2
    assert "lost to the noise" in capsys.readouterr().err
    assert not out.exists()
