"""Every kind of picture file becomes the right 8-bit RGB, or one line that says why not."""

import os
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.witt.pictures.handmade import chunk, png
from witt.errors import InputError
from witt.pictures.images import MAX_PIXELS, Pixels, read_image, to_pixels, to_tensor

WHITE = "alpha composited on white"


def noise(height: int = 12, width: int = 17, channels: int = 3, seed: int = 0) -> Pixels:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def rgb(grey: npt.NDArray[np.generic]) -> Pixels:
    return np.repeat(np.rint(grey).astype(np.uint8)[:, :, None], 3, axis=2)


def on_white(colour: npt.NDArray[np.generic], alpha: npt.NDArray[np.generic]) -> Pixels:
    share = alpha[:, :, None].astype(np.float64) / 255
    return np.rint(colour.astype(np.float64) * share + 255 * (1 - share)).astype(np.uint8)


def rows16(values: npt.NDArray[np.generic]) -> bytes:
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)


def refuse(path: Path, reason: str, **options: int) -> str:
    with pytest.raises(InputError, match=reason) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_8_bit_rgb_comes_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(noise()).save(path)
    picture = read_image(str(path))
    assert np.array_equal(picture.pixels, noise())
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.writeable
    assert picture.notes == ()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("jpg", {"quality": 95, "subsampling": 0}), ("webp", {"lossless": True}), ("avif", {})],
)
def test_compressed_formats(tmp_path: Path, suffix: str, options: dict[str, object]) -> None:
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(90)), axis=2)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(path, **options)
    picture = read_image(path)
    assert picture.notes == ()
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= 12


