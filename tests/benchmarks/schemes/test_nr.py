"""The 5G chain with a codec and block error rates that are known exactly."""

import math

import numpy as np
import pytest

from benchmarks.codecs.search import Searched
from benchmarks.ldpc import error_rates
from benchmarks.ldpc.bicm import bicm_capacity
from benchmarks.ldpc.modes import Mode
from benchmarks.ldpc.nr import ALL_MCS
from benchmarks.ldpc.table import Rate
from benchmarks.schemes.nr import CONTROL_BITS, CONTROL_FAILURES, Nr
from benchmarks.schemes.registry import make_schemes
from benchmarks.schemes.scheme import Sent
from tests.benchmarks.schemes.test_digital import Steps, pictures, quality_db
from witt.errors import InputError
from witt.link.conditions import Link
from witt.radio.blocks import level_for


def rate_of(link: Link, mode: Mode, snr_db: float, length: int) -> Rate:
    """A slope of 3 dB from all lost to none, 3.5 dB above Shannon's limit, above the QAM's."""
    start_db = 10 * math.log10(2 ** float(mode.efficiency) - 1) + 3.5
    share = min(max((snr_db - start_db) / 3, 0.0), 1.0)
    if share == 0 and not link.fades:
        assert mode.efficiency < bicm_capacity(mode.bits_per_symbol, start_db, False)
    return Rate(round(2000 * (1 - share) ** 6), 2000)


def scheme(bytes_a_step: int = 80) -> Nr:
    return Nr("steps+nr", "steps", Searched(Steps(bytes_a_step)), rate_of)


@pytest.mark.parametrize("snr_db", np.arange(-4.0, 30.0, 1.7))
@pytest.mark.parametrize("link", [Link(), Link("rayleigh", "block")])
def test_the_mode_is_that_of_brute_force(snr_db: float, link: Link) -> None:
    """Of all 37 modes, not only of those that are looked at."""
    (photo,) = pictures(1, 96, 128)
    snr_db = float(snr_db)
    chain = scheme()
    control = chain.control(link, snr_db)
    offers = [
        chain.offer([photo], [3072], link, snr_db, mode, control)
        for mode in ALL_MCS
        if mode.cut(3072) is not None
    ]
    best = max(offer.expected_db[0] for offer in offers if offer is not None)
    (sent,) = scheme().send([photo], link, snr_db, 1 / 12, [3])
    if sent.pixels is None:  # all are hopeless, and the codec does not fit into the sturdiest
        assert best == pytest.approx(quality_db(np.full_like(photo, 128), photo))
        return
    assert sent.info["expected_psnr_db"] == pytest.approx(best, abs=1e-9)


def test_control_is_among_the_uses_and_is_lost_as_often_as_it_is_said() -> None:
    """1,000 uses short of the picture's own, of which the code blocks get the rest."""
    (photo,) = pictures(1, 96, 128)
    link = Link()
    (sent,) = scheme().send([photo], link, 10.0, 1 / 12, [0])
    level = level_for(CONTROL_BITS, 10.0, False)
    assert sent.channel_uses == 3072
    assert sent.info["control_uses"] == level
    mode = next(mode for mode in ALL_MCS if mode.name == sent.info["mode"])
    blocks = mode.cut(3072 - level)
    assert blocks is not None
    assert (sent.info["blocks"], sent.info["block_length"]) == (blocks.count, blocks.length)
    assert 8 * sent.info["payload_bytes"] <= blocks.bits
    chain = scheme()
    lost = [chain.send([photo], link, 40.0, 1 / 12, [seed])[0] for seed in range(2000)]
    count = sum(one.info["control_lost"] for one in lost)
    assert 0 < count < 2000 * CONTROL_FAILURES + 4 * math.sqrt(2000 * CONTROL_FAILURES)
    for one in lost:
        assert one.pixels is not None
        assert one.info["lost"] == one.info["control_lost"] == bool((one.pixels == 128).all())
    assert lost[0].info["survival"] == 1 - CONTROL_FAILURES
    grey_db, whole_db = quality_db(np.full_like(photo, 128), photo), quality_db_of(lost)
    expected = (1 - CONTROL_FAILURES) * whole_db + CONTROL_FAILURES * grey_db
    assert lost[0].info["expected_psnr_db"] == pytest.approx(expected)


def quality_db_of(sent: list[Sent]) -> float:
    (photo,) = pictures(1, 96, 128)
    arrived = next(one.pixels for one in sent if not one.info["lost"])
    assert arrived is not None
    return quality_db(arrived, photo)


def test_small_pictures_have_one_control_block() -> None:
    tiles = pictures(100)
    sent = scheme(10).send(tiles, Link(), 10.0, 1 / 3, list(range(100)))
    level = level_for(CONTROL_BITS, 10.0, False)
    mode = next(mode for mode in ALL_MCS if mode.name == sent[0].info["mode"])
    blocks = mode.cut(102_400 - level)
    assert blocks is not None
    assert {one.info["blocks"] for one in sent} == {blocks.count}
    assert [one.channel_uses for one in sent] == [1024] * 100
    assert sum(one.info["payload_bytes"] for one in sent) * 8 <= blocks.bits


def test_too_few_uses_for_control() -> None:
    (tile,) = pictures(1)
    (sent,) = scheme().send([tile], Link(), 10.0, 1 / 48, [0])
    assert (sent.pixels, sent.channel_uses) == (None, 64)
    assert "64 channel uses are too few" in sent.info["reason"]


def test_rates_of_kodak_need_no_sionna(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the SNRs of the figures everything is in the shipped table."""

    def none(*_: object, **__: object) -> Rate:
        raise AssertionError("simulated")

    monkeypatch.setattr(error_rates, "simulate", none)
    chain = Nr("steps+nr", "steps", Searched(Steps()), error_rates.block_error_rate)
    for link in (Link(), Link("rayleigh")):
        for snr_db in (1.0, 4.0, 7.0, 10.0, 13.0):
            control = chain.control(link, snr_db)
            (picture,) = pictures(1, 64, 64)
            offers = chain.offers([picture], [73_728], link, snr_db)
            assert offers
            assert control.uses < 500


def test_without_sionna_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise InputError("the LDPC code needs Sionna 1.2 and TensorFlow: pip install 'witt[…]'")

    monkeypatch.setattr("benchmarks.ldpc.sionna_adapter._libraries", missing)
    monkeypatch.setattr(error_rates, "_shipped", dict)
    error_rates.make_chain.cache_clear()
    (photo,) = pictures(1, 96, 128)
    chain = Nr("steps+nr", "steps", Searched(Steps()), error_rates.block_error_rate)
    with pytest.raises(InputError, match="needs Sionna"):
        chain.send([photo], Link(), 3.3, 1 / 12, [0])


def test_by_name() -> None:
    (made,) = make_schemes(["jpeg+nr"], {})
    assert isinstance(made, Nr)
    assert (made.name, made.family) == ("jpeg+nr", "jpeg")
    assert made.record()["control_bits"] == 54
    with pytest.raises(InputError, match=r"jpeg\+nr:4.*CODEC\+nr"):
        make_schemes(["jpeg+nr:4"], {})
