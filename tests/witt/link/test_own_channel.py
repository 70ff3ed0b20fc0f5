"""A channel of somebody's own: its noise reaches every receiver, and what it lacks is said."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import channels
import cli
import witt
from tests.witt.tiny import tiny
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.per_image_optimisation import PerImageOptimisation
from witt.link.requests import check_request
from witt.link.transmission import transmit
from witt.metrics.quality import psnr
from witt.registry import CHANNELS
from witt.training.config import TrainConfig
from witt.training.objective import draw_images

OWN = """
import torch
import channels

class Still(channels.Channel):  # noise that is zero: what is sent is what is received
    def draw(self, batch, n, *, dtype=torch.complex64, device=None, generator=None):
        return None, torch.zeros(batch, n, dtype=dtype, device=device)

class Turned(channels.Channel):  # a gain of its own, and no noise
    fading = True
    label = "Turned by a quarter"

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times

    def draw(self, batch, n, *, dtype=torch.complex64, device=None, generator=None):
        zero = torch.zeros(batch, n, dtype=dtype, device=device)
        return zero[:, :1] + 1j**self.times, zero

class Bare:
    fading = False

class Mute(channels.Channel):
    fading = None

class Short(channels.Channel):
    def draw(self, batch, n, **_):
        return None, torch.zeros(batch, n - 1, dtype=torch.complex64)

class Alone(channels.Channel):
    def draw(self, batch, n, **_):
        return torch.zeros(batch, n, dtype=torch.complex64)

class Gained(channels.Channel):
    def draw(self, batch, n, **_):
        noise = torch.zeros(batch, n, dtype=torch.complex64)
        return noise, noise

class Unseeded(channels.Channel):
    def draw(self, batch, n, **_):
        return None, torch.randn(batch, n, dtype=torch.complex64)

class Narrow(channels.Channel):
    def draw(self, batch, n):
        return None, torch.zeros(batch, n, dtype=torch.complex64)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def run(*args: object) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(map(str, args)))
    assert caught.value.code == 0


def test_its_noise_reaches_the_receiver(own: Path, weights: Path, picture: Path) -> None:
    pixels, model = witt.read_image(picture).pixels, witt.load(weights)
    for channel in ("Still", "Turned:times=3"):
        (draw,) = transmit(pixels, model, Link(f"{own}:{channel}"), 60.0, 1 / 16)
        torch.testing.assert_close(draw.sent.received, draw.sent.symbols, rtol=1e-4, atol=1e-4)
    (draw,) = transmit(pixels, model, Link(f"{own}:Still"), 0.0, 1 / 16)
    assert torch.equal(draw.sent.received, draw.sent.symbols)


def test_every_command_draws_from_it(
    own: Path, weights: Path, picture: Path, tmp_path: Path
) -> None:
    """At 0 dB what arrives is what arrives without noise, whatever the seed."""
    pixels, model = witt.read_image(picture).pixels, witt.load(weights)
    image = witt.to_tensor(pixels)
    with torch.inference_mode():
        encoded = model.encode(image, 0.0, 1 / 16)
        still = torch.zeros_like(encoded.symbols)
        expected = float(psnr(model.carry(encoded, channels.AWGN(), 0.0, noise=still).image, image))
    how = ["--snr", "0", "--channel", f"{own}:Still", "--seed", "7"]
    transmitted = tmp_path / "transmitted"
    how += ["--side-information", "ideal"]
    run("transmit", picture, "--weights", weights, *how, "--out", transmitted)
    received = witt.to_tensor(witt.read_image(transmitted / "photo_received.png").pixels)
    assert float(psnr(received, image)) == pytest.approx(expected, abs=1e-4)
    out = tmp_path / "e.json"
    run("evaluate", picture, "--weights", weights, *how, "--no-ms-ssim", "-o", out)
    assert json.loads(out.read_text())["results"][0]["psnr_db"] == pytest.approx(expected, abs=1e-4)
    out = tmp_path / "b.json"
    mine = ["--schemes", f"mine={weights}", "--no-ms-ssim", "-o", out]
    run("benchmark", "--dataset", picture.parent, *how, *mine)
    (cell,) = json.loads(out.read_text())["cells"]
    assert cell["images"]["psnr_db"] == [pytest.approx(expected, abs=1e-3)]


def test_training_and_adaptation_draw_from_it(own: Path) -> None:
    config = TrainConfig("witt_light", ("photos",), steps=1, channel=(f"{own}:Turned", "awgn"))
    over = [Link.of(name).module() for name in config.channel]
    drawn = draw_images(range(2), 12, over, (10.0,), False, (4,), seed=1)
    assert torch.equal(drawn.noise[0], torch.zeros(12, dtype=torch.complex64))
    assert (drawn.h[0] == 1j).all()
    assert float(drawn.noise[1].abs().mean()) > 0.5
    model, symbols = tiny(sends_scale=True), torch.randn(1, 6, 2)
    seen, _, scale = PerImageOptimisation(1, Link(f"{own}:Still").module())._received(
        model, symbols, torch.tensor([6]), torch.tensor([0.0]), torch.Generator()
    )
    torch.testing.assert_close(seen, symbols * scale[..., None])