def test_one_bit_and_grey(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    grey = noise(channels=1)
    Image.fromarray(grey).save(path)
    assert read_image(path).notes == ("grey converted to RGB",)
    assert np.array_equal(read_image(path).pixels, rgb(grey))
    Image.fromarray(grey > 127).save(path)
    assert read_image(path).notes == ("1-bit converted to RGB",)
    assert np.array_equal(read_image(path).pixels, rgb((grey > 127) * 255))


def test_alpha_is_composited_on_white(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    pixels = noise(channels=4)
    Image.fromarray(pixels).save(path)
    picture = read_image(path)
    expected = on_white(pixels[:, :, :3], pixels[:, :, 3])
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 1
    assert picture.notes == (WHITE,)

    grey = noise(channels=2)
    Image.fromarray(grey, "LA").save(path)
    picture = read_image(path)
    expected = on_white(rgb(grey[:, :, 0]), grey[:, :, 1])
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 1
    assert picture.notes == ("grey converted to RGB", WHITE)


@pytest.mark.parametrize(
    ("suffix", "transparency"),
    [("png", None), ("png", 5), ("png", bytes(range(0, 250, 10))), ("gif", None), ("gif", 5)],
)
def test_palette(tmp_path: Path, suffix: str, transparency: int | bytes | None) -> None:
    colours = noise(25, 3, channels=1, seed=1)
    index = np.random.default_rng(0).integers(0, 25, (12, 17), dtype=np.uint8)
    image = Image.fromarray(index, "P")
    image.putpalette(colours.tobytes())
    path = tmp_path / f"x.{suffix}"
    image.save(path, **({} if transparency is None else {"transparency": transparency}))
    alpha = np.full(25, 255)
    if isinstance(transparency, bytes):
        alpha = np.frombuffer(transparency, np.uint8)
    elif transparency is not None:
        alpha[transparency] = 0
    picture = read_image(path)
    expected = on_white(colours[index], alpha[index])
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 1
    assert picture.notes[0] == "palette converted to RGB"
    assert (WHITE in picture.notes) == (transparency is not None)


def test_16_bit_grey(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (12, 17), dtype=np.uint16)
    values[0, :3] = 0, 65535, 257 * 77
    expected = rgb(values / 257)
    for suffix in ("png", "tif", "pgm"):
        path = tmp_path / f"x.{suffix}"
        Image.fromarray(values).save(path)
        picture = read_image(path)
        assert picture.notes == ("16-bit grey reduced to 8 bits",)
        assert np.array_equal(picture.pixels, expected)

    path.write_bytes(png(17, 12, 16, 0, rows16(values), chunk(b"tRNS", b"\xff\xff")))
    assert WHITE in read_image(path).notes
    assert np.array_equal(read_image(path).pixels, expected)  # the key is white itself
    path.write_bytes(png(17, 12, 16, 0, rows16(values), chunk(b"tRNS", b"\0\0")))
    expected[values == 0] = 255
    assert np.array_equal(read_image(path).pixels, expected)


def test_16_bit_colour(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 6, 4), dtype=np.uint16)
    path = tmp_path / "x.png"
    path.write_bytes(png(6, 5, 16, 2, rows16(values[:, :, :3])))
    picture = read_image(path)
    assert picture.notes == ("16 bits a channel reduced to 8",)
    assert np.abs(picture.pixels - values[:, :, :3] / 257).max() <= 1

    path.write_bytes(png(6, 5, 16, 6, rows16(values)))
    picture = read_image(path)
    assert picture.notes == ("16 bits a channel reduced to 8", WHITE)
    expected = on_white(values[:, :, :3] / 257, values[:, :, 3] / 257)
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 2


@pytest.mark.parametrize(("suffix", "tolerance"), [("tif", 1), ("jpg", 4)])
def test_cmyk(tmp_path: Path, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.new("CMYK", (16, 16), (200, 100, 30, 40)).save(path)
    picture = read_image(path)
    assert picture.notes == ("CMYK converted to RGB",)
    expected = [(255 - ink) * (255 - 40) / 255 for ink in (200, 100, 30)]
    assert np.abs(picture.pixels - np.array(expected)).max() <= tolerance


def test_lab(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    Image.new("LAB", (4, 4), (255, 128, 128)).save(path)
    picture = read_image(path)
    assert picture.notes == ("LAB converted to RGB",)
    assert picture.pixels.min() >= 252


# What the file holds when row 0 and column 0 are at these sides of the upright picture
# (EXIF 2.3, table 6), for orientations 2 to 8.
STORED = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright[::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = noise()
    stored = STORED[orientation](upright) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    picture = read_image(path)
    assert np.array_equal(picture.pixels, upright)
    assert picture.notes == (("rotated as its EXIF says",) if orientation > 1 else ())


# An orientation that is text, and a directory that lies past the end.
TEXT = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x0112, 2, 2, b"x\0\0\0", 0)
BEYOND = b"Exif\0\0II*\0\xff\xff\xff\x7f"


@pytest.mark.parametrize(
    ("suffix", "exif", "notes"),
    [
        ("jpg", TEXT, ("damaged EXIF ignored",)),
        ("png", b"Exif\0\0garbage", ("damaged EXIF ignored",)),
        ("jpg", BEYOND, ()),
        ("jpg", b"Exif\0\0", ()),
    ],
)
def test_damaged_exif_does_not_cost_the_picture(
    tmp_path: Path, suffix: str, exif: bytes, notes: tuple[str, ...]
) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.new("RGB", (16, 16), (10, 200, 30)).save(path, exif=exif)
    picture = read_image(path)
    assert np.abs(picture.pixels.astype(int) - (10, 200, 30)).max() <= 4
    assert picture.notes == notes


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_first_of_several_frames(tmp_path: Path, suffix: str) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    first, *others = (Image.new("RGB", (8, 6), colour) for colour in colours)
    path = tmp_path / f"x.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(path, save_all=True, append_images=others, **options)
    picture = read_image(path)
    assert np.array_equal(picture.pixels, np.full((6, 8, 3), (255, 0, 0)))
    assert picture.notes[-1] == "first of 3 frames"


def test_what_is_no_picture(tmp_path: Path) -> None:
    refuse(tmp_path / "missing.png", "no such file")
    refuse(tmp_path, "is a folder")
    path = tmp_path / "x.png"
    path.touch()
    refuse(path, "is empty")
    path.write_text("not a picture\n" * 100)
    refuse(path, "not a picture")
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    refuse(path, "not a picture")
    refuse(tmp_path / ("x" * 300), "cannot be read")
    refuse(tmp_path / "x\0", "cannot be read")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    refuse(tmp_path / "pipe.png", "not a regular file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(noise()).save(path)
    path.chmod(0)
    refuse(path, "permission denied")


@pytest.mark.parametrize(
    "form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "TIFF tiff_lzw", "GIF", "PPM", "AVIF"]
)
def test_a_file_cut_short_is_whole_or_refused(tmp_path: Path, form: str) -> None:
    buffer = BytesIO()
    form, _, compression = form.partition(" ")
    options = {"compression": compression} if compression else {}
    Image.fromarray(noise(40, 40)).save(buffer, format=form, **options)
    data = buffer.getvalue()
    path = tmp_path / "x"
    path.write_bytes(data)
    whole = read_image(path).pixels
    for length in [*range(1, len(data), len(data) // 40), *range(len(data) - 15, len(data))]:
        path.write_bytes(data[:length])
        if length < 0.9 * len(data):
            refuse(path, "damaged")
            continue
        try:
            pixels = read_image(path).pixels
        except InputError:
            continue
        assert np.array_equal(pixels, whole), f"half a picture from {length} of {len(data)} bytes"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    path = tmp_path_factory.mktemp("damaged") / "x"
    result = []
    for form in ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP"):
        buffer = BytesIO()
        Image.fromarray(noise()).save(buffer, format=form)
        result.append(buffer.getvalue())
    return path, result


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
)
@given(data=st.data())
def test_a_damaged_file_is_a_picture_or_one_line(
    pictures: tuple[Path, list[bytes]], data: st.DataObject
) -> None:
    path, files = pictures
    content = bytearray(data.draw(st.sampled_from(files)))
    damage = st.tuples(st.integers(0, min(200, len(content) - 1)), st.integers(0, 255))
    for position, value in data.draw(st.lists(damage, min_size=1, max_size=6)):
        content[position] = value
    path.write_bytes(content)
    message = ""
    try:
        picture = read_image(path, max_pixels=1_000_000)
    except InputError as error:
        message = str(error)
    else:
        assert picture.pixels.shape[2] == 3
        assert picture.pixels.dtype == np.uint8
    assert "\n" not in message


def test_too_large_is_refused_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    # 600 MB if it were decoded, in a file of a few hundred bytes.
    path.write_bytes(png(20_000, 10_000, 8, 2, b""))
    message = refuse(path, "20000x10000")
    assert "200.0 megapixels" in message
    assert f"{MAX_PIXELS / 1e6:.1f}" in message


def test_the_limit_is_a_pixel_count(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(noise(12, 17)).save(path)
    assert read_image(path, max_pixels=12 * 17).pixels.shape == (12, 17, 3)
    refuse(path, "17x12", max_pixels=12 * 17 - 1)


@pytest.mark.parametrize("pillow_limit", [150, 100])
def test_pillows_own_limit_is_silent_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pillow_limit: int
) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(noise(12, 17)).save(path)
    # Above its limit Pillow warns, above twice its limit it refuses.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillow_limit)
    assert np.array_equal(read_image(path).pixels, noise(12, 17))
    assert pillow_limit == Image.MAX_IMAGE_PIXELS
    refuse(path, "megapixels", max_pixels=10)
    assert pillow_limit == Image.MAX_IMAGE_PIXELS


def test_every_level_survives_the_tensor() -> None:
    pixels = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    image = to_tensor(pixels)
    assert image.shape == (1, 3, 16, 16)
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    assert image[0, 1, 2, 3].item() == pytest.approx(int(pixels[2, 3, 1]) / 255, abs=1e-7)
    assert np.array_equal(to_pixels(image), pixels)
    assert np.array_equal(to_pixels(image[0]), pixels)
    assert np.array_equal(to_pixels(image.double()), pixels)
    assert np.array_equal(to_pixels(image.requires_grad_()), pixels)


def test_tensor_of_any_array() -> None:
    pixels = noise()
    pixels.setflags(write=False)
    mirrored = to_tensor(pixels[:, ::-1])
    assert np.array_equal(to_pixels(mirrored), pixels[:, ::-1])


def test_pixels_are_clamped_and_rounded_half_to_even() -> None:
    values = torch.tensor([-1.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 2.0, torch.inf])
    # Exact halves exist only where 255 times the value is exact, so double precision.
    image = values.double().view(1, 1, 6).repeat(3, 1, 1)
    image[:, 0, 1:4] = torch.tensor([0.5, 1.5, 2.5], dtype=torch.float64) / 255
    assert to_pixels(image)[0, :, 0].tolist() == [0, 0, 2, 2, 255, 255]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.full((3, 2, 2), torch.nan), "NaN"),
        (torch.zeros(2, 3, 4, 4), "shape"),
        (torch.zeros(1, 4, 4), "shape"),
        (torch.zeros(3, 4), "shape"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "uint8"),
    ],
)
def test_to_pixels_refuses(image: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_pixels(image)


@pytest.mark.parametrize("pixels", [noise(channels=1), noise(channels=4), noise() / 255.0])
def test_to_tensor_refuses(pixels: Pixels) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        to_tensor(pixels)
