"""Colour profiles are converted to sRGB with a note, or ignored with one."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from tests.witt.pictures.handmade import chunk, cmyk_icc, grey_icc, png_of
from witt.errors import InputError
from witt.pictures.colour import ADOBE_RGB, PRIMARIES, SRGB_PRIMARIES, described, of_code_points
from witt.pictures.images import Picture, Pixels, read_image

DISPLAY_P3 = PRIMARIES[12][1]
COLOUR = (200, 100, 50)


def encode(light: npt.ArrayLike) -> npt.NDArray[Any]:
    """IEC 61966-2-1."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def decode(level: npt.ArrayLike) -> npt.NDArray[Any]:
    level = np.asarray(level, np.float64)
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def to_xyz(chromaticities: Any) -> npt.NDArray[np.float64]:
    """Columns: X, Y and Z of full red, green and blue."""
    points = np.array(chromaticities).reshape(4, 2)
    xyz = np.column_stack((points, 1 - points.sum(1))) / points[:, 1:]
    return xyz[1:].T * np.linalg.solve(xyz[1:].T, xyz[0])


def in_srgb(pixels: Any, chromaticities: Any) -> npt.NDArray[np.float64]:
    """Pixels of other primaries with the white and the curve of sRGB."""
    matrix = np.linalg.solve(to_xyz(SRGB_PRIMARIES), to_xyz(chromaticities))
    return 255 * encode(decode(np.asarray(pixels) / 255) @ matrix.T)


def noise(channels: int = 3) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (20, 30, channels), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.png"


def save(image: Image.Image, path: Path, profile: bytes, **options: Any) -> Picture:
    image.save(path, icc_profile=profile, **options)
    return read_image(path)


def p3() -> bytes:
    profile = described(None, DISPLAY_P3, "Display P3")
    assert profile
    return profile


def test_display_p3_becomes_srgb(path: Path) -> None:
    picture = save(Image.fromarray(noise()), path, p3())
    assert np.abs(picture.pixels - in_srgb(noise(), DISPLAY_P3)).max() <= 1.5
    assert picture.notes == ("converted from Display P3 to sRGB",)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("jpg", {"quality": 95}), ("webp", {"lossless": True}), ("tif", {}), ("avif", {})],
)
def test_every_format_that_has_profiles(
    path: Path, suffix: str, options: dict[str, object]
) -> None:
    path = path.with_suffix(f".{suffix}")
    picture = save(Image.new("RGB", (16, 16), COLOUR), path, p3(), **options)
    assert np.abs(picture.pixels - in_srgb(COLOUR, DISPLAY_P3)).max() <= 4
    assert picture.notes == ("converted from Display P3 to sRGB",)


def test_srgb_by_any_name_is_left_alone(path: Path) -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (own, described(None, SRGB_PRIMARIES, "C2")):
        assert profile
        picture = save(Image.fromarray(noise()), path, profile)
        assert np.array_equal(picture.pixels, noise())
        assert picture.notes == ()


@pytest.mark.parametrize("profile", [b"x", b"", p3()[:300], p3()[:128] + bytes(400)])
def test_a_damaged_profile_is_ignored(path: Path, profile: bytes) -> None:
    data = png_of(noise(), 8, 2, chunk(b"iCCP", b"name\0\0" + zlib.compress(profile)))
    path.write_bytes(data)
    picture = read_image(path)
    assert np.array_equal(picture.pixels, noise())
    assert len(picture.notes) == 1
    assert "ignored" in picture.notes[0]


@pytest.mark.parametrize(
    "body", [b"name\0\0no zlib", b"name", b"name\0\0" + zlib.compress(p3())[:-9]]
)
def test_a_damaged_chunk_of_a_profile(path: Path, body: bytes) -> None:
    path.write_bytes(png_of(noise(), 8, 2, chunk(b"iCCP", body)))
    assert np.array_equal(read_image(path).pixels, noise())
    assert read_image(path).notes == ("damaged colour profile ignored",)


def test_half_a_profile_in_a_jpeg(path: Path) -> None:
    buffer = BytesIO()
    Image.new("RGB", (16, 16), COLOUR).save(buffer, "JPEG")
    piece = b"ICC_PROFILE\0\1\2" + p3()[:100]
    data = buffer.getvalue()
    marker = b"\xff\xe2" + struct.pack(">H", len(piece) + 2) + piece
    path.write_bytes(data[:2] + marker + data[2:])
    assert read_image(path).notes == ("damaged colour profile ignored",)


