"""The transmitter and receiver: shapes, gradients, rates, pairing, and nothing across a batch."""

import math
import warnings
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import channels
import witt
from witt.classified import ClassifiedCode
from witt.config import PRESETS, ModelConfig
from witt.network import condition_vector

DIMS, HEADS = (8, 12, 16, 20), (2, 3, 4, 5)
ODD = [(1, 1), (1, 7), (17, 33), (31, 64)]
CHANNELS = [channels.AWGN(), channels.Rayleigh(), channels.Rician(coherence=None)]
every_channel = pytest.mark.parametrize("channel", CHANNELS, ids=repr)


def tiny_config(stages: int = 2, **entries: Any) -> ModelConfig:
    depths = (2,) * stages
    sizes: dict[str, Any] = {"window": 2, "channels": 8, "modnet_layers": 2, **entries}
    return ModelConfig("tiny", DIMS[:stages], depths, HEADS[:stages], **sizes)


def build(config: ModelConfig) -> witt.WITT:
    """A float64 model whose parameters are a fixed pattern, the same under every torch."""
    with torch.random.fork_rng():
        model = witt.WITT(config).double()
    with torch.no_grad():
        for index, (name, parameter) in enumerate(model.named_parameters()):
            n = torch.arange(parameter.numel(), dtype=torch.float64)
            # Between -1 and 1; a plain sine would make matrices of rank 2.
            wave = 2 * (43758.5453 * torch.sin(12.9898 * n + 78.233 * index)).frac().abs() - 1
            wave = wave.reshape(parameter.shape)
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * wave)
            elif parameter.ndim == 2:
                parameter.copy_(wave * math.sqrt(3 / parameter.shape[1]))
            else:
                parameter.copy_(0.2 * wave)
        if model.code is not None:
            tell_apart(model.code)
    return model.eval()


def tell_apart(code: ClassifiedCode) -> None:
    """Classes that differ, orthogonal bases, and variances that fall."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name in ("basis", "rotation"):
            matrix = torch.randn_like(getattr(code, name))
            getattr(code, name).copy_(torch.linalg.qr(matrix.mT)[0].mT)
        code.log_variance.copy_(torch.randn_like(code.log_variance).sort(-1, True).values - 3)
        code.log_spectrum.copy_(torch.randn_like(code.log_spectrum) - 2)


def tiny(stages: int = 2, **entries: Any) -> witt.WITT:
    return build(tiny_config(stages, **entries))


FULL = {"rate_adaptive": True, "classes": 3, "smooth_channels": 2, "sends_scale": True}
RATES = {"rate_adaptive": True, "sends_scale": True}
every_kind = pytest.mark.parametrize("entries", [{}, RATES, FULL], ids=["plain", "rates", "full"])


def picture(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Noise pictures in float64, their contrast differing from image to image."""
    noise = torch.rand((batch, 3, height, width), generator=seeded(seed), dtype=torch.float64)
    contrast = torch.linspace(1, 0.05, batch, dtype=torch.float64).reshape(-1, 1, 1, 1)
    return 0.5 + (noise - 0.5) * contrast


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cn(*shape: int, seed: int) -> Tensor:
    return channels.complex_normal(shape, dtype=torch.complex128, generator=seeded(seed))


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


