"""A codec that is not ours goes through the commands like ours, by the contract alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import channels
import cli
import witt
from tests.witt.tiny import picture as noise_picture
from tests.witt.tiny import seeded
from witt.link.per_image_optimisation import PerImageOptimisation
from witt.registry import load_file
from witt.training.config import TrainConfig
from witt.training.gradient import Gradient
from witt.training.objective import Draws, send_whole
from witt.training.processes import Processes

OWN = Path(__file__).parents[3] / "examples" / "own_codec.py"
SOURCE = f"{OWN}:MyCodec"
FACTORY = """
from own_codec import MyCodec

def small(width: int = 4):
    return MyCodec(width)

def nothing():
    return 3
"""


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    return int(stop.value.code or 0)


@pytest.fixture
def codec() -> witt.Codec:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made: witt.Codec = load_file(OWN).MyCodec(width=4)
    return made


@pytest.fixture
def trained(picture: Path, tmp_path: Path) -> Path:
    size = ("--crop", 16, "--batch", 2, "--workers", 0, "--cbr", "1/16,1/24", "--steps", 2)
    out = tmp_path / "run"
    assert run("train", "--preset", SOURCE, "--set", "width=4", "--data", picture.parent,
               "--channel", "awgn,rayleigh", *size, "--out", out) == 0  # fmt: skip
    return out


def test_a_run_is_weights_everywhere(
    trained: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "--resume", "--steps", 3, "--workers", 0, "--out", trained) == 0
    model = witt.load(trained)
    assert (type(model).__name__, model.config) == ("MyCodec", {"width": 4})
    tx = tmp_path / "tx.npz"
    assert run("send", picture, "-o", tx, "--weights", trained) == 0
    assert run("receive", tx, "-o", tmp_path / "out.png", "--channel", "rayleigh") == 0
    over = ("--weights", trained, "--channel", "rayleigh")
    assert run("transmit", picture, "-o", tmp_path, *over) == 0
    received = [tmp_path / name for name in ("out.png", "photo_received.png")]
    assert np.array_equal(*(witt.read_image(path).pixels for path in received))
    capsys.readouterr()
    assert run("evaluate", picture, *over, "--snr", 5, "--no-ms-ssim", "--adapt", 1, "--json") == 0
    assert "psnr_db" in capsys.readouterr().out
    assert run("export", "--weights", trained, "-o", tmp_path / "onnx") == 2
    assert "MyCodec cannot be exported" in capsys.readouterr().err
    assert run("info", trained) == 0
    assert "width" in capsys.readouterr().out


def test_the_hub_way(codec: witt.Codec, tmp_path: Path) -> None:
    codec.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {"codec": SOURCE, "width": 4}
    for back in (witt.load(tmp_path), type(codec).from_pretrained(tmp_path)):
        assert type(back) is type(codec)
        for name, tensor in codec.state_dict().items():
            assert torch.equal(back.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("preset", "setting", "named"),
    [
        (SOURCE, "depth=3", "--set depth: unknown; choose from width"),
        (SOURCE, "width=1,2", "--set width=[1, 2]: it must be a whole number"),
        ("make.py:small", "classes=3", "--set classes: unknown; choose from width"),
        ("make.py:nothing", None, "makes int, not a witt.Codec"),
    ],
)
def test_what_does_not_fit_names_its_own_entries(
    preset: str, setting: str | None, named: str, picture: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "own_codec.py").write_text(OWN.read_text())
    (tmp_path / "make.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    more = () if setting is None else ("--set", setting)
    out = tmp_path / "run"
    assert run("train", "--preset", preset, *more, "--data", picture.parent, "--out", out) == 2
    assert named in capsys.readouterr().err
    assert not out.exists()


def test_a_batch_in_training_is_its_images(codec: witt.Codec) -> None:
    """Each over its own channel, at its own SNR, with its own gain and noise."""
    image, over = picture_of(3), [channels.AWGN(), channels.Rayleigh()]
    h = channels.complex_normal((3, 400), generator=seeded(1))
    noise = channels.complex_normal((3, 400), generator=seeded(2))
    snr = torch.tensor([3.0, 9.0, 15.0])
    drawn = Draws(snr, torch.tensor([1, 1, 1]), h, noise)
    together = send_whole(codec, image, drawn, over, (1 / 24, 1 / 16), first=1)
    for i in range(3):
        encoded = codec.encode(image[i : i + 1], snr[i : i + 1], 1 / 16)
        n = encoded.symbols.shape[1]
        channel = over[(i + 1) % 2]
        gain = h[i : i + 1, :n] if channel.fading else None
        given = {"h": gain, "noise": noise[i : i + 1, :n]}
        alone = codec.carry(encoded, channel, snr[i : i + 1], **given)
        torch.testing.assert_close(together[i : i + 1], alone.image)


def test_every_cbr_is_trained(codec: witt.Codec) -> None:
    """A batch has one of those that were asked for."""
    cbrs = ("1/24", "1/16")
    config = TrainConfig("MyCodec", ("photos",), cbr=cbrs, steps=1, batch=1, crop=16)
    gradient, sent = Gradient(config, codec, Processes(torch.device("cpu"))), set[int]()
    encode = codec.encode
    codec.encode = lambda image, snr, cbr: sent.add(round(1 / cbr)) or encode(image, snr, cbr)  # type: ignore[method-assign, assignment, func-returns-value]
    for step in range(8):
        gradient(picture_of(1), step)
    assert sent == {16, 24}


def test_per_image_optimisation_helps(codec: witt.Codec) -> None:
    """Through `decode` alone; the power stays 1."""
    image, how = picture_of(1), PerImageOptimisation(8, channels.AWGN())
    errors = []
    with torch.inference_mode():
        for encoded in (codec.encode(image, 15.0), how.encode(codec, image, 15.0)):
            assert float(encoded.symbols.abs().square().mean()) == pytest.approx(1, abs=1e-5)
            sent = [
                codec.carry(encoded, channels.AWGN(), 15.0, generator=seeded(seed)).image
                for seed in range(6)
            ]
            errors.append(float(torch.stack([(x - image).square().mean() for x in sent]).mean()))
    assert errors[1] < errors[0]


def picture_of(batch: int) -> torch.Tensor:
    return noise_picture(batch, 16, 16).float()
