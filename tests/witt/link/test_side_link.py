"""Side information that is sent: what arrives, what it costs, and what is lost."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import channels
import witt
from tests.witt.tiny import FULL, MASKED, RATES, picture, seeded, tiny
from witt.contract import SideCode
from witt.errors import InputError
from witt.link import side_link
from witt.link.draws import draw_channel, draw_in_turn
from witt.link.per_image_optimisation import PerImageOptimisation
from witt.link.side_link import (
    GREY,
    carry_coded,
    encode_coded,
    in_turn,
    priority,
    spread_over,
)
from witt.side_code import EntryBits, whole
from witt.side_information import (
    LONGEST_HEADER,
    Coding,
    receive_side,
    receive_sides,
)

SIZE = 96
every_fading = pytest.mark.parametrize("channel", [channels.AWGN(), channels.Rayleigh()], ids=repr)


def sent(
    model: Any,
    image: Tensor,
    channel: channels.Channel,
    snr_db: float,
    cbr: float | None = None,
    told_db: float | None = None,
    optimisation: PerImageOptimisation | None = None,
) -> tuple[witt.Encoded, witt.Transmission]:
    """A batch with its side information coded; the transmitter believes in `told_db`."""
    coding = Coding.of(channel)
    nominal = snr_db if told_db is None else told_db
    with torch.inference_mode():
        encoded = encode_coded(model, image, nominal, cbr, coding=coding, optimisation=optimisation)
        seeds = list(range(len(image)))
        return encoded, carry_coded(model, encoded, channel, snr_db, coding=coding, seeds=seeds)


@pytest.mark.parametrize("entries", [{}, RATES], ids=["plain", "rates"])
@every_fading
def test_on_top_the_pictures_are_what_they_were(
    channel: channels.Channel, entries: dict[str, Any]
) -> None:
    """The header comes behind the symbols, which meet the noise that they meet without it."""
    model, image = tiny(**entries), picture(2, 33, 40)
    encoded, coded = sent(model, image, channel, 10.0)
    h, noise = draw_channel(channel, encoded.symbols.shape[1], [0, 1])
    with torch.inference_mode():
        ideal = model(image, channel, 10.0, h=h, noise=noise)
    assert coded.lost == (False, False)
    assert torch.equal(coded.image, ideal.image)
    uses = Coding.of(channel).header_uses(model.side_codes(), 10.0)
    assert (coded.side_uses, coded.on_top) == (uses, uses)
    total = ideal.symbols.shape[1] + uses
    assert coded.symbols.shape == (2, total)
    assert coded.cbr == total / image[0].numel()
    assert math.isclose(float(coded.symbols[:, -uses:].abs().square().mean()), 1, rel_tol=1e-6)


@every_fading
def test_inside_the_channel_uses_are_what_they_were(channel: channels.Channel) -> None:
    model, image = tiny(**FULL), picture(2, SIZE, SIZE)
    encoded, coded = sent(model, image, channel, 10.0)
    with torch.inference_mode():
        ideal = model.encode(image, 10.0)
    assert coded.symbols.shape == ideal.symbols.shape
    assert (coded.on_top, coded.lost) == (0, (False, False))
    uses = encoded.header.side_uses
    assert uses is not None
    coding, codes = Coding.of(channel), model.side_codes()
    packed = [coding.pack(codes, encoded.header, index) for index in (0, 1)]
    assert uses.tolist() == [each.uses for each in packed]
    assert coded.side_uses == float(uses.double().mean())
    for row, count in zip(encoded.symbols, uses.tolist(), strict=True):
        assert not row[-count:].any()
        assert math.isclose(float(row[:-count].abs().square().mean()), 1, rel_tol=1e-6)
    for row, count, each in zip(coded.symbols, uses.tolist(), packed, strict=True):
        assert torch.equal(row[-count:], each.symbols().to(row))


def test_the_receiver_has_nothing_of_the_senders_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the sender knew is scrambled before the receiver begins."""
    model, image = tiny(**FULL), picture(2, SIZE, SIZE)
    _, expected = sent(model, image, channels.AWGN(), 10.0)
    receive = side_link.receive_frames
    taken: list[witt.Header] = []
    encode = side_link.encode_coded

    def remembered(*args: Any, **settings: Any) -> witt.Encoded:
        encoded = encode(*args, **settings)
        taken.append(encoded.header)
        return encoded

    def scrambled(*args: Any) -> Any:
        header = taken[-1]
        for entry in header.side.values():
            entry.value.zero_()
        header.snr_db.copy_(torch.full_like(header.snr_db, -5))
        assert header.side_uses is not None
        header.side_uses.zero_()
        object.__setattr__(header, "rate", 1)
        return receive(*args)

    monkeypatch.setattr(side_link, "receive_frames", scrambled)
    coding = Coding.of(channels.AWGN())
    with torch.inference_mode():
        encoded = remembered(model, image, 10.0, coding=coding)
        object.__setattr__(encoded.header, "snr_db", encoded.header.snr_db.clone())
        found = carry_coded(model, encoded, channels.AWGN(), 10.0, coding=coding, seeds=[0, 1])
    assert encoded.header.rate == 1
    assert torch.equal(found.image, expected.image)