@pytest.mark.parametrize("name", PRESETS)
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
    assert sent.symbols.shape == sent.received.shape == (2, 4 * config.channels // 2)
    assert sent.image.dtype == torch.float32
    assert sent.symbols.dtype == torch.complex64
    (sent.image - image).square().mean().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name
    learned = {n for n, _ in model.named_parameters()}
    assert {n for n in model.state_dict() if not n.startswith("code.")} == learned


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
    assert (model.encode(image, 1.0) - model.encode(image, 13.0)).abs().max() > 1e-3
    symbols = model.encode(image, 1.0)
    low, high = (model.decode(symbols, snr_db, (8, 8)) for snr_db in (1.0, 13.0))
    assert (low - high).abs().max() > 1e-3


# Symbols


@pytest.mark.parametrize("cbr", [None, 1 / 15])
def test_symbols_pair_adjacent_features_at_unit_power(cbr: float | None) -> None:
    """Symbol j of a token is features 2j and 2j + 1; only the first k features are sent."""
    model, image = tiny(2, **RATES), picture(2, 8, 12)
    k = model.feature_channels((8, 12), cbr)
    assert k == (8 if cbr is None else 6)
    encoded = model.encode_with_scale(image, 3.0, cbr)
    snr_db, count = torch.full((2,), 3.0).double(), torch.full((2,), k).double()
    features = model.encoder(image, condition_vector(model.config, snr_db, count))
    power = model.encode(image, 3.0, cbr).abs().square().mean(1)
    torch.testing.assert_close(power, torch.ones(2).double(), rtol=2**-10, atol=0)
    for b in range(2):
        flat = features[b].detach().reshape(-1, 8)
        assert len(flat) == 6
        pairs = [complex(t[2 * j], t[2 * j + 1]) for t in flat for j in range(k // 2)]
        symbols = encoded.symbols[b]
        factor = (symbols[0] / pairs[0]).detach()
        torch.testing.assert_close(symbols / factor, torch.tensor(pairs, dtype=symbols.dtype))
        assert abs(factor.imag) < 1e-9
        assert factor.real.item() == pytest.approx(encoded.scale[b].item(), rel=2**-11)


def test_unsent_features_are_zero_and_each_image_has_its_rate() -> None:
    model, image = tiny(2, rate_adaptive=True), picture(2, 4, 4)
    symbols, uses, _ = model.transmit(image, torch.zeros(2).double(), torch.tensor([2, 6]), 4)
    assert (symbols.detach() != 0).flatten(1).tolist() == [
        [True] * 2 + [False] * 6,
        [True] * 6 + [False] * 2,
    ]
    assert uses.tolist() == [1, 3]


def test_receiver_puts_symbols_back() -> None:
    """Channels 2j, 2j + 1 of a token from symbol j; unsent ones are 0."""
    model = tiny(2, **RATES)
    k = model.feature_channels((8, 12), 1 / 18)
    assert k == 4
    symbols = cn(1, 12, seed=0)
    seen: list[Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.decode(symbols, 4.0, (8, 12), 1 / 18, scale=torch.ones(1, 1).double())
    (features,) = seen
    assert features.shape == (1, 2, 3, 8)
    for token in range(6):
        row, column = divmod(token, 3)
        for j in range(2):
            symbol = symbols[0, 2 * token + j]
            assert features[0, row, column, 2 * j] == symbol.real
            assert features[0, row, column, 2 * j + 1] == symbol.imag
    assert (features[..., 4:] == 0).all()


def test_class_map_has_its_place_among_the_symbols() -> None:
    """Features and map fill the channel uses; the map says what the receiver needs, no more."""
    model, image = tiny(2, **FULL), picture(2, 32, 48)
    encoded = model.encode_with_scale(image, 13.0)
    assert encoded.classes is not None
    assert encoded.classes.unique().numel() == 3
    k = torch.tensor([8, 8])
    plan = model.code.plan(encoded.classes, torch.full((2,), 13.0), k)  # type: ignore[union-attr]
    assert (plan.uses + plan.map_uses).tolist() == [model.channel_uses((32, 48))] * 2
    assert (encoded.symbols != 0).all()
    torch.testing.assert_close(encoded.symbols.abs().square().mean(1), torch.ones(2).double())
    # What arrives in the places of the map is not looked at.
    changed = encoded.symbols.clone()
    for b in range(2):
        changed[b, plan.uses[b] :] = 7.0
    images = [
        model.decode(y, 13.0, (32, 48), scale=encoded.scale, classes=encoded.classes)
        for y in (encoded.symbols, changed)
    ]
    assert torch.equal(*images)


@pytest.mark.parametrize("classes", [None, torch.zeros(1, 2, 2).long()])
def test_refuses_to_decode_without_the_class_map(classes: Tensor | None) -> None:
    with pytest.raises(witt.InputError, match=r"tiny sends a class map: .* 2x3 tokens"):
        tiny(2, **FULL).decode(
            cn(1, 24, seed=0), 4.0, (8, 12), classes=classes, scale=torch.ones(1, 1)
        )


# Rates

RATED = {stages: tiny(stages, rate_adaptive=True) for stages in (1, 2, 3)}


@given(
    stages=st.sampled_from([1, 2, 3]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    part=st.fractions(0, 1, max_denominator=300),
)
@settings(deadline=None, derandomize=True)
def test_largest_rate_that_fits(stages: int, height: int, width: int, part: Fraction) -> None:
    """Against trying every even k in exact arithmetic, counted on the true pixels."""
    model, low = RATED[stages], Fraction(2, 6 * 4**stages)
    cbr = low * (1 + 3 * part)  # from 2 to all 8 features where nothing is padded
    tokens = len(range(0, height, 2**stages)) * len(range(0, width, 2**stages))
    fitting = [k for k in (2, 4, 6, 8) if Fraction(tokens * k, 2 * 3 * height * width) <= cbr]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        k = model.feature_channels((height, width), float(cbr))
    assert k == max(fitting, default=2)
    assert len(caught) == (not fitting)


@pytest.mark.parametrize("cbr", [None, 1 / 20, 1 / 13, 1 / 12])
def test_uses_are_what_is_sent(cbr: float | None) -> None:
    model, image = tiny(2, **FULL), picture(1, 16, 24)
    sent = model(image, channels.AWGN(), 10.0, cbr, generator=seeded())
    assert model.channel_uses((16, 24), cbr) == sent.symbols.shape[1]
    assert sent.cbr == sent.symbols.shape[1] / (3 * 16 * 24)
    assert sent.cbr <= (cbr or model.config.max_cbr)


def test_warns_where_padding_breaks_the_rate() -> None:
    with pytest.warns(UserWarning, match="1x1 pixels cannot be sent at CBR 0.05"):
        assert tiny(2, rate_adaptive=True).feature_channels((1, 1), 0.05) == 2
    fixed = tiny(2)
    assert fixed.feature_channels((8, 8), fixed.config.max_cbr) == 8
    with pytest.warns(UserWarning, match=r"at least 0\.1481"):  # 9 tokens · 4 / (3·9·9)
        assert fixed.feature_channels((9, 9), fixed.config.max_cbr) == 8


@pytest.mark.parametrize("cbr", [0.9 / 48, 1.1 / 8, 0.0, -1.0, math.nan, math.inf])
def test_refuses_a_rate_with_the_range(cbr: float) -> None:
    model = tiny(3, rate_adaptive=True, cbr_range=(1 / 48, 1 / 8))
    with pytest.raises(witt.InputError, match=r"not served by tiny: choose 0\.02083 to 0\.125"):
        model.encode(picture(1, 8, 8), 10.0, cbr)
    with pytest.raises(witt.InputError, match=r"it has 0\.08333 only"):
        tiny(2).encode(picture(1, 8, 8), 10.0, cbr)


# Channel and receiver


@every_channel
@every_kind
def test_forward_is_encode_channel_decode(
    channel: channels.Channel, entries: dict[str, Any]
) -> None:
    model, image = tiny(2, **entries), picture(2, 10, 13)
    cbr = 1 / 12 if entries else None
    sent = model(image, channel, 4.0, cbr, generator=seeded(3))

    symbols, scale, classes = model.encode_with_scale(image, 4.0, cbr)
    y, h, _ = channel(symbols, 4.0, generator=seeded(3))
    error = None
    if channel.fading:  # MMSE, written out
        n0 = 10**-0.4
        gain = h.real**2 + h.imag**2
        y, error = h.conj() * y / (gain + n0), n0 / (gain + n0)
    known = {"scale": scale, "classes": classes} if model.sends_scale else {}
    image_hat = model.decode(y, 4.0, (10, 13), cbr, error, **known)
    assert torch.equal(sent.symbols, symbols)
    torch.testing.assert_close(sent.received, y)
    torch.testing.assert_close(sent.image, image_hat)


def test_no_noise_level_means_awgn() -> None:
    """The receiver shrinks by 1/(1 + N0) itself."""
    model = tiny(2, **FULL)
    y, scale = cn(2, 24, seed=0), torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    n0 = torch.tensor([[10**0.2], [10**-1.0]], dtype=torch.float64)
    snr_db = torch.tensor([-2.0, 10.0], dtype=torch.float64)
    known: dict[str, Any] = {"scale": scale, "classes": torch.ones(2, 2, 3).long()}
    plain = model.decode(y, snr_db, (8, 12), **known)
    explicit = model.decode(y / (1 + n0), snr_db, (8, 12), noise_var=n0 / (1 + n0), **known)
    torch.testing.assert_close(plain, explicit)


def test_header() -> None:
    """Two sides, rate and SNR; 16 more bits where the power scale travels, as a float16."""
    image = picture(2, 8, 8)
    plain, scaled = tiny(2), tiny(2, sends_scale=True)
    assert (plain.header_bits, scaled.header_bits) == (56, 72)
    scale = scaled.encode_with_scale(image, 10.0).scale
    assert torch.equal(scale, scale.half().double())
    assert scaled(image, channels.AWGN(), 10.0, generator=seeded()).header_bits == 72


def test_guesses_the_scale_with_a_warning() -> None:
    model, symbols = tiny(2, sends_scale=True), cn(1, 16, seed=0)
    with pytest.warns(UserWarning, match="tiny sends its power scale"):
        guessed = model.decode(symbols, 10.0, (8, 8))
    assert torch.equal(
        guessed, model.decode(symbols, 10.0, (8, 8), scale=torch.ones(1, 1).double())
    )


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
        model.decode(cn(2, 4, seed=0), snr_db, (4, 4))


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
        tiny(2).decode(symbols, 10.0, (8, 8))


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
    "window 8": [0.471126, 0.105646, 0.579465, 0.610154, -0.486485, 0.707107],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    """Guards the arithmetic: weights trained with it must go on meaning the same."""
    kinds: dict[str, dict[str, Any]] = {
        "published": {},
        "full": FULL,
        "window 8": {**FULL, "window": 8},
    }
    config = replace(tiny_config(3), **kinds[name])
    assert golden(build(config)) == pytest.approx(GOLDEN[name], abs=1e-5)
