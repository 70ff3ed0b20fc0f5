"""What the receiver is told: rounded before anything follows from it, and all that it needs."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

import channels
import witt
from tests.witt.tiny import FULL, cn, every_channel, every_kind, picture, seeded, tiny
from witt.codecs.received import check_received, unbiased
from witt.contract import Header, rounded_snr


@pytest.fixture(scope="module")
def light() -> witt.WITT:
    return witt.load("witt_light")


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    sample = witt.read_image(witt.__path__[0] + "/samples/kodim23.png").pixels
    return witt.to_tensor(sample[100:228, 60:188])


def test_a_codec_says_in_one_line_what_it_is(light: witt.Codec) -> None:
    assert repr(light) == "ClassifiedCodec('witt_light', 4.05 M parameters, CBR 0.0208 to 0.125)"
    assert repr(witt.create_model("deepjscc")).endswith("0.14 M parameters, CBR 0.0625)")


def test_what_no_header_holds_is_refused() -> None:
    image = picture(1, 8, 8)
    assert Header.of(image, 10.001, 256).bits == 56
    for rate in (0, 257):
        with pytest.raises(witt.InputError, match=f"from 1 to 256, not {rate}"):
            Header.of(image, 10.0, rate)


def test_side_information_is_counted_where_it_is_sent() -> None:
    """In the header by its bits; what is among the symbols costs channel uses, and no bits."""
    mask = witt.SideInformation(torch.ones(1, 4), bits=4)
    header = Header.of(picture(1, 8, 8), 10.0, mask=mask)
    assert header.bits == 60
    more = header.with_side("classes", witt.SideInformation(torch.zeros(1, 2), symbols=3))
    assert (more.bits, header.get("classes")) == (60, None)
    assert torch.equal(more.get("mask"), mask.value)


def test_snr_is_in_steps_of_a_256th_of_a_db() -> None:
    snr = torch.tensor([10.0, 10.001, 10.003, -4.3396], dtype=torch.float64)
    assert rounded_snr(snr).tolist() == [10.0, 10.0, 10 + 1 / 256, -1111 / 256]


@every_kind
@pytest.mark.parametrize("snr_db", [4.3396, 10.001, -1.7])
def test_both_ends_work_from_what_the_header_holds(entries: dict[str, Any], snr_db: float) -> None:
    """What is decoded from the rounded SNR is what is decoded from the header."""
    model, image = tiny(2, **entries), picture(2, 16, 24)
    symbols, header = model.encode(image, snr_db)
    assert torch.equal(header.snr_db, rounded_snr(torch.full((2,), snr_db).double()))
    again = replace(header, snr_db=(header.snr_db * 256).short().double() / 256)  # 16 bits
    assert torch.equal(model.decode(symbols, header), model.decode(symbols, again))
    rounded = model.encode(image, float(header.snr_db[0]))
    assert torch.equal(symbols, rounded.symbols)


@every_channel
@every_kind
def test_header_and_symbols_are_enough(channel: channels.Channel, entries: dict[str, Any]) -> None:
    """Each step by itself does what the model does, whatever the model sends."""
    model, image = tiny(2, **entries), picture(2, 10, 13)
    sent = model(image, channel, 4.0, generator=seeded(3))
    symbols, header = model.encode(image, 4.0)
    out = channel(symbols, 4.0, generator=seeded(3))
    received, noise_var = channels.receive(channel, out)
    other = model.decode(received, header, noise_var)
    torch.testing.assert_close(other, sent.image)
    assert sent.header_bits == header.bits


@pytest.mark.parametrize("true_db", [4.0, 7.0, 9.0, 11.0, 13.0, 16.0])
def test_another_snr_than_was_told_softens(
    light: witt.WITT, image: torch.Tensor, true_db: float
) -> None:
    """Told 10 dB: a better channel does no harm, a worse one costs less than 3 dB for 6."""
    symbols, header = light.encode(image, 10.0, 1 / 16)
    out = channels.AWGN()(symbols, true_db, generator=seeded())
    with torch.inference_mode():
        estimated = light.decode(*_swapped(channels.mmse(*out), header))
        told = light(image, channels.AWGN(), 10.0, 1 / 16, generator=seeded()).image
        known = light(image, channels.AWGN(), true_db, 1 / 16, generator=seeded()).image
    quality = witt.psnr(estimated, image).item()
    assert quality > min(witt.psnr(each, image).item() for each in (told, known)) - 3.0
    if true_db > 10:
        assert quality > witt.psnr(told, image).item() - 0.1


def _swapped(equalised: channels.Equalised, header: Header) -> tuple[Any, ...]:
    return equalised.x_hat, header, equalised.noise_var


@pytest.mark.parametrize("snr_db", [200.0, -129.0])
def test_snr_beyond_the_header_is_refused(snr_db: float) -> None:
    with pytest.raises(witt.InputError, match="which the header holds"):
        tiny(2).encode(picture(1, 8, 8), snr_db)


def test_sides_beyond_the_header_are_refused() -> None:
    image = torch.zeros(1, 3, 1, 65536, dtype=torch.float64)
    with pytest.raises(witt.InputError, match="65536x1 pixels is too large"):
        tiny(2).encode(image, 10.0)


@pytest.mark.parametrize(
    "image",
    [
        255 * picture(1, 8, 8),
        -picture(1, 8, 8),
        math.nan * cn(1, 1, seed=0).real.expand(1, 3, 8, 8),
    ],
)
def test_pictures_outside_their_range_are_refused(image: torch.Tensor) -> None:
    with pytest.raises(witt.InputError, match=r"must lie in \[0, 1\]"):
        tiny(2).encode(image, 10.0)


def test_none_is_the_highest_rate_served() -> None:
    model, image = tiny(2, rate_adaptive=True, cbr_range=(1 / 48, 1 / 24)), picture(1, 8, 8)
    assert torch.equal(model.encode(image, 5.0).symbols, model.encode(image, 5.0, 1 / 24).symbols)
    assert model.channel_uses((8, 8)) == 8  # of 192 values


# What reaches the decoder


def test_zero_forcing_is_refused() -> None:
    model = tiny(2, **FULL)
    symbols, header = model.encode(picture(1, 32, 32), 5.0)
    out = channels.Rayleigh()(symbols, 5.0, generator=seeded())
    x_hat, noise_var = channels.zero_forcing(*out)
    with pytest.raises(witt.InputError, match=r"equalise by channels\.mmse"):
        model.decode(x_hat, header, noise_var)


def test_equalised_symbols_want_their_error_variances() -> None:
    model = tiny(2, **FULL)
    symbols, header = model.encode(picture(1, 64, 64), 10.0)
    out = channels.Rayleigh()(symbols, 10.0, generator=seeded())
    with pytest.raises(witt.InputError, match="hand over the error variances"):
        model.decode(channels.mmse(*out).x_hat, header)


@pytest.mark.parametrize("wrong", ["zero forcing", "worse"])
def test_more_power_than_said_is_warned_of(wrong: str) -> None:
    model = tiny(2, **FULL)
    symbols, header = model.encode(picture(1, 128, 128), 5.0)
    out = channels.AWGN()(symbols, 5.0 if wrong == "zero forcing" else -2.0, generator=seeded())
    believed = out._replace(noise_var=torch.full((1, 1), 10**-0.5).double())
    equalise = channels.zero_forcing if wrong == "zero forcing" else channels.mmse
    x_hat, noise_var = equalise(*believed)
    with pytest.warns(UserWarning, match="not after the MMSE equaliser, or the channel is worse"):
        model.decode(x_hat, header, noise_var)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_symbols_that_are_not_finite_are_refused(bad: float) -> None:
    model = tiny(2)
    symbols, header = model.encode(picture(1, 8, 8), 5.0)
    symbols = symbols.detach().clone()
    symbols[0, 3] = bad
    with pytest.raises(witt.InputError, match="must be finite"):
        model.decode(symbols, header)


@pytest.mark.parametrize("snr_db", [-2.0, 10.0, 20.0])
@pytest.mark.parametrize("n", [4, 24, 400, 20_000])
def test_chance_is_not_taken_for_a_fault(snr_db: float, n: int) -> None:
    """20 draws of AWGN, straight and equalised: none is refused or warned of."""
    for seed in range(20):
        x, _ = channels.normalise_power(cn(1, n, seed=seed))
        out = channels.AWGN()(x, snr_db, generator=seeded(1000 + seed))
        check_received(out.y, None, torch.full((1,), snr_db), uses_error=True)
        check_received(*channels.mmse(*out), torch.full((1,), snr_db), uses_error=True)


@every_kind
def test_one_gain_for_a_picture_is_awgn_of_its_snr(entries: dict[str, Any]) -> None:
    """A picture that met a gain of 0.5 is decoded as if it had met 6 dB more noise."""
    model, image = tiny(2, **entries), picture(2, 16, 24)
    symbols, header = model.encode(image, 12.0)
    noise, h = cn(*symbols.shape, seed=1), torch.full((2, 1), -0.5j, dtype=torch.complex128)
    faded = channels.Rayleigh(None)(symbols, 12.0, h=h, noise=-0.5j / 0.5 * noise)
    worse = channels.AWGN()(symbols, 12.0 - 20 * math.log10(2), noise=noise)
    images = [
        model.decode(x_hat, header, noise_var)
        for x_hat, noise_var in (channels.mmse(*faded), channels.mmse(*worse))
    ]
    torch.testing.assert_close(*images)
    if not model.uses_error:  # straight from the channel, with nothing said of its noise
        torch.testing.assert_close(images[1], model.decode(worse.y, header))


def test_noise_of_a_deep_fade_is_not_blown_up() -> None:
    x = cn(1, 50, seed=0)
    e = torch.tensor([[0.999]], dtype=torch.float64)
    torch.testing.assert_close(unbiased(x, e, 0.0), 2 * x)  # 0 dB is e = 1/2


# Half precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["witt_light", "deepjscc"])
def test_half_precision_sends_as_well(name: str, dtype: torch.dtype, image: torch.Tensor) -> None:
    model, halved = witt.load(name), witt.load(name).to(dtype)
    values = []
    with torch.inference_mode():
        for each in (model, halved):
            got = each(image, channels.Rayleigh(), 10.0, 1 / 16, generator=seeded())
            assert got.symbols.dtype == torch.complex64
            values.append(witt.psnr(got.image, image).item())
    assert values[1] == pytest.approx(values[0], abs=0.1)
