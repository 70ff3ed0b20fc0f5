"""TIFF files of every arrangement are read right or refused, never wrong without a word."""

import struct
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
import pytest
from PIL import Image

from tests.witt.pictures.handmade import tiff_of
from witt.errors import InputError
from witt.pictures.images import Picture, read_image

SIDE = 32
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
DIRECTORY = struct.Struct("<HHI4s")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.tif"


def read(path: Path, data: bytes) -> Picture:
    path.write_bytes(data)
    return read_image(path)


def halves(left: float, right: float, kind: type = int) -> npt.NDArray[Any]:
    samples = np.full((SIDE, SIDE, 1), left, kind)
    samples[:, SIDE // 2 :] = right
    return samples


def sides(picture: Picture) -> list[int]:
    pixels = picture.pixels
    assert (pixels == pixels[..., :1]).all()
    return [int(pixels[5, 2, 0]), int(pixels[5, 20, 0])]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
def test_white_is_zero_at_16_bits(path: Path, order: str, deflate: bool) -> None:
    data = tiff_of(halves(1000, 60000), 16, WHITE_IS_ZERO, order=order, deflate=deflate)
    picture = read(path, data)
    assert sides(picture) == [251, 22]
    assert picture.notes == ("16-bit grey reduced to 8 bits",)


def test_white_is_4095_at_12_bits(path: Path) -> None:
    picture = read(path, tiff_of(halves(4095, 2048), 12, BLACK_IS_ZERO))
    assert sides(picture) == [255, 128]
    assert picture.notes == ("12-bit grey reduced to 8 bits",)
    assert sides(read(path, tiff_of(halves(0, 2047), 12, WHITE_IS_ZERO))) == [255, 128]


def test_big_tiff(path: Path) -> None:
    deep = np.arange(0, 65536, 128, dtype=np.uint16).reshape(16, 32)
    Image.fromarray(deep).save(path, big_tiff=True)
    assert np.array_equal(read_image(path).pixels[..., 0], np.rint(deep / 257))


FLOAT = [(339, 3, [3])]
REDUCED = "floating-point grey reduced to 8 bits"


def test_a_float_barely_beyond_does_not_stretch_the_others(path: Path) -> None:
    samples = halves(0.5, 0.6, np.float32)
    samples[0, 0], samples[0, 1] = 1.001, -0.05
    picture = read(path, tiff_of(samples, 32, BLACK_IS_ZERO, tags=FLOAT))
    assert sides(picture) == [128, 153]
    assert picture.pixels[0, :2, 0].tolist() == [255, 0]
    assert picture.notes == (REDUCED, "floats from -0.05 to 1.001 clipped to 0 to 1")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
def test_floats_of_either_byte_order(
    path: Path, order: str, deflate: bool, photometric: int
) -> None:
    samples = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7, 1)
    data = tiff_of(samples, 32, photometric, order=order, deflate=deflate, tags=FLOAT)
    picture = read(path, data)
    shown = samples.astype(np.float64) if photometric else 1 - samples.astype(np.float64)
    assert np.array_equal(picture.pixels, np.repeat(np.rint(shown * 255), 3, axis=2))
    assert picture.notes == (REDUCED,)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((0, 255), "floats from 0 to 255, and 0 must be black and 1 white"),
        ((-1, 1), "floats from -1 to 1"),
        ((0, 1.2), "floats from 0 to 1.2"),
        ((0, np.nan), "not finite"),
        ((0, np.inf), "not finite"),
    ],
)
def test_floats_of_another_scale_are_refused(
    path: Path, values: tuple[float, float], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        read(path, tiff_of(halves(*values, np.float32), 32, BLACK_IS_ZERO, tags=FLOAT))


@pytest.mark.parametrize(
    ("depth", "photometric", "channels", "tags", "reason"),
    [
        (8, BLACK_IS_ZERO, 1, [(339, 3, [2])], "signed"),
        (16, BLACK_IS_ZERO, 1, [(339, 3, [2])], "signed"),
        (32, BLACK_IS_ZERO, 1, [(339, 3, [2])], "signed"),
        (32, BLACK_IS_ZERO, 1, [], "32-bit integers"),
        (8, None, 1, [], "PhotometricInterpretation"),
        (8, RGB, 3, [(254, 4, [1])], "reduced copy"),
        (8, RGB, 3, [(50706, 1, [1, 4, 0, 0])], "reduced copy"),
        (8, CMYK, 4, [(332, 3, [2])], "inks"),
        (8, YCBCR, 3, [(530, 3, [2, 2])], "YCbCr"),
        (8, YCBCR, 3, [], "YCbCr"),
        (4, PALETTE, 1, [(320, 3, list(range(48)))], "palette of 8 bits"),
        (14, BLACK_IS_ZERO, 1, [], "TIFF of a kind that cannot be read"),
        (64, BLACK_IS_ZERO, 1, [(339, 3, [3])], "TIFF of a kind that cannot be read"),
        (32, RGB, 3, [(339, 3, [3, 3, 3])], "TIFF of a kind that cannot be read"),
    ],
)
def test_what_does_not_say_how_it_is_meant_is_refused(
    path: Path, depth: int, photometric: int | None, channels: int, tags: Any, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        read(path, tiff_of(np.ones((6, 8, channels), int), depth, photometric, tags=tags))
    assert str(caught.value).startswith(f"{path}: ")


def levels(samples: npt.NDArray[Any], top: int, photometric: int, extra: tuple[int, ...]) -> Any:
    """The picture of some samples on white, (H, W, 1 or 3), by TIFF 6.0."""
    own = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, CMYK: 4}[photometric]
    shares = samples / top
    colour = shares[..., :own]
    if photometric == WHITE_IS_ZERO:
        colour = 1 - colour
    if photometric == CMYK:
        colour = (1 - colour[..., :3]) * (1 - colour[..., 3:])
    if extra[:1] == (1,):
        colour = colour + 1 - shares[..., own : own + 1]
    if extra[:1] == (2,):
        alpha = shares[..., own : own + 1]
        colour = colour * alpha + 1 - alpha
    return colour * 255


ARRANGED = [
    (WHITE_IS_ZERO, ()), (WHITE_IS_ZERO, (2,)), (BLACK_IS_ZERO, ()), (BLACK_IS_ZERO, (0,)),
    (BLACK_IS_ZERO, (1,)), (BLACK_IS_ZERO, (2,)), (RGB, ()), (RGB, (0,)), (RGB, (1,)), (RGB, (2,)),
    (CMYK, ()),
]  # fmt: skip


@pytest.mark.parametrize(("photometric", "extra"), ARRANGED)
def test_no_arrangement_is_wrong(path: Path, photometric: int, extra: tuple[int, ...]) -> None:
    """Depths, byte and bit orders, planes, strips, compression and predictor: right or refused."""
    rng = np.random.default_rng(photometric)
    channels = {RGB: 3, CMYK: 4}.get(photometric, 1) + len(extra)
    tags = [(338, 3, extra)] if extra else []
    read_right = set()
    for depth, order, planar, fill, deflate, strips in product(
        (1, 2, 4, 8, 12, 16), "<>", (False, True), (1, 2), (False, True), (1, 2)
    ):
        top = (1 << depth) - 1
        samples = rng.integers(0, top, (5, 7, channels), endpoint=True)
        if extra[:1] == (1,):  # colours have their alpha in them
            samples[..., :-1] = np.minimum(samples[..., :-1], samples[..., -1:])
        options = {"order": order, "planar": planar, "fill": fill, "strips": strips, "tags": tags}
        # Each predictor with its own depths.
        differences = deflate and depth in (8, 16) and strips == 2
        data = tiff_of(samples, depth, photometric, deflate=deflate, differences=differences,
                       **options)  # fmt: skip
        try:
            picture = read(path, data)
        except InputError:
            continue
        difference = picture.pixels - levels(samples, top, photometric, extra)
        # Pillow takes the high byte of 16 bits, and divides by alpha or joins four of them.
        assert np.abs(difference).max() <= (3.1 if extra else 2.1), (depth, options, deflate)
        read_right.add((depth, order, planar, fill, deflate))
    not_in_pillow = (photometric, extra) == (WHITE_IS_ZERO, (2,))
    if int(PIL.__version__.split(".")[0]) < 13 and photometric == BLACK_IS_ZERO and extra:
        return  # some of these were not in it yet
    assert ((8, "<", False, 1, False) in read_right) != not_in_pillow


def test_what_is_usual_is_not_refused(path: Path) -> None:
    for photometric, depth, order, deflate in product(
        (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB), (8, 16), "<>", (False, True)
    ):
        samples = np.full((5, 7, 3 if photometric == RGB else 1), 3 << (depth - 4))
        picture = read(path, tiff_of(samples, depth, photometric, order=order, deflate=deflate))
        expected = 255 - 48 if photometric == WHITE_IS_ZERO else 48
        assert (picture.pixels == expected).all(), (photometric, depth, order, deflate)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_of_16_bits(path: Path, depth: int) -> None:
    rng = np.random.default_rng(depth)
    index, colours = rng.integers(0, 1 << depth, (5, 7, 1)), rng.integers(0, 256, (3, 1 << depth))
    tags = [(320, 3, (colours * 257).ravel().tolist())]
    picture = read(path, tiff_of(index, depth, PALETTE, tags=tags))
    assert np.array_equal(picture.pixels, np.moveaxis(colours[:, index[..., 0]], 0, -1))


def with_entry(data: bytes, tag: int, entry: bytes) -> bytes:
    """A little-endian TIFF with the directory entry of a tag replaced."""
    changed = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    places = [start + 2 + 12 * i for i in range(count)]
    place = next(p for p in places if struct.unpack_from("<H", data, p)[0] == tag)
    changed[place : place + 12] = entry
    return bytes(changed)


def with_next(data: bytes, pointer: int) -> bytes:
    """A little-endian TIFF whose first page points to a next one."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    at = start + 2 + 12 * count
    return data[:at] + struct.pack("<I", pointer) + data[at + 4 :]


ONE_COLOUR = np.full((SIDE, SIDE, 3), (10, 20, 30))


@pytest.mark.parametrize("pointer", [1, 7, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_broken_pointer_to_a_next_page(path: Path, pointer: int) -> None:
    picture = read(path, with_next(tiff_of(ONE_COLOUR, 8, RGB), pointer))
    assert np.array_equal(picture.pixels, ONE_COLOUR)
    assert picture.notes == ("first of several frames, of which later ones are damaged",)


@pytest.mark.parametrize("tag", [270, 282, 305, 700, 34377, 34665, 34853, 65000])
def test_a_tag_beside_the_pixels_that_is_not_in_the_file(path: Path, tag: int) -> None:
    """Pillow forgets the tags after it, here a third extra sample or that it is alpha."""
    samples = np.concatenate((ONE_COLOUR, np.full((SIDE, SIDE, 1), 255)), axis=2)
    samples[0, 0, 3] = 0
    data = tiff_of(samples, 8, RGB, tags=[(tag, 4, [0]), (338, 3, [2])])
    data = with_entry(data, tag, struct.pack("<HHII", tag, 2, 100, 0x7FFFFF00))
    picture = read(path, data)
    assert picture.pixels[0, 0].tolist() == [255, 255, 255]
    assert picture.pixels[1, 1].tolist() == [10, 20, 30]


@pytest.mark.parametrize("tag", [258, 273, 339])
def test_a_tag_of_the_pixels_that_is_not_in_the_file(path: Path, tag: int) -> None:
    data = tiff_of(ONE_COLOUR, 8, RGB, tags=[(339, 3, [1, 1, 1])])
    data = with_entry(data, tag, struct.pack("<HHII", tag, 3, 3, 0x7FFFFF00))
    with pytest.raises(InputError, match=f"tag {tag}"):
        read(path, data)


def test_later_frames_that_are_damaged_do_not_cost_the_first(path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8)) for _ in range(3)]
    gif = path.with_suffix(".gif")
    frames[0].save(gif, save_all=True, append_images=frames[1:])
    whole = read_image(gif)
    assert whole.notes[-1] == "first of 3 frames"
    cut = read(gif, gif.read_bytes()[: int(0.7 * gif.stat().st_size)])
    assert np.array_equal(cut.pixels, whole.pixels)
    assert cut.notes[-1] == "first of several frames, of which later ones are damaged"
