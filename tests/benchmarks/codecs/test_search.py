"""The search, against encoding everything."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.codecs import codec, codec_names
from benchmarks.codecs.base import Encoded
from benchmarks.codecs.search import Searched
from witt.errors import InputError
from witt.pictures.images import Pixels


class Fake:
    """A codec of given payloads; the better the quality, the smaller the error."""

    name = "fake"

    def __init__(self, payloads: list[int], first: int = 0) -> None:
        self.payloads = payloads
        self.qualities = range(first, first + len(payloads))
        self.count: Counter[tuple[bytes, int]] = Counter()

    def check(self) -> None:
        pass

    def encode(self, pixels: Pixels, quality: int) -> Encoded:
        self.count[pixels.tobytes(), quality] += 1
        place = quality - self.qualities[0]
        # At least the error of one level in one value for each quality that is missing.
        decoded = pixels.copy()
        decoded.reshape(-1)[: len(self.payloads) - place] ^= 1
        return Encoded(decoded, self.payloads[place], self.payloads[place] + 100, quality)


def picture(seed: int, size: int = 12) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(40))
def test_finds_what_encoding_everything_finds(seed: int) -> None:
    """Payloads of any growth, each up to 2 % off."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 340))
    growth = random.gamma(0.5, 1, count)
    smooth = np.exp(3 + 7 * np.cumsum(growth) / growth.sum())
    payloads = np.rint(smooth * random.uniform(0.98, 1.02, count)).astype(int).tolist()
    fake = Fake(payloads, first=int(random.integers(0, 5)))
    searched = Searched(fake)
    pixels = picture(seed)
    for budget in (*np.exp(random.uniform(2.5, 10.5, 12)).astype(int), 0, 10**9):
        found = searched.best(pixels, int(budget))
        fitting = [place for place, payload in enumerate(payloads) if payload <= budget]
        if fitting:
            assert found is not None
            assert found.quality == fake.qualities[max(fitting)]
            assert found.payload_bytes <= budget
        else:
            assert found is None
    assert set(fake.count.values()) == {1}


def test_few_encodes_suffice() -> None:
    """Payloads that grow as those of HEVC and JPEG 2000 do, 2 % off."""
    for count, step, most in ((52, 0.125, 5), (338, 0.02, 7)):
        wobble = np.random.default_rng(0).uniform(0.98, 1.02, count)
        smooth = 40 * np.exp(step * np.arange(count))
        payloads = np.rint(smooth * wobble).astype(int).tolist()
        needed = []
        for budget in np.exp(np.linspace(np.log(60), np.log(payloads[-1] * 0.9), 25)):
            fake = Fake(payloads)
            Searched(fake).best(picture(1, 20), int(budget))
            needed.append(len(fake.count))
        assert np.mean(needed) <= most


def test_pictures_are_told_apart_and_forgotten_when_memory_is_short() -> None:
    fake = Fake([10, 20, 40, 80])
    pictures = [picture(seed) for seed in range(3)]
    searched = Searched(fake, memory_bytes=3 * pictures[0].nbytes)
    for _ in range(2):
        for pixels in pictures:
            found = searched.best(pixels, 50)
            assert found is not None
            assert found.quality == 2
            assert np.count_nonzero(found.pixels != pixels) == 2
    assert max(fake.count.values()) == 2
    roomy = Searched(Fake([10, 20, 40, 80]))
    for _ in range(2):
        for pixels in pictures:
            roomy.best(pixels, 50)
    assert max(roomy.codec.count.values()) == 1  # type: ignore[attr-defined]


def test_shape_is_part_of_a_picture() -> None:
    fake = Fake([10, 20])
    searched = Searched(fake)
    wide = np.zeros((2, 8, 3), dtype=np.uint8)
    for pixels in (wide, wide.reshape(8, 2, 3)):
        found = searched.best(pixels, 15)
        assert found is not None
        assert found.pixels.shape == pixels.shape


def test_a_real_codec_against_encoding_everything(pixels: Pixels) -> None:
    own = codec("jpeg")
    everything = [own.encode(pixels, quality) for quality in own.qualities]
    searched = Searched(own)
    assert searched.name == "jpeg"

    def error(encoded: Encoded) -> float:
        return float(np.mean((encoded.pixels.astype(float) - pixels) ** 2))

    for budget in (*range(100, 6000, 450), 10**6):
        found = searched.best(pixels, budget)
        fitting = [encoded for encoded in everything if encoded.payload_bytes <= budget]
        if not fitting:
            assert found is None
            continue
        assert found is not None
        assert found.payload_bytes <= budget
        assert error(found) <= 1.01 * min(map(error, fitting))
    assert searched.best(pixels, everything[0].payload_bytes - 1) is None


def test_every_codec_has_its_name() -> None:
    assert codec_names()[:6] == ["hevc", "hevc-420", "jpeg", "jpeg2000", "webp", "avif"]
    assert [codec(name).name for name in codec_names()] == codec_names()
    with pytest.raises(InputError, match=r"no codec is called 'h264'; there are hevc, hevc-420"):
        codec("h264")