class Erased(channels.AWGN):
    """AWGN that swallows the last symbols of the first picture."""

    def forward(self, x: Tensor, *args: Any, **settings: Any) -> channels.ChannelOutput:
        out = super().forward(x, *args, **settings)
        out.y[0, -LONGEST_HEADER:] = 0
        return out


@pytest.mark.parametrize("entries", [RATES, FULL, MASKED], ids=["on top", "inside", "masked"])
def test_what_is_lost_is_grey_and_said(entries: dict[str, Any]) -> None:
    model, image = tiny(**entries), picture(2, SIZE, SIZE)
    _, ideal = sent(model, image, channels.AWGN(), 10.0)
    _, found = sent(model, image, Erased(), 10.0)
    assert found.lost == (True, False)
    assert (found.image[0] == GREY).all()
    assert torch.allclose(found.image[1], ideal.image[1])


def test_the_map_alone_may_be_lost() -> None:
    model, image = tiny(**FULL), picture(1, SIZE, SIZE)
    header_uses = Coding.of(channels.AWGN()).header_uses(model.side_codes(), 10.0)

    class Cut(channels.AWGN):
        def forward(self, x: Tensor, *args: Any, **settings: Any) -> channels.ChannelOutput:
            out = super().forward(x, *args, **settings)
            out.y[0, :-header_uses] *= -1  # blocks too, whose bits are then all wrong
            return out

    _, found = sent(model, image, Cut(), 10.0)
    assert found.lost == (True,)
    assert (found.image == GREY).all()