def test_it_trains(own: Path, picture: Path, tmp_path: Path) -> None:
    small = ["--set", "dims=16,24,32", "--set", "depths=1,1,1", "--set", "heads=1,1,2"]
    short = ["--steps", "1", "--batch", "2", "--crop", "32", "--workers", "0"]
    out = ["--device", "cpu", "--no-tensorboard", "-o", tmp_path / "run"]
    channel = f"{own}:Turned:times=3"
    run("train", "--data", picture.parent, "--channel", channel, *small, *short, *out)
    model, training = witt.load_weights(tmp_path / "run" / "weights.safetensors")
    assert training["config"]["channel"] == [channel]
    with pytest.warns(UserWarning, match="AWGN is a channel .* it knows Turned:times=3"):
        check_request(model, [], [], [Link(), Link(channel)], training)


def test_what_results_say_of_it(own: Path) -> None:
    link = Link(f"{own}:Turned:times=3")
    assert (str(link), link.fades, link.slug) == ("Turned by a quarter", True, "Turned-times-3")
    record = link.record()
    assert record["channel"] == f"{own}:Turned:times=3"
    assert record["fades"] is True
    assert len(record["source"]) == len("sha256 ") + 64
    assert str(Link(f"{own}:Still")) == "Still"
    assert Link.of("rician:k_factor_db=3") == Link("rician", k_factor_db=3.0)
    assert Link.of("rayleigh:coherence=8") == Link("rayleigh", "block", 8)
    assert Link.of("rayleigh:coherence=null") == Link("rayleigh", "block")


def test_results_are_drawn_where_it_is_gone(
    own: Path, weights: Path, picture: Path, tmp_path: Path
) -> None:
    mine = ["--schemes", "mine", "--weights", f"mine={weights}"]
    out = tmp_path / "r.json"
    how = ["--snr", "0,5", "--channel", f"{own}:Turned:times=3", "--no-ms-ssim", "--out", out]
    run("benchmark", "--dataset", picture.parent, *mine, *how)
    before = json.loads(out.read_text())
    run("benchmark", "--dataset", picture.parent, *mine, *how)  # nothing is left to do
    again = json.loads(out.read_text())
    assert again["cells"] == before["cells"]
    assert len(again["runs"]) == len(before["runs"])
    own.unlink()
    run("plot", out, "-o", tmp_path / "drawn")
    (drawn,) = (tmp_path / "drawn").glob("*.svg")
    assert drawn.stem == "in-Turned-times-3-psnr-over-snr-at-cbr-1-16"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Bare", "a channel inherits from channels.Channel; Bare does not"),
        ("Mute", "fading must be True or False, not None"),
        ("Short", r"noise that draw\(2, 5\) returns must be .* \(2, 5\), not \(2, 4\)"),
        ("Alone", r"draw must return \(gain or None, noise\), not Tensor"),
        ("Gained", "draw returns a gain, but fading is False"),
        ("Unseeded", "take all random numbers from the generator"),
        ("Narrow", "unexpected keyword argument 'dtype'"),
        ("Turned:turns=2", "unexpected keyword argument 'turns'"),
        ("Other", "has nothing called Other"),
    ],
)
def test_what_is_no_channel_is_refused(own: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Link(f"{own}:{name}")
    with pytest.raises(InputError, match=says):
        TrainConfig("witt_light", ("photos",), steps=1, channel=(f"{own}:{name}",))


def test_the_command_refuses_in_one_line(
    own: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["transmit", str(picture), "--channel", f"{own}:Bare"])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Bare does not (see witt transmit --help)" in line


def test_help_lists_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("transmit", "evaluate", "train", "benchmark"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        told = "".join(capsys.readouterr().out.split())  # lines break at hyphens too
        assert (
            "Thereareawgn,rayleigh,rician,rayleigh-estimated,erasure,ofdm-awgn,ofdm-tdl-a" in told
        )
        assert "ofdm-cdl-e,andyourownasfile.py:Name.[default:" in told


def test_channels_of_ours_pass_the_check() -> None:
    named = [CHANNELS.make(name) for name in CHANNELS.names() if "cdl" not in name]
    for channel in (*named, channels.Rician(coherence=None)):
        channels.check_channel(channel)
        h, noise = channel.draw(3, 4, generator=torch.Generator().manual_seed(2))
        out = channel(torch.ones(3, 4, dtype=torch.complex64), 0.0, h=h, noise=noise)
        seeded = torch.Generator().manual_seed(2)
        assert torch.equal(
            out.y, channel(torch.ones(3, 4, dtype=torch.complex64), 0.0, generator=seeded).y
        )
        assert (h is not None) == channel.fading
    assert np.isclose(float(noise.abs().square().mean()), 1, atol=0.9)
