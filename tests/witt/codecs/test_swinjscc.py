"""SwinJSCC's Rate ModNet and mask: what is kept, what is sent of it, and what telling it costs."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import channels
import witt
from tests.witt.tiny import MASKED, ODD, cn, every_channel, picture, seeded, tiny
from witt.codecs.mask_code import mask_bits
from witt.codecs.presets import CONFIGS
from witt.codecs.swinjscc import kept_channels
from witt.contract import Encoded, Header, SideInformation
from witt.errors import InputError
from witt.link.draws import draw_channel
from witt.link.side_link import carry_coded
from witt.nn.layers import ModNet
from witt.nn.meta import without_values
from witt.side_information import Coding, receive_side

SIZE = (32, 48)
WIDTH = 12  # of the last of two stages
AWGN = channels.AWGN()


def masked(**entries: Any) -> witt.SwinJSCC:
    model: witt.SwinJSCC = tiny(2, **MASKED, **{"channels": WIDTH, **entries})
    return model


def cbr_of(k: int) -> float:
    return k / (6 * 4**2)


# What is kept


def test_kept_are_those_with_the_largest_sums() -> None:
    """Against sorting in Python, each picture with its own number of channels."""
    gates = torch.rand((4, 3, 5, 9), generator=seeded())
    k = torch.tensor([1, 4, 8, 9])
    kept = kept_channels(gates, k)
    for picture_gates, count, found in zip(gates.tolist(), k.tolist(), kept.tolist(), strict=True):
        sums = [sum(t[c] for row in picture_gates for t in row) for c in range(9)]
        best = sorted(range(9), key=sums.__getitem__, reverse=True)[:count]
        assert [c for c in range(9) if found[c]] == sorted(best)


def test_close_sums_are_told_apart_in_any_order_of_tokens() -> None:
    """In float32 a sum of a million depends on the order of its parts."""
    gates = torch.full((1, 512, 512, 2), 0.7)
    gates[..., 1] -= 2**-24 * (torch.rand((512, 512), generator=seeded()) < 0.5)
    one = torch.tensor([1])
    assert kept_channels(gates, one).tolist() == [[True, False]]
    assert kept_channels(gates.flip(3), one).tolist() == [[False, True]]
    shuffled = gates.flatten(1, 2)[:, torch.randperm(512**2, generator=seeded(1))].view_as(gates)
    assert kept_channels(shuffled, one).tolist() == [[True, False]]


def test_of_equal_sums_the_first_are_kept() -> None:
    gates = torch.full((1, 2, 2, 300), 0.5)
    assert kept_channels(gates, torch.tensor([7])).nonzero()[:, 1].tolist() == list(range(7))


def test_the_mask_is_that_of_the_gates() -> None:
    """Recomputed from the parts of the model, at each rate; it follows the picture and the rate."""
    model, image = masked(), picture(2, *SIZE)
    snr_db = torch.full((2, 1), 5.0).double()
    seen = []
    for k in (4, 8):
        x = model.encoder(image, snr_db)
        rate = torch.full((2, 1), float(k)).double()
        gates = model.rate_modnet(x, rate) / x
        top = gates.sum(dim=(1, 2)).topk(k).indices
        mask = torch.zeros(2, WIDTH, dtype=torch.bool).scatter(1, top, True)
        symbols, header = model.encode(image, 5.0, cbr_of(k))
        assert torch.equal(header.get("mask"), mask)
        sent = torch.view_as_real(symbols) / header.get("scale")[:, :, None]
        for b in range(2):
            expected = (x * gates)[b][..., mask[b]].reshape(-1, 2)
            torch.testing.assert_close(sent[b], expected, rtol=1e-9, atol=1e-12)
        seen.append(mask)
    assert not torch.equal(seen[0][0], seen[0][1])  # these pictures are not alike


def test_the_receiver_puts_features_back_where_the_mask_says() -> None:
    model = masked()
    mask = torch.zeros(1, WIDTH, dtype=torch.bool)
    mask[0, [1, 4, 5, 10]] = True
    seen: list[Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    scale = torch.full((1, 1), 0.5).double()
    told = {"scale": SideInformation(scale, 16), "mask": SideInformation(mask, 9)}
    symbols = cn(1, 2 * 6, seed=0)
    model.decode(symbols, Header((8, 12), 2, torch.tensor([4.0]), told))
    (features,) = seen
    assert features.shape == (1, 2, 3, WIDTH)
    sent = torch.view_as_real(symbols).reshape(2, 3, 4) / 0.5
    torch.testing.assert_close(features[0][..., mask[0]], sent)
    assert not features[0][..., ~mask[0]].any()


# What is sent


@pytest.mark.parametrize("k", [2, 6, 12])
def test_cbr_is_that_of_the_channels_that_are_kept(k: int) -> None:
    model, image = masked(), picture(2, *SIZE)
    sent = model(image, AWGN, 5.0, cbr_of(k), generator=seeded())
    assert sent.symbols.shape == (2, 8 * 12 * k // 2)
    assert sent.cbr == pytest.approx(cbr_of(k), rel=1e-12)
    assert sent.header_bits == 56 + 16 + mask_bits(WIDTH, k)
    assert (sent.symbols != 0).all()
    power = sent.symbols.abs().square().mean(1)
    torch.testing.assert_close(power, torch.ones_like(power), rtol=1e-3, atol=0)


def test_the_published_rates_are_its_presets() -> None:
    model = without_values(lambda: witt.create_model("swinjscc_small"))
    rates = [model.feature_channels((256, 256), 1 / part) for part in (48, 24, 16, 12, 8)]
    assert rates == [32, 64, 96, 128, 192]
    assert model.served_cbr == (1 / 48, 1 / 8)
    assert model.feature_channels((256, 256)) == 192


@pytest.mark.parametrize("modulation", [True, False], ids=["SA and RA", "RA"])
@pytest.mark.parametrize("size", ODD, ids=str)
def test_any_size(size: tuple[int, int], modulation: bool) -> None:
    model = masked(modulation=modulation)
    tokens = len(range(0, size[0], 4)) * len(range(0, size[1], 4))
    sent = model(picture(1, *size), AWGN, 10.0, generator=seeded())
    assert sent.image.shape == (1, 3, *size)
    assert sent.image.isfinite().all()
    assert sent.symbols.shape == (1, tokens * WIDTH // 2)


def test_only_the_channel_modnet_hears_the_snr() -> None:
    image = picture(1, *SIZE)
    for modulation in (True, False):
        model = masked(modulation=modulation)
        (low, header), (high, _) = (
            model.encode(image, snr_db, cbr_of(6)) for snr_db in (1.0, 13.0)
        )
        assert torch.equal(low, high) is not modulation
        heard = (
            model.decode(low, Header(SIZE, 3, torch.tensor([snr_db]), header.side))
            for snr_db in (1.0, 13.0)
        )
        assert torch.equal(*heard) is not modulation


def test_unsent_features_of_a_batch_of_several_rates() -> None:
    """Each picture as it would be sent alone, and 0 behind it in each token."""
    model, image = masked(), picture(2, 8, 12)
    sent = model.transmit(image, torch.zeros(2).double(), torch.tensor([4, 10]), 6 * 5)
    assert sent.uses.tolist() == [6 * 2, 6 * 5]
    assert sent.kept.sum(1).tolist() == [4, 10]
    there = (sent.symbols.detach() != 0).reshape(2, 6, 10)
    assert there[0].tolist() == [[True] * 4 + [False] * 6] * 6
    assert there[1].all()
    for b, k in enumerate((4, 10)):
        one = slice(b, b + 1)
        alone = model.transmit(image[one], torch.zeros(1).double(), torch.tensor([k]), 3 * k)
        mine = sent.symbols[one].reshape(1, 6, 5, 2)[:, :, : k // 2].reshape(1, -1, 2)
        torch.testing.assert_close(alone.symbols, mine)
        assert torch.equal(alone.kept, sent.kept[one])


# Gradients


def test_gradients_end_to_end() -> None:
    """With the gates fixed: the Rate ModNet looks without gradient, which the whole would show."""
    model, noise = masked(sends_scale=False), cn(1, 2 * 3, seed=2)
    fixed = torch.rand((1, 1, 2, WIDTH), generator=seeded(), dtype=torch.float64)
    model.rate_modnet.gates = lambda x, told: fixed  # type: ignore[method-assign]

    def send(image: Tensor) -> Tensor:
        return model(image, AWGN, 5.0, cbr_of(6), noise=noise).image

    image = picture(1, 4, 8).requires_grad_()
    assert torch.autograd.gradcheck(send, (image,), fast_mode=True)


def test_the_rate_modnet_looks_without_gradient() -> None:
    """The slope of what is sent is that of the features times the gates, as if these were fixed."""
    model = masked()
    looked_at: list[bool] = []
    gates = model.rate_modnet.gates

    def seen(x: Tensor, told: Tensor) -> Tensor:
        looked_at.append(x.requires_grad)
        return gates(x, told)

    model.rate_modnet.gates = seen  # type: ignore[method-assign]
    image = picture(1, 8, 8).requires_grad_()
    sent = model.transmit(image, torch.zeros(1).double(), torch.tensor([6]), 12)
    sent.symbols.square().sum().backward()
    assert looked_at == [False]
    assert image.grad is not None
    assert image.grad.any()
    assert all(p.grad is not None and p.grad.any() for p in model.rate_modnet.parameters())


def test_gates_are_what_a_modnet_multiplies_by() -> None:
    """For more and for fewer tokens than features, which are worked out in different ways."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        modnet = ModNet(6, 3, 1.5, 1).double()
    told = torch.tensor([[0.3], [2.0]]).double()
    for side in (2, 3):
        x = torch.randn((2, side, side, 6), generator=seeded(), dtype=torch.float64)
        torch.testing.assert_close(modnet(x, told), x * modnet.gates(x, told), rtol=1e-15, atol=0)


