"""`witt send` and `witt receive`: symbols in a file between the two ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import channels
import cli
import witt
from tests.witt.tiny import every_kind, picture, seeded, tiny


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    return int(stop.value.code or 0)


@every_kind
def test_a_file_holds_all_that_the_receiver_needs(
    entries: dict[str, object], tmp_path: Path
) -> None:
    """Every bit of symbols and header, and so the same picture, straight and after a channel."""
    model, image = tiny(2, **entries), picture(2, 16, 24)
    sent = model.encode(image, torch.tensor([3.0, 9.0]))
    sent = replace(sent, source={"weights": "mine", "weights_sha256": "00"})
    sent.save(tmp_path / "tx.npz")
    back = witt.Encoded.load(tmp_path / "tx.npz")
    assert torch.equal(back.symbols, sent.symbols)
    assert (back.header.size, back.header.rate) == (sent.header.size, sent.header.rate)
    assert (back.header.bits, back.source) == (sent.header.bits, sent.source)
    assert torch.equal(back.header.snr_db, sent.header.snr_db)
    assert set(back.header.side) == set(sent.header.side)
    for name, entry in sent.header.side.items():
        assert torch.equal(back.header.side[name].value, entry.value)
        assert (torch.as_tensor(back.header.side[name].symbols) == entry.symbols).all()
    out = channels.Rayleigh()(back.symbols, 5.0, generator=seeded())
    back.received(*channels.mmse(*out)).save(tmp_path / "rx.npz")
    rx = witt.Encoded.load(tmp_path / "rx.npz")
    with torch.no_grad():
        expected = model.carry(sent, channels.Rayleigh(), 5.0, generator=seeded()).image
        assert torch.equal(model.decode(rx.symbols, rx.header, rx.noise_var), expected)


@pytest.mark.parametrize("channel", ["awgn", "rayleigh"])
def test_round_trip_is_what_transmit_does(
    channel: str, weights: Path, picture: Path, tmp_path: Path
) -> None:
    """The same channel, SNR and seed give the pixels of `witt transmit`, the header as received."""
    tx, out = tmp_path / "tx.npz", tmp_path / "out.png"
    assert run("send", picture, "-o", tx, "--weights", weights, "--snr", 7) == 0
    over = ("--channel", channel, "--snr", 7, "--seed", 3)
    assert run("receive", tx, "-o", out, *over) == 0
    ideal = ("--side-information", "ideal")
    assert run("transmit", picture, "--weights", weights, "-o", tmp_path, *over, *ideal) == 0
    there = witt.read_image(tmp_path / "photo_received.png").pixels
    assert np.array_equal(witt.read_image(out).pixels, there)


def test_straight(weights: Path, picture: Path, tmp_path: Path) -> None:
    """Without a channel the picture is that of the noise-free symbols."""
    tx, out = tmp_path / "tx.npz", tmp_path / "out.png"
    assert run("send", picture, "-o", tx, "--weights", weights) == 0
    assert run("receive", tx, "-o", out) == 0
    model, image = witt.load(weights), witt.to_tensor(witt.read_image(picture).pixels)
    with torch.inference_mode():
        expected = model.decode(*model.encode(image, 10.0, 1 / 16))
    assert np.array_equal(witt.read_image(out).pixels, witt.to_pixels(expected))


def test_what_is_refused(
    weights: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tx, out = tmp_path / "tx.npz", tmp_path / "out.png"
    assert run("send", picture, "-o", tx, "--weights", weights) == 0

    def refused(named: str, *args: object) -> None:
        capsys.readouterr()
        assert run("receive", *args, "-o", out) == 2
        err = capsys.readouterr().err
        assert named in err
        assert len(err.splitlines()) == 1
        assert not out.exists()

    refused("was made by other weights than deepjscc", tx, "--weights", "deepjscc")
    refused("give one", tx, "--snr", 3)
    refused("no such file of symbols", tmp_path / "none.npz")
    refused("not a file of witt send, or a damaged one", picture)
    data = tx.read_bytes()
    for cut in (b"", data[: len(data) // 2], data[:200] + b"\0" * 60 + data[260:]):
        (tmp_path / "bad.npz").write_bytes(cut)
        refused("not a file of witt send, or a damaged one", tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", symbols=np.zeros((1, 4), np.complex64))
    refused("not a file of witt send", tmp_path / "other.npz")
    encoded = witt.Encoded.load(tx)
    encoded.received(torch.full_like(encoded.symbols, float("nan"))).save(tmp_path / "nan.npz")
    refused("must be finite", tmp_path / "nan.npz")
    error = torch.full((1, 1), 0.1)
    encoded.received(0.9 * encoded.symbols, error).save(tmp_path / "rx.npz")
    refused("went over a channel already", tmp_path / "rx.npz", "--channel", "awgn")
    replace(encoded, source={}).save(tmp_path / "whose.npz")
    refused("give --weights", tmp_path / "whose.npz")


def test_send_replaces_no_input(
    weights: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = picture.read_bytes()
    assert run("send", picture, "-o", picture, "--weights", weights) == 2
    assert "is the input" in capsys.readouterr().err
    assert run("send", picture.parent, "--weights", weights) == 2
    assert "takes one picture" in capsys.readouterr().err
    assert picture.read_bytes() == before