def test_adobe_rgb_by_the_exif_of_a_camera(path: Path) -> None:
    path = path.with_suffix(".jpg")
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}
    Image.new("RGB", (16, 16), COLOUR).save(path, quality=95, exif=exif)
    picture = read_image(path)
    matrix = np.linalg.solve(to_xyz(SRGB_PRIMARIES), to_xyz(ADOBE_RGB[1]))
    expected = 255 * encode(matrix @ (np.array(COLOUR) / 255) ** (563 / 256))
    assert np.abs(picture.pixels - expected).max() <= 4
    assert picture.notes == ("converted from Adobe RGB (1998) to sRGB",)
    exif[0x8769] = {0xA001: 1, 0xA005: {1: "R98"}}
    Image.new("RGB", (16, 16), COLOUR).save(path, quality=95, exif=exif)
    assert read_image(path).notes == ()


def test_grey(path: Path) -> None:
    """8 bits, and 16, which are rounded after the conversion and not before."""
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    picture = save(Image.fromarray(grey), path, grey_icc(1.0))
    expected = 255 * encode(grey / 255)
    assert np.abs(picture.pixels - expected[..., None]).max() <= 1
    assert picture.notes == ("grey converted to RGB", "converted from Handmade 1 to sRGB")

    deep = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    picture = save(Image.fromarray(deep), path, grey_icc(1.0))
    error = picture.pixels[..., 0] - 255 * encode(deep / 65535)
    assert np.abs(error[1:]).max() <= 1  # the first level alone is bent by more
    assert picture.notes[-1] == "converted from Handmade 1 to sRGB"


def test_grey_with_a_profile_of_rgb(path: Path) -> None:
    grey = noise(1)[..., 0]
    linear = described(1.0, None)
    assert linear
    picture = save(Image.fromarray(grey), path, linear)
    assert np.abs(picture.pixels - 255 * encode(grey / 255)[..., None]).max() <= 1


def test_alpha_and_palettes(path: Path) -> None:
    """The white ground is sRGB's, so it is not converted."""
    pixels = noise(4)
    pixels[0, 0, 3], pixels[0, 1, 3] = 0, 255
    picture = save(Image.fromarray(pixels), path, p3())
    share = pixels[..., 3:] / 255
    expected = in_srgb(pixels[..., :3], DISPLAY_P3) * share + 255 * (1 - share)
    assert np.abs(picture.pixels - expected).max() <= 2
    assert (picture.pixels[0, 0] == 255).all()

    palette = Image.fromarray(noise()).quantize(16)
    picture = save(palette, path, p3())
    expected = in_srgb(np.array(palette.convert("RGB")), DISPLAY_P3)
    assert np.abs(picture.pixels - expected).max() <= 1.5


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk(path: Path, suffix: str) -> None:
    """Lightness 50 is level 119 of sRGB; full cyan is that here, and all else white or black."""
    corners = [(0 if i & 1 else 128 if i == 8 else 255, 128, 128) for i in range(16)]
    profile, path = cmyk_icc(corners), path.with_suffix(f".{suffix}")
    for ink, level in (((0, 0, 0, 0), 255), ((255, 0, 0, 0), 119), ((0, 0, 0, 255), 0)):
        picture = save(Image.new("CMYK", (16, 16), ink), path, profile)
        assert np.abs(picture.pixels.astype(int) - level).max() <= 3, ink
        assert picture.notes[-1] == "converted from Handmade 1 to sRGB"


def test_a_profile_for_other_channels_is_ignored(path: Path) -> None:
    picture = save(Image.fromarray(noise()), path, grey_icc(1.0))
    assert np.array_equal(picture.pixels, noise())
    assert picture.notes == ("colour profile Handmade 1 ignored, it is for grey",)