# Side information


@pytest.mark.parametrize("snr_db", [1.0, 13.0])
@every_channel
def test_coded_it_fits_into_the_cbr(channel: channels.Channel, snr_db: float) -> None:
    """Fewer channels, the most with which all of it fits; the picture is that of such a rate."""
    model, image = masked(), picture(2, 96, 128)
    coding, asked = Coding.of(channel), cbr_of(10)
    with torch.inference_mode():
        encoded = model.encode_with_side(image, snr_db, asked, coding)
        coded = carry_coded(model, encoded, channel, snr_db, coding=coding, seeds=[0, 1])
        most = round(asked * 3 * 96 * 128)
        k, tokens = 2 * encoded.header.rate, 24 * 32
        side = int(coded.side_uses)
        assert coded.lost == (False, False)
        assert coded.cbr <= asked
        assert coded.symbols.shape[1] == tokens * k // 2 + side <= most
        # Two channels more, with their mask, would not.
        packed = coding.pack(model.side_codes(), encoded.header)
        more = packed.header_uses + coding.block_uses(mask_bits(WIDTH, k + 2), snr_db)
        assert tokens * (k + 2) // 2 + more > most
        h, noise = draw_channel(channel, encoded.symbols.shape[1], [0, 1])
        if not coding.spread:
            ideal = model(image, channel, snr_db, cbr_of(k), h=h, noise=noise)
            assert torch.equal(coded.image, ideal.image)


