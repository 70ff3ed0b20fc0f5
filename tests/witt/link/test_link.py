"""One picture over one channel, measured."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import channels
import witt
from witt.commands.fading import make_links
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.transmission import transmit

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(weights: Path) -> witt.WITT:
    return witt.load(weights)


@pytest.mark.parametrize(
    ("link", "kind", "text"),
    [
        (Link(), channels.AWGN, "AWGN"),
        (Link("rayleigh"), channels.Rayleigh, "Rayleigh, fast fading"),
        (
            Link("rayleigh", "block"),
            channels.Rayleigh,
            "Rayleigh, block fading (one gain an image)",
        ),
        (
            Link("rician", "block", 8, 3.0),
            channels.Rician,
            "Rician K = 3 dB, block fading (8 symbols)",
        ),
    ],
)
def test_link(link: Link, kind: type[channels.Channel], text: str) -> None:
    module = link.module()
    assert type(module) is kind
    assert str(link) == text
    if isinstance(module, channels.Rayleigh):
        assert module.coherence == (1 if link.fading == "fast" else link.coherence)
    if isinstance(module, channels.Rician):
        assert module.k_factor_db == link.k_factor_db


def test_bad_links() -> None:
    with pytest.raises(InputError, match="'laser'"):
        Link("laser")
    with pytest.raises(InputError, match="'slow'"):
        Link("rayleigh", "slow")
    with pytest.raises(InputError, match="one for 8"):
        Link("rayleigh", "fast", 8)


def test_record_leaves_out_what_is_not_there() -> None:
    assert Link("awgn", "block", 4).record() == {
        "channel": "awgn",
        "fading": None,
        "coherence": None,
        "k_factor_db": None,
    }
    assert Link("rayleigh", "block", 4).record()["coherence"] == 4


def test_options_make_links() -> None:
    assert make_links(["awgn", "rayleigh", "awgn"], None, None, None) == [Link(), Link("rayleigh")]
    assert make_links(["rayleigh"], None, 4, None) == [Link("rayleigh", "block", 4)]
    assert str(make_links(["rician"], None, None, -0.0)[0]) == "Rician K = 0 dB, fast fading"
    with pytest.warns(UserWarning, match="AWGN does not fade"):
        make_links(["awgn"], "block", None, None)
    with pytest.warns(UserWarning, match="--k-factor is for the rician channel"):
        make_links(["rayleigh"], None, None, 3.0)


def test_noise_of_the_draw_is_what_was_asked_for(model: witt.WITT) -> None:
    """|y - x|^2 has mean N0 and, being exponential, the same standard deviation."""
    big = np.tile(PIXELS, (4, 4, 1))
    (draw,) = transmit(big, model, Link(), 7.0, 1 / 8, seed=3)
    error = (draw.sent.received - draw.sent.symbols).abs().square()
    n0 = 10**-0.7
    assert abs(float(error.mean()) - n0) < 4 * n0 / math.sqrt(error.numel())


def test_figures_are_those_of_the_pixels(model: witt.WITT) -> None:
    (draw,) = transmit(PIXELS, model, Link("rayleigh"), 5.0, 1 / 16, seed=1)
    error = draw.pixels.astype(float) - PIXELS.astype(float)
    assert draw.figures["psnr_db"] == pytest.approx(
        10 * math.log10(255**2 / np.mean(error**2)), abs=1e-9
    )
    reference = witt.ms_ssim(witt.to_tensor(draw.pixels), witt.to_tensor(PIXELS))
    assert draw.figures["ms_ssim"] == pytest.approx(float(reference.value), abs=1e-12)
    assert draw.figures["ms_ssim_variant"] == reference.variant
    assert draw.sent.cbr == draw.sent.symbols.shape[1] / PIXELS.size
    assert draw.sent.header_bits == model.header_bits


def test_draws_follow_from_the_seed(model: witt.WITT) -> None:
    link = Link("rician", "block", 8)
    three = transmit(PIXELS, model, link, seed=5, repeats=3)
    (one,) = transmit(PIXELS, model, link, seed=5)
    (other,) = transmit(PIXELS, model, link, seed=6)
    assert torch.equal(three[0].sent.received, one.sent.received)
    assert not torch.equal(three[0].sent.received, three[1].sent.received)
    assert not torch.equal(three[0].sent.received, other.sent.received)


def test_one_gain_an_image_is_one(model: witt.WITT) -> None:
    """After MMSE at a high SNR, what is received is the sent symbols by one real factor."""
    (draw,) = transmit(PIXELS, model, Link("rayleigh", "block"), 100.0, seed=2)
    ratio = draw.sent.received / draw.sent.symbols
    strong = draw.sent.symbols.abs() > 0.5
    assert torch.allclose(ratio[strong], torch.ones_like(ratio[strong]), atol=1e-3)


def test_too_little_memory_is_the_users_to_mend(
    model: witt.WITT, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 TB")

    monkeypatch.setattr(type(model), "encode", full)
    with pytest.raises(InputError, match="48x40 pixels needs more memory"):
        transmit(PIXELS, model)
