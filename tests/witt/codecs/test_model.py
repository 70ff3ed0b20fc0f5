"""The transmitter and receiver: shapes, gradients, and nothing across a batch."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import channels
import witt
from tests.witt.tiny import (
    FULL,
    MASKED,
    ODD,
    cn,
    every_channel,
    every_kind,
    picture,
    seeded,
    tiny,
)
from witt.codecs.presets import CONFIGS
from witt.contract import Header, SideInformation

# Every registered model


@pytest.mark.parametrize(
    ("name", "millions"),
    [("witt_base", 28.2), ("witt_small", 21.9), ("witt_large", 47.2), ("witt_cifar", 13.7)],
)
def test_published_parameter_counts(name: str, millions: float) -> None:
    with torch.device("meta"):
        model = witt.create_model(name)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions


def test_light_fits_its_file() -> None:
    with torch.device("meta"):
        model = witt.create_model("witt_light")
    assert sum(p.numel() for p in model.parameters()) <= 7.5e6  # 2 bytes each, under 16 MB


@pytest.mark.parametrize("name", CONFIGS)
def test_every_preset(name: str) -> None:
    """Shapes, a finite gradient that is not 0 everywhere for each parameter, a bare state dict."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = witt.create_model(name)
    config = model.config
    for parameter in model.parameters():
        if not parameter.any():  # 0 at the start: no gradient behind it
            nn.init.normal_(parameter, std=0.1, generator=seeded())
    # Four tokens: in a map no larger than the window, shifted attention may see one token only.
    image = picture(2, config.stride, 4 * config.stride - 1).float()
    sent = model(image, channels.Rayleigh(), 10.0, generator=seeded())
    assert sent.image.shape == image.shape
    uses = model.channel_uses((config.stride, 4 * config.stride - 1))
    assert sent.symbols.shape == sent.received.shape == (2, uses)
    assert sent.image.dtype == torch.float32
    assert sent.symbols.dtype == torch.complex64
    (sent.image - image).square().mean().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name
    learned = {n for n, _ in model.named_parameters()}
    # The statistics of the classified code, and of dynamic tokens' levels, are no parameters.
    others = {n for n in model.state_dict() if n.startswith("code.") or n == "pairs"}
    assert set(model.state_dict()) - others == learned


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
@pytest.mark.parametrize("rate_adaptive", [False, True])
@pytest.mark.parametrize("size", ODD, ids=str)
def test_any_stages_and_size(stages: int, rate_adaptive: bool, size: tuple[int, int]) -> None:
    model = tiny(stages, rate_adaptive=rate_adaptive)
    stride = 2**stages
    tokens = len(range(0, size[0], stride)) * len(range(0, size[1], stride))
    sent = model(picture(1, *size), channels.AWGN(), 10.0, generator=seeded())
    assert sent.image.shape == (1, 3, *size)
    assert sent.image.isfinite().all()
    assert sent.symbols.shape == (1, tokens * 4)
    assert sent.cbr == pytest.approx(tokens * 4 / (3 * size[0] * size[1]), rel=1e-12)