def test_the_mask_survives_as_bits() -> None:
    """What the receiver finds in the symbols is the mask of each picture."""
    model, image, coding = masked(), picture(3, 64, 64), Coding.of(AWGN)
    with torch.inference_mode():
        encoded = model.encode_with_side(image, 7.0, cbr_of(6), coding)
    masks = encoded.header.get("mask")
    assert masks is not None
    assert len({tuple(mask) for mask in masks.tolist()}) > 1
    for b in range(3):
        packed = coding.pack(model.side_codes(), encoded.header, b)
        bits = mask_bits(WIDTH, 2 * encoded.header.rate)
        assert [(block.name, len(block.bits)) for block in packed.blocks] == [("mask", bits)]
        found = receive_side(packed.symbols(), torch.tensor([1e-3]), model.side_codes())
        assert found is not None
        assert torch.equal(found.header.side["mask"].value, masks[b : b + 1])


def test_of_a_picture_too_small_it_comes_on_top() -> None:
    model, image = masked(), picture(1, 8, 8)
    with pytest.warns(UserWarning, match="a picture of 8x8 pixels cannot be sent at CBR"):
        encoded = model.encode_with_side(image, 13.0, None, Coding.of(AWGN))
    assert encoded.header.rate == WIDTH // 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode(image, 13.0)  # and not where it is taken as received


