"""Maps of channel uses and of expected errors, of any codec."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import channels
import witt
from tests.witt.tiny import FULL, ODD, every_kind, picture, seeded, tiny
from witt.link.conditions import Link
from witt.link.side_link import CODED, IDEAL, carry_coded, encode_coded
from witt.link.transmission import transmit
from witt.regions import evenly, over_pixels, shared_by_pixels
from witt.side_information import Coding


class Plain(witt.Codec):
    """Two methods and nothing else."""

    def encode(self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None) -> Any:
        symbols = torch.view_as_complex(image.flatten(1)[:, :24].reshape(len(image), 12, 2))
        header = witt.Header.of(image, snr_db)
        return witt.Encoded(channels.normalise_power(symbols).x, header)

    def decode(self, symbols: Tensor, header: witt.Header, noise_var: Any = None) -> Tensor:
        return symbols.real.new_full((len(symbols), 3, *header.size), 0.5)


def sums(uses: Tensor) -> Tensor:
    return uses.double().sum((1, 2))


@pytest.mark.parametrize("size", [*ODD, (32, 48)])
@every_kind
def test_the_uses_of_all_pixels_are_what_was_sent(
    entries: dict[str, Any], size: tuple[int, int]
) -> None:
    model, image = tiny(2, **entries), picture(2, *size)
    encoded = model.encode(image, 6.0)
    sent = model.carry(encoded, channels.Rayleigh(), 6.0, generator=seeded(), regions=True)
    assert sent.regions.uses.shape == sent.regions.mse.shape == (2, *size)
    total = float(sent.symbols.shape[1])
    assert sums(sent.regions.uses).tolist() == pytest.approx([total, total])
    assert (sent.regions.uses > 0).all()
    assert sent.regions.mse.isnan().all() == (not model.uses_error)
    assert model(image, channels.AWGN(), 6.0).regions is None


@pytest.mark.parametrize("channel", [channels.AWGN(), channels.Rayleigh()], ids=repr)
@pytest.mark.parametrize("size", [(17, 33), (64, 96)])
@every_kind
def test_so_they_are_where_side_information_is_sent(
    entries: dict[str, Any], size: tuple[int, int], channel: channels.Channel
) -> None:
    """Whether it takes some of the channel uses of the picture or comes on top."""
    model, image = tiny(2, **entries), picture(2, *size)
    coding = Coding.of(channel, "0" * 64)
    encoded = encode_coded(model, image, 12.0, coding=coding)
    how: dict[str, Any] = {"coding": coding, "seeds": [1, 2]}
    sent = carry_coded(model, encoded, channel, 12.0, **how, regions=True)
    assert sent.lost == (False, False)
    total = sent.cbr * 3 * size[0] * size[1]
    torch.testing.assert_close(sums(sent.regions.uses).mean().item(), total)
    # The receiver expects what it expects where the header is taken as received.
    again = carry_coded(model, encoded, channel, 12.0, **how)
    assert torch.equal(again.image, sent.image)
    assert again.regions is None


def test_of_a_lost_picture_nothing_is_expected() -> None:
    model, image, channel = tiny(2, **FULL), picture(2, 64, 96), channels.AWGN()
    coding = Coding.of(channel, "0" * 64)
    encoded = encode_coded(model, image, 12.0, coding=coding)
    sent = carry_coded(model, encoded, channel, -15.0, coding=coding, seeds=[1, 2], regions=True)
    assert sent.lost == (True, True)
    assert sent.regions.mse.isnan().all()
    assert torch.allclose(sent.regions.uses, sent.regions.uses[:, :1, :1])
    total = sent.cbr * 3 * 64 * 96
    torch.testing.assert_close(sums(sent.regions.uses).mean().item(), total)


def test_a_codec_of_ones_own_sends_evenly_and_expects_nothing() -> None:
    image = picture(2, 10, 7).float()
    sent = Plain().carry(Plain().encode(image, 3.0), channels.AWGN(), 3.0, regions=True)
    assert torch.allclose(sent.regions.uses, torch.tensor(12 / 70))
    assert sent.regions.mse.isnan().all()
    assert sent.regions.estimate is None


@pytest.mark.parametrize("way", [CODED, IDEAL])
def test_only_the_first_draw_has_maps(weights: Path, way: str) -> None:
    """And they change no picture."""
    model = witt.load(weights)
    pixels = (picture(1, 40, 48)[0].permute(1, 2, 0).numpy() * 255).astype("uint8")
    how: dict[str, Any] = {"repeats": 2, "metrics": (), "side_information": way}
    with_maps = transmit(pixels, model, Link("rayleigh"), 8.0, **how, regions=True)
    without = transmit(pixels, model, Link("rayleigh"), 8.0, **how)
    assert [draw.sent.regions is not None for draw in with_maps] == [True, False]
    for one, other in zip(with_maps, without, strict=True):
        assert torch.equal(one.sent.image, other.sent.image)


def test_blocks_and_their_pixels() -> None:
    """Blocks at the right and the lower edge have fewer pixels in the picture."""
    values = torch.arange(1.0, 7.0).reshape(1, 2, 3)
    spread = over_pixels(values, 2, (3, 5))
    assert spread[0].tolist() == [[1, 1, 2, 2, 3], [1, 1, 2, 2, 3], [4, 4, 5, 5, 6]]
    shared = shared_by_pixels(values, 2, (3, 5))
    assert shared[0, 0].tolist() == [0.25, 0.25, 0.5, 0.5, 1.5]
    assert shared[0, 2].tolist() == [2, 2, 2.5, 2.5, 6]
    assert sums(shared).item() == 21


def test_small_pictures_have_small_regions() -> None:
    sides = [evenly(size, torch.ones(1)).side for size in ((32, 32), (127, 60), (512, 768))]
    assert sides == [4, 4, 16]
