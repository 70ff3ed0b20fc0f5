"""Symbols: their pairing, their number at each rate, and the class map among them."""

import math
import warnings
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import channels
import witt
from tests.witt.tiny import (
    FULL,
    RATES,
    cn,
    picture,
    seeded,
    tiny,
)
from witt.codecs.witt import condition_vector
from witt.contract import Header, SideInformation

# Symbols


@pytest.mark.parametrize("cbr", [None, 1 / 15])
def test_symbols_pair_adjacent_features_at_unit_power(cbr: float | None) -> None:
    """Symbol j of a token is features 2j and 2j + 1; only the first k features are sent."""
    model, image = tiny(2, **RATES), picture(2, 8, 12)
    k = model.feature_channels((8, 12), cbr)
    assert k == (8 if cbr is None else 6)
    symbols_of, header = model.encode(image, 3.0, cbr)
    assert header.get("scale") is not None
    snr_db, count = torch.full((2,), 3.0).double(), torch.full((2,), k).double()
    features = model.encoder(image, condition_vector(model.config, snr_db, count))
    power = symbols_of.abs().square().mean(1)
    torch.testing.assert_close(power, torch.ones(2).double(), rtol=2**-10, atol=0)
    for b in range(2):
        flat = features[b].detach().reshape(-1, 8)
        assert len(flat) == 6
        pairs = [complex(t[2 * j], t[2 * j + 1]) for t in flat for j in range(k // 2)]
        symbols = symbols_of[b]
        factor = (symbols[0] / pairs[0]).detach()
        torch.testing.assert_close(symbols / factor, torch.tensor(pairs, dtype=symbols.dtype))
        assert abs(factor.imag) < 1e-9
        assert factor.real.item() == pytest.approx(header.get("scale")[b].item(), rel=2**-11)


def test_unsent_features_are_zero_and_each_image_has_its_rate() -> None:
    model, image = tiny(2, rate_adaptive=True), picture(2, 4, 4)
    sent = model.transmit(image, torch.zeros(2).double(), torch.tensor([2, 6]), 4)
    assert (sent.symbols.detach() != 0).flatten(1).tolist() == [
        [True] * 2 + [False] * 6,
        [True] * 6 + [False] * 2,
    ]
    assert sent.uses.tolist() == [1, 3]


def test_receiver_puts_symbols_back() -> None:
    """Channels 2j, 2j + 1 of a token from symbol j; unsent ones are 0."""
    model = tiny(2, **RATES)
    k = model.feature_channels((8, 12), 1 / 18)
    assert k == 4
    symbols = cn(1, 12, seed=0)
    seen: list[Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    scale = SideInformation(torch.ones(1, 1).double(), 16)
    model.decode(symbols, Header((8, 12), k // 2, torch.tensor([4.0]), {"scale": scale}))
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
    symbols, header = model.encode(image, 13.0)
    assert header.get("class map") is not None
    assert header.get("class map").unique().numel() == 3
    k = torch.tensor([8, 8])
    class_map = header.get("class map")
    allocation = model.code.allocate(class_map, torch.full((2,), 13.0), k)
    assert (allocation.uses + allocation.map_uses).tolist() == [model.channel_uses((32, 48))] * 2
    assert (symbols != 0).all()
    torch.testing.assert_close(symbols.abs().square().mean(1), torch.ones(2).double())
    # What arrives in the symbols of the map is not looked at.
    changed = symbols.clone()
    for b in range(2):
        changed[b, allocation.uses[b] :] = 7.0
    assert torch.equal(*(model.decode(y, header) for y in (symbols, changed)))


@pytest.mark.parametrize("classes", [None, torch.zeros(1, 2, 2).long()])
def test_refuses_to_decode_without_the_class_map(classes: Tensor | None) -> None:
    told = {"scale": SideInformation(torch.ones(1, 1), 16)}
    if classes is not None:
        told["class map"] = SideInformation(classes)
    header = Header((8, 12), 4, torch.tensor([4.0]), told)
    with pytest.raises(witt.InputError, match=r"tiny sends a class map: .* 2x3 tokens"):
        tiny(2, **FULL).decode(cn(1, 24, seed=0), header)


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