@pytest.mark.parametrize("size", ODD, ids=str)
def test_padding_repeats_the_edge_and_is_cropped(size: tuple[int, int]) -> None:
    model, image = tiny(3, **FULL), picture(1, *size)
    rows = torch.arange(-(-size[0] // 8) * 8).clamp(max=size[0] - 1)
    columns = torch.arange(-(-size[1] // 8) * 8).clamp(max=size[1] - 1)
    padded = image[:, :, rows][:, :, :, columns]
    here = model(image, channels.AWGN(), 5.0, generator=seeded())
    there = model(padded, channels.AWGN(), 5.0, generator=seeded())
    assert torch.equal(here.symbols, there.symbols)
    assert torch.equal(here.image, there.image[:, :, : size[0], : size[1]])


# Nothing crosses the images of a batch


@every_channel
@every_kind
def test_batch_is_its_images(channel: channels.Channel, entries: dict[str, Any]) -> None:
    """f(cat(a, b)) = cat(f(a), f(b)), each image at its own SNR."""
    model, image = tiny(2, **entries), picture(3, 9, 14)
    count = model.channel_uses((9, 14))
    snr_db = torch.tensor([-2.0, 7.0, 20.0], dtype=torch.float64)
    h = channel.sample_gain(3, count, dtype=torch.complex128, generator=seeded(1))
    noise = cn(3, count, seed=2)
    together = model(image, channel, snr_db, h=h, noise=noise)
    for b in range(3):
        one = slice(b, b + 1)
        alone = model(image[one], channel, float(snr_db[b]), h=h[one], noise=noise[one])
        torch.testing.assert_close(together.symbols[one], alone.symbols)
        torch.testing.assert_close(together.received[one], alone.received)
        torch.testing.assert_close(together.image[one], alone.image)


def test_snr_is_heard_at_both_ends() -> None:
    """Without noise from the channel, the SNR acts through the ModNets alone."""
    model, image = tiny(2), picture(1, 8, 8)
    (symbols, low), (others, high) = (model.encode(image, snr_db) for snr_db in (1.0, 13.0))
    assert (symbols - others).abs().max() > 1e-3
    low, high = (model.decode(symbols, header) for header in (low, high))
    assert (low - high).abs().max() > 1e-3


# Channel and receiver


@every_channel
@every_kind
def test_forward_is_encode_channel_decode(
    channel: channels.Channel, entries: dict[str, Any]
) -> None:
    model, image = tiny(2, **entries), picture(2, 10, 13)
    cbr = 1 / 12 if entries else None
    sent = model(image, channel, 4.0, cbr, generator=seeded(3))

    symbols, header = model.encode(image, 4.0, cbr)
    y, h, _ = channel(symbols, 4.0, generator=seeded(3))
    error = None
    if channel.fading:  # MMSE, written out
        n0 = 10**-0.4
        gain = h.real**2 + h.imag**2
        y, error = h.conj() * y / (gain + n0), n0 / (gain + n0)
    image_hat = model.decode(y, header, error)
    assert torch.equal(sent.symbols, symbols)
    torch.testing.assert_close(sent.received, y)
    torch.testing.assert_close(sent.image, image_hat)


def test_no_noise_level_means_awgn() -> None:
    """The receiver shrinks by 1/(1 + N0) itself."""
    model = tiny(2, **FULL)
    y, scale = cn(2, 24, seed=0), torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    snr_db = torch.tensor([-2.0, 10.0], dtype=torch.float64)
    n0 = 10 ** (-snr_db[:, None] / 10)
    told = {
        "scale": SideInformation(scale, 16),
        "class map": SideInformation(torch.ones(2, 2, 3).long()),
    }
    header = Header((8, 12), 4, snr_db, told)
    plain = model.decode(y, header)
    explicit = model.decode(y / (1 + n0), header, n0 / (1 + n0))
    torch.testing.assert_close(plain, explicit)


def test_header() -> None:
    """Two sides, rate and SNR; 16 more bits where the power scale travels, as a float16."""
    image = picture(2, 8, 8)
    plain, scaled = tiny(2), tiny(2, sends_scale=True)
    assert (plain.header_bits, scaled.header_bits) == (56, 72)
    assert plain.encode(image, 10.0).header.get("scale") is None
    scale = scaled.encode(image, 10.0).header.get("scale")
    assert scale is not None
    assert torch.equal(scale, scale.half().double())
    assert scaled(image, channels.AWGN(), 10.0, generator=seeded()).header_bits == 72


def test_refuses_to_decode_without_the_scale() -> None:
    model, header = tiny(2, sends_scale=True), Header((8, 8), 4, torch.tensor([10.0]))
    with pytest.raises(witt.InputError, match="tiny sends its power scale: the header has none"):
        model.decode(cn(1, 16, seed=0), header)


@pytest.mark.parametrize(
    "snr_db",
    [math.nan, math.inf, "loud", [1.0, 2.0, 3.0], torch.zeros(2, 1), torch.zeros(1)],
    ids=repr,
)
def test_refuses_snr(snr_db: Any) -> None:
    model, image = tiny(2), picture(2, 4, 4)
    with pytest.raises(witt.InputError, match=r"SNR must be|snr_db must be"):
        model.encode(image, snr_db)
    with pytest.raises(witt.InputError, match=r"SNR must be|snr_db must be"):
        model.decode(cn(2, 4, seed=0), Header((4, 4), 4, snr_db))


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(1, 1, 8, 8),
        torch.zeros(1, 3, 0, 8),
        torch.zeros((1, 3, 8, 8), dtype=torch.uint8),
    ],
    ids=["one", "grey", "empty", "bytes"],
)
def test_refuses_images(image: Tensor) -> None:
    for send in (tiny(2).encode, lambda x, snr_db: tiny(2)(x, channels.AWGN(), snr_db)):
        with pytest.raises(witt.InputError, match="images must be"):
            send(image, 10.0)


@pytest.mark.parametrize("symbols", [torch.zeros(1, 16), cn(1, 15, seed=0), cn(16, seed=0)])
def test_refuses_symbols(symbols: Tensor) -> None:
    with pytest.raises(witt.InputError, match="16 complex symbols an image are expected for 8x8"):
        tiny(2).decode(symbols, Header((8, 8), 4, torch.tensor([10.0])))


# Numerics


@every_channel
def test_gradients_end_to_end(channel: channels.Channel) -> None:
    """From picture to picture through encoder, power, channel, equaliser and decoder."""
    model = tiny(2, **{**FULL, "sends_scale": False})
    h = channel.sample_gain(1, 8, dtype=torch.complex128, generator=seeded(1))
    noise = cn(1, 8, seed=2)

    def send(image: Tensor) -> Tensor:
        return model(image, channel, 5.0, h=h, noise=noise).image

    image = picture(1, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(send, (image,), fast_mode=True)


def golden(model: witt.WITT) -> list[float]:
    """Some numbers that depend on every weight."""
    y, x = torch.meshgrid(torch.arange(11.0), torch.arange(18.0), indexing="ij")
    image = torch.stack([torch.sin(0.7 * x + y * c) / 2 + 0.5 for c in (0.3, 0.5, 0.9)])[None]
    count = model.channel_uses((11, 18))
    noise = torch.exp(1j * torch.arange(count, dtype=torch.float64) ** 2)[None]
    sent = model(image.double(), channels.AWGN(), 7.0, noise=noise)
    out, symbols = sent.image[0], sent.symbols[0]
    numbers = [out.mean(), out.std(), out[0, 3, 4], out[2, 10, 17]]
    return [n.item() for n in (*numbers, symbols[0].real, symbols[-1].imag)]


GOLDEN = {
    "published": [0.077853, 1.037635, 1.766236, 1.388612, 0.324872, 1.271457],
    "full": [0.468781, 0.118842, 0.569964, 0.639962, -0.484413, 0.707107],
    "masked": [0.081991, 0.898309, 0.056525, -0.037677, 0.196385, 1.59498],
    "window 8": [0.471126, 0.105646, 0.579465, 0.610154, -0.486485, 0.707107],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    """Guards the arithmetic: weights trained with it must go on meaning the same."""
    kinds: dict[str, dict[str, Any]] = {
        "published": {},
        "full": FULL,
        "window 8": {**FULL, "window": 8},
        "masked": MASKED,
    }
    assert golden(tiny(3, **kinds[name])) == pytest.approx(GOLDEN[name], abs=1e-5)
