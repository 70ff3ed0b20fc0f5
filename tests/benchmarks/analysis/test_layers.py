"""Which layers are seen, what is seen of them, and that nothing of it stays."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

import channels
import witt
from benchmarks.analysis.cka import gram
from benchmarks.analysis.layers import OUT, PICTURE, RECEIVED, SENT, Look, grams_of, layers_of
from benchmarks.analysis.sending import send
from tests.witt.tiny import FULL, RATES, picture, tiny
from witt.registry import BLOCKS

SIDE = 16


def sender(model: witt.Codec, snr_db: float = 7.0) -> Callable[[Tensor, Look], None]:
    def sent(pictures: Tensor, look: Look) -> None:
        seeds: Sequence[int] = range(len(pictures))
        send(model, pictures, channels.AWGN(), snr_db, None, seeds, look)

    return sent


def names(model: witt.Codec) -> list[str]:
    return [layer.name for layer in layers_of(model, sender(model), SIDE)]


class Odd(witt.Codec):
    """Modules that are layers, and those that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 2, 2), nn.Identity())
        self.twice = nn.Conv2d(8, 8, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.pair = nn.LSTM(8, 8, batch_first=True)  # gives a tuple
        self.told = nn.Linear(1, 8)
        self.never = nn.Linear(1, 8)
        self.out = nn.Conv2d(8, 12, 1)

    def encode(
        self, image: Tensor, snr_db: float | Tensor, cbr: float | None = None
    ) -> witt.Encoded:
        x = self.first(image)
        x = self.twice(self.twice(x).relu())
        self.shuffle(x)
        self.mean(x)
        self.pair(x.flatten(2).mT)
        x = x + self.told(torch.full((len(x), 1), 3.0))[..., None, None]
        symbols = torch.view_as_complex(x.reshape(len(x), -1, 2))
        return witt.Encoded(channels.normalise_power(symbols).x, witt.Header.of(image, snr_db))

    def decode(
        self, symbols: Tensor, header: witt.Header, noise_var: Tensor | None = None
    ) -> Tensor:
        x = torch.view_as_real(symbols).reshape(len(symbols), 8, SIDE // 2, SIDE // 2)
        return nn.functional.pixel_shuffle(self.out(x), 2)


def test_what_is_a_layer() -> None:
    """Each module once, but for those that pass on numbers, or have the same for each picture."""
    torch.manual_seed(0)
    assert names(Odd().eval()) == [PICTURE, "first.0", "shuffle", "mean", SENT, RECEIVED, "out"]


def test_layers_of_the_network_of_the_paper() -> None:
    stage = "encoder.layers.1"
    assert names(tiny()) == [
        PICTURE, "encoder.patch_embed.proj",
        "encoder.layers.0.blocks.0", "encoder.layers.0.blocks.1",
        f"{stage}.downsample.norm", f"{stage}.downsample.reduction",
        f"{stage}.blocks.0", f"{stage}.blocks.1",
        "encoder.norm", "encoder.modnet", "encoder.head", SENT, RECEIVED,
        "decoder.head", "decoder.modnet",
        "decoder.layers.0.blocks.0", "decoder.layers.0.blocks.1",
        "decoder.layers.0.upsample.norm", "decoder.layers.0.upsample.increment",
        "decoder.layers.1.blocks.0", "decoder.layers.1.blocks.1",
        "decoder.layers.1.upsample.norm", "decoder.layers.1.upsample.increment",
    ]  # fmt: skip


def test_the_channel_is_there_without_noise() -> None:
    """Though what is received is then what was sent."""
    model = tiny()
    found = [layer.name for layer in layers_of(model, sender(model, 120.0), SIDE)]
    assert found == names(model)


@pytest.mark.parametrize("name", BLOCKS.names())
def test_a_block_of_any_kind_is_one_layer(name: str) -> None:
    """Also where its inside is called as a whole, because the pictures are small."""
    found = names(tiny(block=name))
    inside = [each for each in found if ".blocks." in each]
    ends = [("encoder", 0), ("encoder", 1), ("decoder", 0), ("decoder", 1)]
    assert inside == [f"{end}.layers.{s}.blocks.{b}" for end, s in ends for b in (0, 1)]


@pytest.mark.parametrize("entries", [RATES, FULL], ids=["rates", "full"])
def test_the_picture_is_the_last_layer(entries: dict[str, object]) -> None:
    """As the module that made it, or by itself where none did."""
    model = tiny(**entries)
    last = names(model)[-1]
    assert last in ("decoder.layers.1.upsample.increment", "decoder", OUT)
    assert {SENT, RECEIVED, "encoder.patch_embed.proj"} <= set(names(model))


def test_blocks_in_one_map_are_seen_apart() -> None:
    """Each Gram matrix is that of the block's own output, though the next one writes over it."""
    model = tiny()
    pictures = picture(5, SIDE, SIDE)
    layers = layers_of(model, sender(model), SIDE)
    grams = grams_of(model, sender(model), pictures, layers)
    found = {layer.name: matrix for layer, matrix in zip(layers, grams, strict=True)}

    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _, __, output: kept.update({name: output.detach().clone()})

    blocks = [f"encoder.layers.{stage}.blocks.{block}" for stage in (0, 1) for block in (0, 1)]
    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in blocks]
    model.encode(pictures, 7.0)  # with gradients nothing is written over
    for handle in handles:
        handle.remove()
    for name in blocks:
        torch.testing.assert_close(found[name], gram(kept[name]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("entries", [{}, FULL], ids=["plain", "full"])
def test_nothing_stays(entries: dict[str, object]) -> None:
    model = tiny(**entries)
    pictures = picture(3, SIDE, SIDE)

    def received() -> Tensor:
        with torch.inference_mode():
            return model(
                pictures, channels.AWGN(), 7.0, generator=torch.Generator().manual_seed(1)
            ).image

    before = received()
    grams_of(model, sender(model), pictures, layers_of(model, sender(model), SIDE))
    assert torch.equal(received(), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_go_where_a_pass_fails() -> None:
    model = tiny()
    with pytest.raises(RuntimeError, match="on purpose"):
        grams_of(model, fail, picture(1, SIDE, SIDE), [])
    assert not any(module._forward_hooks for module in model.modules())


def fail(*_: object) -> None:
    raise RuntimeError("on purpose")
