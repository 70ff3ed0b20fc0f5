"""The expected error, of pictures of which everything is known: they are drawn from the code."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle

import channels
import witt
from tests.witt.tiny import FULL, cn, picture, seeded, tell_apart, tiny, tiny_config
from witt.codecs.classified.regions import token_errors, token_uses
from witt.codecs.classified.spectrum import dct, energy_in_tokens, inverse_dct
from witt.codecs.presets import codec_of
from witt.contract import nominal_snr

BLOCK, PICTURES = 4, 300
DEVIATIONS = 4
CLASSES = torch.tensor([[0, 0, 0, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1]])


@pytest.fixture(scope="module")
def linear() -> witt.ClassifiedCodec:
    """Networks that change nothing yet; busy tokens where `CLASSES` says so."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = tiny_config(2, classes=2, smooth_channels=2, sends_scale=True)
        model = codec_of(config).double().eval()
    assert isinstance(model, witt.ClassifiedCodec)
    code = model.code
    assert code.block == BLOCK
    tell_apart(code)
    with torch.no_grad():
        code.log_variance.copy_(
            torch.stack([torch.linspace(-10, -13, code.own), torch.linspace(-2.5, -6, code.own)])
        )
        code.log_spectrum.copy_(torch.linspace(-4, -10, len(code.log_spectrum))[:, None])
        code.log_rest.copy_(torch.tensor([0.001, 0.01]).log())
        code.map_bits.zero_()  # the map is free: all channel uses are for the features
    # The classes are those that the pictures are drawn from, not those that would cost least.
    code.classify = lambda shared, *_: CLASSES.expand(len(shared), -1, -1)  # type: ignore[method-assign]
    return model


def drawn(model: witt.ClassifiedCodec) -> Tensor:
    """Pictures whose features are independent and normal, of just the variances of the code."""
    code, generator = model.code, seeded(5)

    def normal(features: int) -> Tensor:
        shape = (PICTURES, *CLASSES.shape, features)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    variance = code.allocate(CLASSES[None], torch.tensor([5.0]), torch.tensor([8])).variance
    features = variance.sqrt() * normal(variance.shape[-1])
    image = code.synthesise(features, CLASSES.expand(PICTURES, -1, -1))
    # What no feature holds is white, and orthogonal to all that they hold.
    rest = normal(code.mean.numel())
    rest = rest - rest @ code.basis.T @ code.basis
    left = code.mean.numel() - len(code.basis)
    rest = rest * (code.log_rest.exp()[CLASSES] / left).sqrt()[..., None]
    return image + pixel_shuffle(rest.permute(0, 3, 1, 2), BLOCK)


@pytest.mark.parametrize(
    ("channel", "snr_db"),
    [
        (channels.AWGN(), -2.0),
        (channels.AWGN(), 6.0),
        (channels.AWGN(), 15.0),
        (channels.Rayleigh(None), 8.0),
        (channels.Rayleigh(), 8.0),
    ],
    ids=str,
)
def test_the_expected_error_is_that_of_gaussian_pictures(
    linear: witt.ClassifiedCodec, channel: channels.Channel, snr_db: float
) -> None:
    """Token by token, within the deviation of the mean over so many pictures."""
    image = drawn(linear)
    with torch.inference_mode():
        encoded = linear.encode(image, snr_db)
        sent = linear.carry(encoded, channel, snr_db, generator=seeded(1), regions=True)
    assert sent.regions is not None
    assert torch.allclose(sent.image, sent.regions.estimate)
    off = (sent.image - image).square().mean(1) - sent.regions.mse
    of_tokens = off.unflatten(1, (-1, BLOCK)).unflatten(3, (-1, BLOCK)).mean((2, 4))
    deviation = of_tokens.std(0) / math.sqrt(PICTURES)
    assert (of_tokens.mean(0).abs() < DEVIATIONS * deviation).all()
    # The mean over the tokens is known better still.
    whole = of_tokens.mean((1, 2))
    assert abs(whole.mean()) < DEVIATIONS * whole.std() / math.sqrt(PICTURES)
    # It has teeth: the deviations are small, and busy tokens have other errors than flat ones.
    expected = sent.regions.mse.mean(0)[::BLOCK, ::BLOCK]
    assert (deviation < 0.15 * expected).all()
    assert expected[CLASSES == 1].min() > 1.5 * expected[CLASSES == 0].max()
    # Features with three or five dimensions are among what is tried, and linear ones.
    pairs = linear.unpacked(*encoded, None)[-1].expanded_pairs
    assert (pairs > 0).any() == (snr_db > 0)


