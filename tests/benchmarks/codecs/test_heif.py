"""HEVC by pillow-heif, against the file it writes and what the standard says of QP."""

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import witt
from benchmarks.codecs import codec
from benchmarks.codecs.payload import boxes
from witt.errors import InputError
from witt.pictures.images import Pixels, read_image

SAMPLE = Path(witt.__file__).parent / "samples" / "kodim23.png"

pillow_heif = pytest.importorskip("pillow_heif")


def psnr(x: Pixels, y: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((x.astype(float) - y) ** 2)))


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that pillow-heif writes."""
    files: list[bytes] = []
    save = pillow_heif.HeifFile.save

    def spy(self: Any, target: BytesIO, **settings: Any) -> None:
        save(self, target, **settings)
        files.append(target.getvalue())

    monkeypatch.setattr(pillow_heif.HeifFile, "save", spy)
    return files


def test_payload_is_all_of_mdat_but_the_length(
    pixels: Pixels, others: Pixels, saved: list[bytes]
) -> None:
    parameters = []
    for picture in (pixels, others):
        encoded = codec("hevc").encode(picture, 18)
        found = {box.kind: box for box in boxes(saved[-1])}
        mdat, hvcc = found[b"mdat"], found[b"hvcC"]
        # One slice, with 4 bytes of length in front, and ours for size and quality.
        assert encoded.payload_bytes == mdat.end - mdat.start - 4 + 4
        assert encoded.file_bytes == len(saved[-1])
        assert np.array_equal(encoded.pixels, np.array(pillow_heif.read_heif(saved[-1])))
        parameters.append(saved[-1][hvcc.start : hvcc.end])
    # Both ends know the parameter sets: they are those of any picture of the size.
    assert parameters[0] == parameters[1]
    codec("hevc").encode(pixels, 30)
    hvcc = {box.kind: box for box in boxes(saved[-1])}[b"hvcC"]
    assert saved[-1][hvcc.start : hvcc.end] == parameters[0]


def test_distortion_follows_the_step_of_qp() -> None:
    """The step doubles every 6 QP; noise quantised in step Δ has a mean squared error of Δ²/12."""
    noise = np.random.default_rng(3).normal(128, 30, (64, 64)).clip(0, 255)
    grey = np.repeat(noise[..., None], 3, -1).astype(np.uint8)
    own = codec("hevc")
    for qp in (22, 28):
        step = 2 ** ((qp - 4) / 6)
        expected = 10 * np.log10(255**2 / (step**2 / 12))
        # The dead zone of rate-distortion optimisation costs up to 2 dB.
        assert -2.5 < psnr(own.encode(grey, 51 - qp).pixels, grey) - expected < 0.5


def test_chroma_has_the_resolution_of_its_name() -> None:
    """Colours that change from pixel to pixel at equal luma survive in 4:4:4 only."""
    red, blue = (200, 60, 60), (60, 112, 200)
    checks = np.indices((64, 64)).sum(0) % 2
    pixels = np.array([red, blue], dtype=np.uint8)[checks]
    assert psnr(codec("hevc").encode(pixels, 41).pixels, pixels) > 35
    assert psnr(codec("hevc-420").encode(pixels, 41).pixels, pixels) < 20


@pytest.mark.parametrize("name", ["hevc", "hevc-420"])
@pytest.mark.parametrize("size", [(1, 1), (32, 32), (7, 70)])
def test_any_size(name: str, size: tuple[int, int], pixels: Pixels) -> None:
    patch = pixels[: size[0], : size[1]]
    own = codec(name)
    small, large = own.encode(patch, own.qualities[0]), own.encode(patch, 40)
    assert small.pixels.shape == large.pixels.shape == patch.shape
    assert 4 < small.payload_bytes <= large.payload_bytes
    assert psnr(large.pixels, patch) > 32


def test_small_pictures_are_extended_in_few_bits() -> None:
    """Against libheif's own way, which repeats the edge up to 64 pixels."""
    own, small = codec("hevc"), read_image(SAMPLE).pixels[::8, ::8]
    corners = [(y, x) for y in (0, 32) for x in (0, 32, 64)]
    for quality in (12, 24, 36):
        bytes_, errors = np.zeros(2), np.zeros(2)
        for y, x in corners:
            patch = np.ascontiguousarray(small[y : y + 32, x : x + 32])
            repeated = np.pad(patch, ((0, 32), (0, 32), (0, 0)), mode="edge")
            encoded = [own.encode(one, quality) for one in (patch, repeated)]
            bytes_ += [one.payload_bytes for one in encoded]
            errors += [psnr(one.pixels[:32, :32], patch) / len(corners) for one in encoded]
        assert bytes_[0] < 0.95 * bytes_[1]
        assert errors[0] > errors[1] - 0.3


def test_the_same_picture_gives_the_same_bytes(pixels: Pixels, saved: list[bytes]) -> None:
    for _ in range(2):
        codec("hevc").encode(pixels, 20)
    assert saved[0] == saved[1]


def test_without_it_or_its_encoder_it_says_what_to_install(
    pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec("hevc").check()
    monkeypatch.setattr(pillow_heif, "libheif_info", lambda: {"encoders": {"mask": "mask"}})
    with pytest.raises(InputError, match="no HEVC encoder"):
        codec("hevc").check()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"hevc-420 needs .*pip install 'witt\[baselines\]'"):
        codec("hevc-420").check()
    with pytest.raises(InputError, match="pip install"):
        codec("hevc").encode(pixels, 20)


def test_a_failing_encoder_names_the_picture(
    pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(picture: Image.Image) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(pillow_heif, "from_pillow", fail)
    with pytest.raises(InputError, match="hevc: cannot code a picture of 112x80: no memory"):
        codec("hevc").encode(pixels, 20)
    with pytest.raises(ValueError, match="no quality 52"):
        codec("hevc").encode(pixels, 52)
