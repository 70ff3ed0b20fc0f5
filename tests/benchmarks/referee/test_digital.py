"""A digital chain from picture to samples and back, against what its scheme claims."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.codecs import codec
from benchmarks.referee.air import Csi, symbols_in
from benchmarks.referee.digital import DigitalEnds
from benchmarks.referee.run import Condition, over
from benchmarks.schemes.digital import Digital
from benchmarks.schemes.registry import make_schemes
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import Pixels, read_image
from witt.radio.frame import assemble

# Whole blocks of 6144 bits in every mode, whose error rates are shipped.
CBR = 0.32


def ends(name: str) -> DigitalEnds:
    (scheme,) = make_schemes([name], {})
    assert isinstance(scheme, Digital)
    return DigitalEnds(scheme)


@pytest.fixture
def picture(photos: Path) -> Pixels:
    return read_image(photos / "p0.png").pixels


def received(name: str, picture: Pixels, snr_db: float, link: Link, told: bool) -> Pixels | None:
    """A picture sent for 10 dB and received over a channel of another SNR."""
    samples = ends(name).transmit(picture, Link(), 10.0, CBR).samples
    air = over(samples, Condition(link, snr_db, CBR, 0, told), 0)
    csi = None
    if air.csi is not None:
        csi = Csi(air.csi.samples, air.csi.facts["noise_variance"])
    return ends(name).receive(air.samples, csi).pixels


@pytest.mark.parametrize("name", ["jpeg+ldpc", "jpeg+ldpc:4qam-1/3"])
def test_at_a_high_snr_the_codecs_picture_arrives(name: str, picture: Pixels) -> None:
    (scheme,) = make_schemes([name], {})
    (claim,) = scheme.send([picture], Link(), 10.0, CBR, [0])
    for link, told in ((Link(), False), (Link("rayleigh", "block"), False), (Link(), True)):
        found = received(name, picture, 40.0, link, told)
        assert found is not None
        np.testing.assert_array_equal(found, claim.pixels)
    best = codec("jpeg").encode(picture, int(claim.info["quality"])).pixels
    np.testing.assert_array_equal(claim.pixels, best)


def test_at_a_low_snr_nothing_arrives_and_it_says_so(picture: Pixels) -> None:
    samples = ends("jpeg+ldpc").transmit(picture, Link(), 10.0, CBR).samples
    notes = []
    for snr_db in (4.0, -9.0, -30.0):
        air = over(samples, Condition(Link(), snr_db, CBR, 0, False), 0)
        got = ends("jpeg+ldpc").receive(air.samples, None)
        assert got.pixels is None
        notes.append(got.note)
    assert "the CRC of the payload failed" in notes[0]
    assert notes[1:] == ["the control block is lost", "no preamble in the samples"]


def test_a_file_that_was_cut(picture: Pixels) -> None:
    samples = ends("jpeg+ldpc").transmit(picture, Link(), 10.0, CBR).samples
    assert "symbols are missing" in ends("jpeg+ldpc").receive(samples[:3000], None).note
    assert ends("jpeg+ldpc").receive(samples[:513], None).note == "the control block is lost"


def test_what_cannot_be_sent(picture: Pixels) -> None:
    with pytest.raises(InputError, match="nothing fits into 28 channel uses"):
        ends("jpeg+ldpc").transmit(picture, Link(), 10.0, 1 / 1000)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 65, 73_836])
def test_symbols_of_a_frame_are_counted(count: int) -> None:
    assert symbols_in(len(assemble(np.ones(count, np.complex64)))) == count
