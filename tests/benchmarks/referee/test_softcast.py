"""SoftCast by samples is SoftCast by its own `send`, but for its header, which is sent."""

import numpy as np
import pytest

from benchmarks.referee.air import Csi
from benchmarks.referee.run import Condition, over
from benchmarks.referee.softcast import BITS, SoftCastEnds
from benchmarks.schemes.softcast import SoftCast
from witt.link.conditions import Link
from witt.metrics.quality import psnr
from witt.pictures.images import Pixels, to_tensor

CBR = 1 / 6


def picture() -> Pixels:
    y, x = np.mgrid[0:150, 0:170]
    waves = [128 + 60 * np.sin(x / (5 + c)) + 40 * np.cos(y / 9) for c in range(3)]
    noise = np.random.default_rng(0).normal(scale=12, size=(150, 170, 3))
    return np.clip(np.stack(waves, axis=2) + noise, 0, 255).astype(np.uint8)


def received(link: Link, snr_db: float, told: bool) -> Pixels | None:
    samples = SoftCastEnds().transmit(picture(), link, 10.0, CBR).samples
    air = over(samples, Condition(link, snr_db, CBR, 0, told), 0)
    csi = None if air.csi is None else Csi(air.csi.samples, air.csi.facts["noise_variance"])
    return SoftCastEnds().receive(air.samples, csi).pixels


@pytest.mark.parametrize(
    ("link", "told"),
    [(Link(), True), (Link(), False), (Link("rayleigh"), True), (Link("rician", "block"), False)],
    ids=str,
)
def test_the_picture_is_that_of_send(link: Link, told: bool) -> None:
    original = to_tensor(picture())
    (claim,) = SoftCast().send([picture()], link, 10.0, CBR, [0])
    found = received(link, 10.0, told)
    assert found is not None
    assert claim.pixels is not None
    if link.fading == "fast":  # else the gain of the other draw is another
        ours, theirs = (float(psnr(to_tensor(p), original)) for p in (found, claim.pixels))
        assert ours == pytest.approx(theirs, abs=0.3)


def test_its_header_is_not_small() -> None:
    sending = SoftCastEnds().transmit(picture(), Link(), 10.0, CBR)
    (claim,) = SoftCast().send([picture()], Link(), 10.0, CBR, [0])
    # Its control block says the mode and the channel uses too.
    assert sending.side_bits == claim.info["header_bits"] + BITS - 32 - 16
    assert sending.side_symbols is not None
    assert sending.side_symbols > 0.1 * claim.channel_uses


def test_what_is_lost_is_said() -> None:
    assert received(Link(), -5.0, True) is None
    samples = SoftCastEnds().transmit(picture(), Link(), 10.0, CBR).samples
    noise = np.random.default_rng(0).normal(size=(len(samples), 2)) @ [1, 1j]
    assert "no preamble" in SoftCastEnds().receive(noise.astype(np.complex64), None).note
    assert "are missing" in SoftCastEnds().receive(samples[:5000], None).note
