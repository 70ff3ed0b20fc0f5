"""`witt.fit`: any module that keeps the contract learns, from Python."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import channels
import witt
from tests.witt.tiny import seeded


class Blocks(nn.Module):
    """A linear map of 4×4 blocks to two symbols and back; knows nothing of `witt.Codec`."""

    def __init__(self) -> None:
        super().__init__()
        self.there, self.back = nn.Conv2d(3, 4, 4, 4), nn.ConvTranspose2d(4, 3, 4, 4)

    def encode(
        self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None
    ) -> tuple[Tensor, witt.Header]:
        pairs = self.there(image - 0.5).permute(0, 2, 3, 1).reshape(len(image), -1, 2)
        symbols = channels.normalise_power(torch.view_as_complex(pairs.contiguous())).x
        return symbols, witt.Header.of(image, snr_db)

    def decode(
        self, symbols: Tensor, header: witt.Header, noise_var: Tensor | None = None
    ) -> Tensor:
        height, width = (side // 4 for side in header.size)
        features = torch.view_as_real(symbols).reshape(len(symbols), height, width, 4)
        return 0.5 + self.back(features.permute(0, 3, 1, 2))


class OfThePackage(Blocks, witt.Codec):
    """The same as a `witt.Codec`."""

    def encode(self, *args: object) -> witt.Encoded:  # type: ignore[override]
        return witt.Encoded(*super().encode(*args))  # type: ignore[arg-type]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ramps of one colour each."""
    for i in range(4):
        ramp = np.linspace(20 + 20 * i, 235 - 20 * i, 32)[:, None, None]
        pixels = np.broadcast_to(ramp, (32, 32, 3)).astype(np.uint8)
        witt.write_png(tmp_path / f"{i}.png", np.ascontiguousarray(pixels))
    return tmp_path


@torch.no_grad()
def quality(model: nn.Module, image: Tensor) -> float:
    symbols, header = model.encode(image, 10.0)
    out = channels.AWGN()(symbols, 10.0, generator=seeded())
    return float(witt.psnr(model.decode(out.y, header), image))


@pytest.mark.parametrize("kind", [Blocks, OfThePackage])
def test_a_module_learns(kind: type[nn.Module], photos: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind()
    image = witt.to_tensor(witt.read_image(photos / "0.png").pixels)
    before = quality(model, image)
    record = witt.fit(model, photos, snr=10, steps=60, crop=16, batch=4, lr=0.02, workers=0)
    assert quality(model, image) > before + 3
    assert record.steps == 60
    assert not model.training
    assert repr(record).startswith("Fitted(60 steps in ")
    assert record.log[-1]["step"] == 60
    assert record.psnr_db == record.log[-1]["psnr_db"]


def test_channel_and_loss_of_ones_own(photos: Path) -> None:
    """A channel object and a function are taken as they are."""
    seen: list[int] = []

    class Silent(channels.AWGN):
        def forward(self, x: Tensor, *args: object, **more: object) -> channels.ChannelOutput:
            seen.append(len(x))
            return super().forward(x, *args, **more)  # type: ignore[arg-type]

    def absolute(received: Tensor, image: Tensor) -> Tensor:
        return (received - image).abs().mean(dim=(1, 2, 3))

    settings = {"crop": 16, "batch": 2, "workers": 0}
    witt.fit(Blocks(), photos, channel=Silent(), loss=absolute, steps=3, **settings)
    assert seen.count(2) == 3


def test_codecs_of_ours_say_what_they_were_trained_for(photos: Path) -> None:
    model = witt.create_model("deepjscc", rate_adaptive=True, dims=(4, 6), depths=(1, 1))
    settings = {"crop": 16, "batch": 2, "workers": 0, "steps": 2}
    witt.fit(model, photos, snr=(2, 8), cbr=["1/32", "1/24"], **settings)
    assert model.served_cbr == model.config.cbr_range == (1 / 32, 1 / 24)
    assert model.snr_range_db == (2, 8)


def test_what_does_not_fit_is_refused(photos: Path) -> None:
    with pytest.raises(witt.InputError, match="how long to train"):
        witt.fit(Blocks(), photos)
    with pytest.raises(witt.InputError, match="colour"):
        witt.fit(Blocks(), photos, steps=1, colour=3)
    with pytest.raises(witt.InputError, match="must be a multiple of 4"):
        witt.fit(witt.create_model("deepjscc"), photos, steps=1, crop=18)