def test_symbols_in_a_file_take_the_mask_along(tmp_path: Path) -> None:
    model, image = masked(), picture(2, *SIZE)
    with torch.inference_mode():
        encoded = model.encode(image, 5.0, cbr_of(6))
        encoded.save(tmp_path / "tx.npz")
        back = Encoded.load(tmp_path / "tx.npz")
        assert torch.equal(back.header.get("mask"), encoded.header.get("mask"))
        assert back.header.bits == encoded.header.bits
        assert torch.equal(model.decode(*back), model.decode(*encoded))


@pytest.mark.parametrize("kept", [None, 4, 8], ids=["none", "too few", "too many"])
def test_refuses_to_decode_without_the_mask(kept: int | None) -> None:
    told = {"scale": SideInformation(torch.ones(1, 1), 16)}
    if kept is not None:
        told["mask"] = SideInformation((torch.arange(WIDTH) < kept)[None])
    header = Header((8, 12), 3, torch.tensor([4.0]), told)
    said = "tiny sends a mask: the header has none that keeps 6 of 12 channels"
    with pytest.raises(InputError, match=said):
        masked().decode(cn(1, 18, seed=0), header)


# Sizes


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"rate_adaptive": False}, "tiny is the SwinJSCC that adapts its rate: for one rate"),
        ({"channels": 14}, "channels must be at most the width of the last stage, 12, not 14"),
    ],
)
def test_refuses_sizes(entries: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        masked(**entries)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("swinjscc_small", 26.7), ("swinjscc_base", 33.1), ("swinjscc_large", 52.1)],
)
def test_parameter_counts(name: str, millions: float) -> None:
    """Those of WITT of this size without its heads, and a ModNet more.

    7 factors of three layers and 8 layers of the chain: 320 features, 480 inside.
    """
    model, paper = (
        without_values(lambda name=each: witt.create_model(name))
        for each in (name, name.replace("swinjscc", "witt"))
    )
    ours, theirs = (sum(p.numel() for p in each.parameters()) for each in (model, paper))
    modnet = 7 * (2 * 480 + 2 * (480**2 + 480)) + 6 * (480**2 + 480) + 2 * 480 * 320 + 480 + 320
    heads = sum(p.numel() for end in (paper.encoder, paper.decoder) for p in end.head.parameters())
    assert ours == theirs - heads + modnet
    assert round(ours / 1e6, 1) == millions
    assert CONFIGS[name].depths == CONFIGS[name.replace("swinjscc", "witt")].depths


def test_training_starts_with_open_gates() -> None:
    """And numbers of dB and of channels that are of the size of one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = witt.create_model("swinjscc_small", dims=(8, 12, 16, 320), heads=(1, 1, 1, 1))
        model.initialise()
    modnets = ((model.encoder.modnet, 0.1), (model.decoder.modnet, 0.1), (model.rate_modnet, 0.01))
    for modnet, unit in modnets:
        for factor in modnet.bm_list:
            assert (factor[4].bias == 2).all()
            assert float(factor[0].weight.detach().std()) == pytest.approx(unit, rel=0.2)