@every_fading
def test_failures_are_once_in_a_thousand(channel: channels.Channel) -> None:
    """At 1 dB, header and map together: of 100 no more than 1, which 2 in 1,000 exceed rarely."""
    model, snr_db = tiny(**FULL), 1.0
    coding, codes = Coding.of(channel), model.side_codes()
    classes = torch.randint(3, (1, SIZE // 4, SIZE // 4), generator=seeded())
    header = witt.Header.of(picture(1, SIZE, SIZE), snr_db, 4)
    header = header.with_side("class map", witt.SideInformation(classes))
    packed = coding.pack(codes, header)
    assert packed.blocks
    x = packed.symbols()[None].expand(100, -1)
    received, variance = channels.zero_forcing(*channel(x, snr_db, generator=seeded()))
    found = receive_sides(list(zip(received, variance, strict=True)), codes)
    assert sum(each is None for each in found) <= 1
    assert all(
        torch.equal(each.header.side["class map"].value, classes)
        for each in found
        if each is not None
    )


def test_noise_is_no_header() -> None:
    model = tiny(**FULL)
    noise = channels.complex_normal((3, 900), generator=seeded())
    for row in noise:
        assert receive_side(row, torch.full((900,), 0.5), model.side_codes()) is None
    assert receive_side(noise[0, :50], torch.ones(50), model.side_codes()) is None
    assert receive_side(torch.zeros(900) + 0j, torch.ones(900), model.side_codes()) is None


def test_the_snr_that_both_ends_plan_by_is_the_transmitters() -> None:
    """The channel is better than the transmitter believes; the receiver finds out what it did."""
    model, image = tiny(**FULL), picture(1, SIZE, SIZE)
    encoded, found = sent(model, image, channels.AWGN(), 30.0, told_db=3.5)
    uses = Coding.of(channels.AWGN()).header_uses(model.side_codes(), 3.5)
    assert uses > Coding.of(channels.AWGN()).header_uses(model.side_codes(), 30.0)
    assert found.lost == (False,)
    told = receive_side(
        found.received[0].to(torch.complex64),
        torch.full((found.received.shape[1],), 1e-3),
        model.side_codes(),
    )
    assert told is not None
    assert told.header.snr_db.tolist() == [3.5]
    assert torch.equal(told.header.side_uses, encoded.header.side_uses)


def test_a_picture_too_small_for_its_header() -> None:
    """Then all comes on top, and the codec says so."""
    model, image = tiny(**FULL), picture(1, 16, 16)
    with pytest.warns(UserWarning, match="a picture of 16x16 pixels cannot be sent at CBR"):
        encoded, found = sent(model, image, channels.AWGN(), 13.0)
    assert encoded.header.side_uses is not None
    assert encoded.header.side_uses.tolist() == [0]
    assert found.lost == (False,)
    with torch.inference_mode():
        alone = model.decode(found.received[:, : encoded.symbols.shape[1]], encoded.header)
    assert torch.equal(found.image, alone)
    assert found.symbols.shape[1] == encoded.symbols.shape[1] + found.on_top


@pytest.mark.parametrize("entries", [RATES, FULL, MASKED], ids=["on top", "inside", "masked"])
def test_per_image_optimisation(entries: dict[str, Any]) -> None:
    """It moves the picture's symbols, at unit power, and what is told stays."""
    model, image = tiny(**entries), picture(1, SIZE, SIZE)
    better = PerImageOptimisation(2, channels.AWGN())
    encoded, found = sent(model, image, channels.AWGN(), 10.0, optimisation=better)
    plain, before = sent(model, image, channels.AWGN(), 10.0)
    assert found.lost == (False,)
    assert not torch.equal(encoded.symbols, plain.symbols)
    assert found.side_uses == before.side_uses
    assert float((found.image - image).square().mean()) < float(
        (before.image - image).square().mean()
    )
    count = 0 if encoded.header.side_uses is None else int(encoded.header.side_uses)
    kept = encoded.symbols[0, : encoded.symbols.shape[1] - count]
    assert math.isclose(float(kept.abs().square().mean()), 1, rel_tol=1e-3)


class Told(witt.Codec):
    """Sends the pixels' mean beside its symbols."""

    def encode(self, image: Tensor, snr_db: Any, cbr: float | None = None) -> witt.Encoded:
        mean = image.mean(dim=(1, 2, 3)).mul(255).round().long()
        x = channels.normalise_power(torch.complex(image.flatten(1), image.flatten(1))).x
        header = witt.Header.of(image, snr_db, mean=witt.SideInformation(mean, bits=8))
        return witt.Encoded(x, header)

    def decode(self, symbols: Tensor, header: witt.Header, noise_var: Any = None) -> Tensor:
        mean = header.get("mean")
        assert mean is not None
        return (mean / 255)[:, None, None, None].expand(-1, 3, *header.size)


class Byte(SideCode):
    bits = 8

    def pack(self, value: Tensor | None, header: witt.Header) -> EntryBits:
        assert value is not None
        return EntryBits(whole(int(value), 8))

    def unpack(self, told: EntryBits, header: witt.Header) -> Tensor:
        return torch.tensor(int(np.packbits(told.fixed)[0]))


class WithCode(Told):
    def side_codes(self) -> dict[str, SideCode]:
        return {"mean": Byte()}


def test_an_entry_without_a_code_is_refused() -> None:
    with pytest.raises(InputError, match=r"tells 'mean' beside its symbols.*side_codes"):
        sent(Told(), picture(1, 8, 8), channels.AWGN(), 10.0)


def test_an_entry_with_a_code_arrives() -> None:
    image = picture(2, 8, 8)
    _, found = sent(WithCode(), image, channels.Rayleigh(), 13.0)
    assert found.lost == (False, False)
    expected = image.mean(dim=(1, 2, 3)).mul(255).round() / 255
    assert torch.allclose(found.image[:, 0, 0, 0].double(), expected)


def test_an_entry_that_its_code_does_not_hold_is_refused() -> None:
    class Wrong(Byte):
        def unpack(self, told: EntryBits, header: witt.Header) -> Tensor:
            return super().unpack(told, header) + 1

    class Rounds(Told):
        def side_codes(self) -> dict[str, SideCode]:
            return {"mean": Wrong()}

    with pytest.raises(InputError, match="another 'mean' than the encoder"):
        sent(Rounds(), picture(1, 8, 8), channels.AWGN(), 10.0)


def test_a_codec_with_encode_and_decode_only() -> None:
    class Plain:
        def encode(self, image: Tensor, snr_db: Any, cbr: float | None = None) -> witt.Encoded:
            x = torch.complex(image.flatten(1), image.flatten(1))
            return witt.Encoded(channels.normalise_power(x).x, witt.Header.of(image, snr_db))

        def decode(self, symbols: Tensor, header: witt.Header, noise_var: Any = None) -> Tensor:
            return symbols.real.unflatten(1, (3, *header.size))

    image = picture(2, 8, 8)
    _, found = sent(Plain(), image, channels.AWGN(), 20.0)
    assert found.lost == (False, False)
    assert torch.equal(found.image.flatten(1), found.received[:, : 3 * 64].real)


def test_what_is_drawn_later_changes_nothing_before() -> None:
    for channel in (channels.AWGN(), channels.Rayleigh(), channels.Rayleigh(7)):
        h, noise = draw_channel(channel, 50, [3])
        longer_h, longer = draw_channel(channel, 50, [3], more=20)
        assert torch.equal(longer[:, :50], noise)
        assert longer.shape == (1, 70)
        if h is not None and longer_h is not None:
            assert torch.equal(longer_h[:, :50], h)
    gain, _ = draw_in_turn(channels.Rayleigh(None), 2, 50, 20, seeded())
    assert gain is not None
    assert torch.equal(gain, gain[:, :1].expand(2, 70))


def test_what_the_transmitter_knows_of_a_channel() -> None:
    assert Coding.of(channels.AWGN(), "ab") == Coding(False, 0.0, "ab")
    assert Coding.of(channels.Rayleigh()) == Coding(True)
    # One gain for a picture: 1 picture in 20 has a worse one.
    coding = Coding.of(channels.Rayleigh(None))
    assert (coding.fades, coding.spread) == (True, True)
    # Fast fading takes 1.9 dB at 10 dB: its capacity is 2.90 bits, that of AWGN at 8.1 dB.
    worse = 1 - math.exp(-(10 ** (-(coding.margin_db + 1.9) / 10)))
    assert math.isclose(worse, 0.05, rel_tol=0.4)  # of 200 draws
    margins = [Coding.of(channels.Rayleigh(k)).margin_db for k in (None, 1000, 300)]
    assert margins == sorted(margins, reverse=True)
    assert Coding.of(channels.Rician(20.0, None)) == Coding(True)  # hardly fades at all


@pytest.mark.parametrize(("length", "side"), [(10, 3), (1000, 108), (1000, 1), (4608, 864)])
def test_side_symbols_are_spread(length: int, side: int) -> None:
    """Evenly; and the picture's follow each other."""
    order = priority(length)
    assert torch.equal(order.sort().values, torch.arange(length))
    places = in_turn(order, side)
    assert torch.equal(places[: length - side].sort().values, places[: length - side])
    assert torch.equal(places[length - side :], order[length - side :])
    gaps = torch.diff(order[length - side :].sort().values)
    if side > 1:
        assert int(gaps.max()) <= 2.7 * length / side  # three kinds of gaps, by the golden ratio
    frames = torch.arange(1.0, length + 1)[None]
    spread = spread_over(frames, [length], [side])
    assert torch.equal(spread[0, places], frames[0])


@pytest.mark.parametrize("entries", [RATES, FULL, MASKED], ids=["on top", "inside", "masked"])
def test_gains_that_last(entries: dict[str, Any]) -> None:
    """Its symbols meet all of them, so that what would be lost in one fade is not."""
    model, image, channel = tiny(**entries), picture(2, SIZE, SIZE), channels.Rayleigh(50)
    encoded, found = sent(model, image, channel, 20.0)
    assert Coding.of(channel).spread
    assert found.lost == (False, False)
    own = int(0 if encoded.header.side_uses is None else encoded.header.side_uses[0])
    end = encoded.symbols.shape[1] - own
    places = in_turn(priority(found.symbols.shape[1]), found.symbols.shape[1] - end)
    assert torch.equal(found.symbols[0, places[:end]], encoded.symbols[0, :end])