def test_gamma_and_primaries_of_a_png(path: Path) -> None:
    def read(*extra: bytes) -> Picture:
        path.write_bytes(png_of(noise(), 8, 2, b"".join(extra)))
        return read_image(path)

    def primaries(points: Any) -> bytes:
        return chunk(b"cHRM", struct.pack(">8I", *(round(p * 100_000) for p in points)))

    linear, usual = (chunk(b"gAMA", struct.pack(">I", gamma)) for gamma in (100_000, 45_455))
    for extra in ((usual,), (usual, primaries(SRGB_PRIMARIES)), (linear, chunk(b"sRGB", b"\0"))):
        picture = read(*extra)
        assert np.array_equal(picture.pixels, noise())
        assert picture.notes == ()
    picture = read(linear)
    assert np.abs(picture.pixels - 255 * encode(noise() / 255)).max() <= 1
    assert picture.notes == ("converted from gamma 1 to sRGB",)
    picture = read(usual, primaries(DISPLAY_P3))
    assert np.abs(picture.pixels - in_srgb(noise(), DISPLAY_P3)).max() <= 1.5
    picture = read(linear, chunk(b"iCCP", b"n\0\0" + zlib.compress(p3())))
    assert picture.notes == ("converted from Display P3 to sRGB",)
    assert read(chunk(b"gAMA", bytes(4))).notes == ("damaged colour profile ignored",)


def test_code_points_of_a_png(path: Path) -> None:
    path.write_bytes(png_of(noise(), 8, 2, chunk(b"cICP", bytes([12, 13, 0, 1]))))
    picture = read_image(path)
    assert np.abs(picture.pixels - in_srgb(noise(), DISPLAY_P3)).max() <= 1.5
    assert picture.notes == ("converted from Display P3 to sRGB",)
    path.write_bytes(png_of(noise(), 8, 2, chunk(b"cICP", bytes([9, 16, 0, 1]))))
    with pytest.raises(InputError, match="code points 9/16, as pictures of high dynamic range"):
        read_image(path)
    assert of_code_points(1, 13) is None


def test_code_points_of_an_avif(path: Path) -> None:
    buffer = BytesIO()
    Image.new("RGB", (16, 16), COLOUR).save(buffer, "AVIF", quality=95)
    data = bytearray(buffer.getvalue())
    at = data.index(b"colrnclx") + 8
    plain = bytes(data)
    data[at : at + 4] = struct.pack(">HH", 12, 13)
    path.write_bytes(data)
    assert np.abs(read_image(path).pixels - in_srgb(COLOUR, DISPLAY_P3)).max() <= 4
    path.write_bytes(plain)
    assert read_image(path).notes == ()


def test_the_profile_of_a_bmp(path: Path) -> None:
    pixels = noise()[:, :28]
    rows = pixels[::-1, :, ::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, 28, 20, 1, 24, 0, len(rows), 0, 0, 0, 0)
    header += (
        bytes(16) + b"DEBM" + bytes(48 + 4) + struct.pack("<III", 124 + len(rows), len(p3()), 0)
    )
    data = struct.pack("<IHHI", 138 + len(rows) + len(p3()), 0, 0, 138) + header + rows + p3()
    path.write_bytes(b"BM" + data)
    picture = read_image(path)
    assert np.abs(picture.pixels - in_srgb(pixels, DISPLAY_P3)).max() <= 1.5
    path.write_bytes(b"BM" + data[:-1])
    assert read_image(path).notes == ("damaged colour profile ignored",)
    assert np.array_equal(read_image(path).pixels, pixels)


def test_the_profile_of_a_jpeg_2000(path: Path) -> None:
    buffer = BytesIO()
    path = path.with_suffix(".jp2")
    Image.fromarray(noise()).save(buffer, "JPEG2000", irreversible=False)
    data = buffer.getvalue()
    path.write_bytes(data)
    assert np.array_equal(read_image(path).pixels, noise())
    assert read_image(path).notes == ()
    at = data.index(b"colr") - 4
    box = struct.pack(">I4sBBB", 11 + len(p3()), b"colr", 2, 0, 0) + p3()
    header = data.index(b"jp2h") - 4
    (old,) = struct.unpack_from(">I", data, at)
    (whole,) = struct.unpack_from(">I", data, header)
    changed = bytearray(data[:at] + box + data[at + old :])
    struct.pack_into(">I", changed, header, whole - old + len(box))
    path.write_bytes(changed)
    picture = read_image(path)
    assert np.abs(picture.pixels - in_srgb(noise(), DISPLAY_P3)).max() <= 1.5
    assert picture.notes == ("converted from Display P3 to sRGB",)


def test_a_cmyk_jpeg_that_does_not_say_how_is_refused(path: Path) -> None:
    buffer = BytesIO()
    Image.new("CMYK", (16, 16), (200, 100, 30, 40)).save(buffer, "JPEG")
    data = buffer.getvalue()
    at = data.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", data, at + 2)
    path.write_bytes(data[:at] + data[at + 2 + length :])
    with pytest.raises(InputError, match="CMYK JPEG that does not say whether its ink is inverted"):
        read_image(path)