def test_waves_have_their_energy_where_they_are() -> None:
    """Against the waves themselves, one after the other."""
    variance = torch.rand((2, 3, 5, 2), generator=seeded(), dtype=torch.float64)
    expected = torch.zeros(2, 3, 5, dtype=torch.float64)
    for u in range(3):
        for v in range(5):
            for c in range(2):
                wave = torch.zeros(1, 3, 5, 1, dtype=torch.float64)
                wave[0, u, v, 0] = 1
                energy = inverse_dct(wave)[0, :, :, 0].square()
                expected += variance[:, u, v, c, None, None] * energy
    found = energy_in_tokens(variance)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum((1, 2)), variance.sum((1, 2, 3)))
    assert torch.allclose(dct(inverse_dct(variance)), variance)


@pytest.mark.parametrize("snr_db", [0.0, 14.0])
def test_uses_are_those_of_the_symbols(snr_db: float) -> None:
    """Of each feature as many real numbers as it has positions among the symbols."""
    from witt.codecs.classified.symbol_mapping import positions

    model, image = tiny(2, **FULL), picture(2, 24, 40)
    allocation = model.unpacked(*model.encode(image, snr_db), None)[-1]
    of_features, of_extra = positions(allocation)
    end = 2 * allocation.uses[:, None]
    taken = (of_features < end).sum(1) + (of_extra.flatten(1) < end).sum(1)
    uses = token_uses(model.code, allocation)
    torch.testing.assert_close(uses.sum((1, 2)), taken.double() / 2)
    assert (taken / 2 <= allocation.uses).all()
    busy = allocation.sent[..., model.code.smooth :].sum(-1)
    assert (uses >= busy / 2 - 1e-9).all()


def test_without_noise_what_is_not_sent_is_left() -> None:
    """At 60 dB: the energy of what has no place among the symbols, and of what no feature holds."""
    model, image = tiny(2, **FULL), picture(1, 16, 24)
    symbols, header = model.encode(image, 60.0)
    allocation = model.unpacked(symbols, header, None)[-1]
    found = model.regions(symbols, header).mse
    unsent = (allocation.variance * ~allocation.sent).sum((1, 2, 3))
    rest = model.code.log_rest.exp()[allocation.classes].sum((1, 2))
    torch.testing.assert_close(found.sum((1, 2)) * 3, unsent + rest, rtol=1e-3, atol=1e-9)
    everything = token_errors(model.code, allocation, allocation.variance).sum((1, 2))
    total = (allocation.variance.sum((1, 2, 3)) + rest) / model.code.mean.numel()
    torch.testing.assert_close(everything, total)


def test_pictures_do_not_meet() -> None:
    model, image = tiny(2, **FULL), picture(3, 16, 24)
    symbols, header = model.encode(image, 7.0)
    noisy = symbols + 0.4 * cn(*symbols.shape, seed=3)
    together: Any = model.regions(noisy, header)
    for each in range(3):
        alone_symbols, alone_header = model.encode(image[each : each + 1], 7.0)
        assert torch.allclose(alone_symbols, symbols[each : each + 1])
        alone = model.regions(noisy[each : each + 1], alone_header)
        torch.testing.assert_close(alone.mse[0], together.mse[each])
        torch.testing.assert_close(alone.uses[0], together.uses[each])


def test_symbols_that_do_not_fit_are_refused() -> None:
    model = tiny(2, **FULL)
    symbols, header = model.encode(picture(1, 16, 24), 7.0)
    with pytest.raises(witt.InputError, match="complex symbols an image are expected"):
        model.regions(symbols[:, :-1], header)
    assert torch.equal(nominal_snr(header.snr_db, symbols), header.snr_db)
