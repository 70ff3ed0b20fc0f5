"""The digital chain with a codec and block error rates that are known exactly."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.codecs.base import Encoded
from benchmarks.codecs.search import Searched
from benchmarks.ldpc.modes import MODES, Mode, parse_mode
from benchmarks.ldpc.table import Rate
from benchmarks.schemes import digital
from benchmarks.schemes.digital import Digital, ldpc_scheme
from benchmarks.schemes.scheme import channel_uses
from witt.errors import InputError
from witt.link.conditions import Link
from witt.metrics.quality import psnr
from witt.pictures.images import Pixels, to_tensor


class Steps:
    """A codec whose error is a constant, 60 - 4 · quality levels, at 20 bytes a step of quality."""

    name = "steps"
    qualities: Sequence[int] = range(1, 15)

    def __init__(self, bytes_a_step: int = 20) -> None:
        self.bytes_a_step = bytes_a_step

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        error = 60 - 4 * quality
        received = np.where(pixels > 127, pixels - error, pixels + error).astype(np.uint8)
        size = self.bytes_a_step * quality
        return Encoded(received, size, size + 400, quality)

    def check(self) -> None:
        pass


def rate_of(link: Link, mode: Mode, snr_db: float, length: int) -> Rate:
    """A slope of 3 dB from all lost to none, 2 dB above the capacity of AWGN."""
    bits = mode.bits_per_symbol * float(mode.rate)
    start_db = 10 * math.log10(2**bits - 1)
    share = min(max((snr_db - start_db - 2) / 3, 0.0), 1.0)
    return Rate(round(2000 * (1 - share) ** 6), 2000)


def chain(modes: Sequence[str] = MODES, bytes_a_step: int = 20) -> Digital:
    searched = Searched(Steps(bytes_a_step))
    return Digital("steps+ldpc", "steps", searched, [parse_mode(one) for one in modes], rate_of)


def pictures(count: int, height: int = 32, width: int = 32, seed: int = 0) -> list[Pixels]:
    generator = np.random.default_rng(seed)
    return list(generator.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def quality_db(received: Pixels, pixels: Pixels) -> float:
    return float(psnr(to_tensor(received), to_tensor(pixels)))


def test_the_best_that_fits_is_sent() -> None:
    # 128 · 96 · 3 / 12 = 3072 uses at 4QAM 1/2: 3072 bits, 384 bytes, of which 7 steps take 350.
    (photo,) = pictures(1, 96, 128)
    (sent,) = chain(["4qam-1/2"], bytes_a_step=50).send([photo], Link(), 30.0, 1 / 12, [1])
    assert sent.channel_uses == channel_uses(photo, 1 / 12) == 3072
    assert sent.info == {
        "header_bits": 0,
        "mode": "4qam-1/2",
        "blocks": 1,
        "block_length": 6144,
        "rated_block_length": 6144,
        "joined_pictures": 1,
        "papr_db": 0.0,  # of QPSK
        "block_error_rate": 0.0,
        "simulated_blocks": 2000,
        "lost": False,
        "lost_blocks": 0,
        "survival": 1.0,
        "expected_psnr_db": sent.info["expected_psnr_db"],
        "quality": 7,
        "payload_bytes": 350,
        "file_bytes": 750,
    }
    assert sent.pixels is not None
    measured = quality_db(sent.pixels, photo)
    assert measured == pytest.approx(20 * math.log10(255 / 32), abs=1e-6)
    assert sent.info["expected_psnr_db"] == pytest.approx(measured)


def test_a_lost_picture_is_grey() -> None:
    (photo,) = pictures(1, 96, 128)
    (sent,) = chain(["16qam-1/2"]).send([photo], Link(), -5.0, 1 / 12, [1])
    assert sent.pixels is not None
    assert (sent.pixels == 128).all()
    assert sent.pixels.shape == photo.shape
    assert sent.info["lost"] is True
    assert sent.info["lost_blocks"] == 1  # of two: the payload is in the first
    assert sent.info["block_error_rate"] == 1
    assert sent.channel_uses == 3072


def test_losses_have_the_expected_rate() -> None:
    (photo,) = pictures(1, 96, 128)
    scheme = chain(["4qam-1/3"], bytes_a_step=12)
    seeds = range(400)
    sent = [scheme.send([photo], Link(), 0.1, 1 / 12, [seed])[0] for seed in seeds]
    (survival,) = {one.info["survival"] for one in sent}
    rate = rate_of(Link(), parse_mode("4qam-1/3"), 0.1, 6144).bler
    assert survival == pytest.approx(1 - rate)
    assert 0.2 < survival < 0.8
    lost = [bool(one.info["lost"]) for one in sent]
    grey = [bool((one.pixels == 128).all()) for one in sent if one.pixels is not None]
    assert lost == grey
    assert abs(np.mean(lost) - rate) < 4 * math.sqrt(rate * (1 - rate) / len(lost))
    # The mean over many sends is what was expected.
    mean = np.mean([quality_db(one.pixels, photo) for one in sent if one.pixels is not None])
    spread = np.std([quality_db(one.pixels, photo) for one in sent if one.pixels is not None])
    assert abs(mean - sent[0].info["expected_psnr_db"]) < 4 * spread / math.sqrt(len(sent))


@pytest.mark.parametrize("snr_db", np.arange(-2.0, 16.0, 0.75))
def test_the_mode_is_that_of_brute_force(snr_db: float) -> None:
    """Expected PSNR over every pattern of lost blocks, of every mode by itself."""
    (photo,) = pictures(1, 64, 96)
    snr_db = float(snr_db)
    grey_db = quality_db(np.full_like(photo, 128), photo)
    best: tuple[float, str] = (-math.inf, "")
    for name in MODES:
        mode = parse_mode(name)
        uses = 64 * 96 * 3 // 6
        count = -(-uses * mode.bits_per_symbol // 6144)
        k = int(uses // count * mode.bits_per_symbol * mode.rate)
        quality = min(count * k // 8 // 80, 14)
        coded = Steps(80).encode(photo, quality)
        carrying = -(-8 * coded.payload_bytes // k)
        rate = rate_of(Link(), mode, snr_db, 6144).bler
        expected = 0.0
        for pattern in itertools.product((True, False), repeat=carrying):
            chance = math.prod(rate if lost else 1 - rate for lost in pattern)
            expected += chance * (grey_db if any(pattern) else quality_db(coded.pixels, photo))
        if expected > best[0] + 1e-9:
            best = expected, name
    (sent,) = chain(bytes_a_step=80).send([photo], Link(), snr_db, 1 / 6, [3])
    assert sent.info["expected_psnr_db"] == pytest.approx(best[0], abs=1e-9)
    assert sent.info["mode"] == best[1]


def test_the_envelope_takes_several_modes() -> None:
    (photo,) = pictures(1, 64, 96)
    modes = [
        chain(bytes_a_step=80).send([photo], Link(), snr_db, 1 / 6, [3])[0].info["mode"]
        for snr_db in (-6.0, 4.0, 8.0, 20.0)
    ]
    assert modes[0] == "4qam-1/3"  # all are hopeless: the sturdiest
    assert modes[-1] == "64qam-1/2"
    assert len(set(modes)) >= 3


def test_small_pictures_share_blocks() -> None:
    tiles = pictures(100)
    # 1024 uses each: 102,400 at 16QAM are 66 blocks and a rest, so 67 of 1528 symbols.
    sent = chain(["16qam-1/2"], bytes_a_step=10).send(tiles, Link(), 30.0, 1 / 3, list(range(100)))
    assert len(sent) == 100
    for tile, one in zip(tiles, sent, strict=True):
        assert one.channel_uses == 1024
        assert one.info["joined_pictures"] == 100
        assert (one.info["blocks"], one.info["block_length"]) == (67, 6112)
        assert one.info["rated_block_length"] == 6144
        assert one.info["payload_bytes"] == 140
        assert one.pixels is not None
        assert quality_db(one.pixels, tile) == pytest.approx(20 * math.log10(255 / 4), abs=1e-6)


def test_a_lost_block_takes_the_pictures_in_it() -> None:
    tiles = pictures(40)
    scheme = chain(["4qam-1/2"], bytes_a_step=16)
    sent = scheme.send(tiles, Link(), 3.1, 1 / 3, list(range(40)))
    # 40 · 1024 uses are 13 blocks and a third: 14 blocks of 2925 symbols.
    assert (sent[0].info["blocks"], sent[0].info["block_length"]) == (14, 5850)
    lost_blocks = scheme_losses(scheme, tiles, 3.1)
    assert 0 < lost_blocks.sum() < 14
    across = 0
    for index, one in enumerate(sent):
        first = 14 * 2925 * index // 40
        last = first + 8 * one.info["payload_bytes"] - 1
        inside = {first // 2925, last // 2925}
        across += len(inside) == 2
        assert one.info["lost_blocks"] == sum(lost_blocks[block] for block in inside)
        assert one.info["lost"] == (one.info["lost_blocks"] > 0)
    assert across > 5


def scheme_losses(scheme: Digital, tiles: list[Pixels], snr_db: float) -> np.ndarray:
    """The losses of the blocks, drawn again."""
    mode = scheme.modes[0]
    blocks = mode.cut(1024 * len(tiles))
    assert blocks is not None
    losses = digital.Losses(Link(), mode, snr_db, blocks, rate_of)
    return losses.draw(list(range(len(tiles)))).lost


def test_large_pictures_do_not_depend_on_their_company() -> None:
    photos = pictures(3, 96, 128)
    together = chain().send(photos, Link("rayleigh"), 5.0, 1 / 12, [7, 8, 9])
    for photo, seed, one in zip(photos, (7, 8, 9), together, strict=True):
        (alone,) = chain().send([photo], Link("rayleigh"), 5.0, 1 / 12, [seed])
        assert alone.pixels is not None
        assert one.pixels is not None
        np.testing.assert_array_equal(alone.pixels, one.pixels)
        assert alone.info == one.info


def test_seeds() -> None:
    (photo,) = pictures(1, 96, 128)
    scheme = chain(["4qam-1/3"], bytes_a_step=12)
    first, second = (
        [scheme.send([photo], Link(), 0.1, 1 / 12, [seed])[0].info["lost"] for seed in range(40)]
        for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == 2


def test_what_cannot_be_sent_has_a_reason() -> None:
    tiles = pictures(3)
    sent = chain(["4qam-1/2"]).send(tiles, Link(), 30.0, 1 / 48, [0, 1, 2])
    assert [(one.pixels, one.channel_uses) for one in sent] == [(None, 64)] * 3
    assert "64 bits" in sent[0].info["reason"]
    (sent_none,) = chain().send(tiles[:1], Link(), 30.0, 1 / 3072, [0])
    assert (sent_none.pixels, sent_none.channel_uses) == (None, 1)
    assert "too few for a code block" in sent_none.info["reason"]


def test_the_envelope_takes_the_mode_that_can_send() -> None:
    # 256 uses: 4QAM 1/3 carries 21 bytes, 16QAM 2/3 85, 64QAM 1/2 96; the codec needs 90.
    (tile,) = pictures(1)
    (sent,) = chain(bytes_a_step=90).send([tile], Link(), 30.0, 1 / 12, [0])
    assert sent.info["mode"] == "64qam-1/2"
    assert sent.pixels is not None


def test_one_gain_a_picture() -> None:
    (photo,) = pictures(1, 96, 128)
    scheme = chain(["16qam-1/2"])
    link = Link("rayleigh", "block")
    sent = [scheme.send([photo], link, 15.0, 1 / 12, [seed])[0] for seed in range(300)]
    survival = float(sent[0].info["survival"])
    assert 0.5 < survival < 0.95
    arrived = np.mean([not one.info["lost"] for one in sent])
    assert abs(arrived - survival) < 4 * math.sqrt(survival * (1 - survival) / 300)


def test_pictures_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[bytes, int]] = []
    encode = Steps.encode

    def note(self: Steps, pixels: Pixels, quality: int) -> Encoded:
        done.append((pixels.tobytes(), quality))
        return encode(self, pixels, quality)

    monkeypatch.setattr(Steps, "encode", note)
    (photo,) = pictures(1, 96, 128)
    scheme = chain()
    for snr_db in range(0, 20, 4):
        scheme.send([photo], Link(), float(snr_db), 1 / 12, [0])
    assert len(done) == len(set(done))


def test_names() -> None:
    fixed = ldpc_scheme("jpeg+ldpc:16qam-3/4", "jpeg", "16qam-3/4")
    assert (fixed.name, fixed.family) == ("jpeg+ldpc:16qam-3/4", "jpeg")
    assert [mode.name for mode in fixed.modes] == ["16qam-3/4"]
    searched = Searched(Steps())
    adaptive = ldpc_scheme("steps+ldpc", "steps", None, searched)
    assert [mode.name for mode in adaptive.modes] == list(MODES)
    assert adaptive.searched is searched
    assert adaptive.record()["modes"] == list(MODES)
    with pytest.raises(InputError, match="64qam-1/2"):
        ldpc_scheme("jpeg+ldpc:7qam-1/2", "jpeg", "7qam-1/2")
    with pytest.raises(InputError, match="hevc"):
        ldpc_scheme("gif+ldpc", "gif", None)
