"""What a folder holds that is no picture to work on, or one of them twice, is left out aloud."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cli
from witt.errors import InputError
from witt.pictures.finding import find_images
from witt.pictures.images import Pixels, read_image
from witt.pictures.inputs import gather
from witt.pictures.writing import mark_png, write_png


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)


def pictures(*names: str) -> None:
    for seed, name in enumerate(names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_png(name, pixels(seed))


def names(inputs: Sequence[str], *warned: str) -> list[str]:
    """What is found, with exactly these warnings."""
    if not warned:
        return [found.path.as_posix() for found in find_images(inputs)]
    with pytest.warns(UserWarning, match=".") as caught:
        found = find_images(inputs)
    assert [str(warning.message) for warning in caught] == list(warned)
    return [entry.path.as_posix() for entry in found]


def results(*names: str) -> None:
    for seed, name in enumerate(names):
        write_png(name, pixels(100 + seed), result="received")


def test_results_are_skipped_in_folders_and_counted() -> None:
    pictures("a.png", "sub/b.png")
    results("a_received.png", "sub/b_received.png", "sub/renamed.png", "z.png")
    note = (
        ".: left out 4 files written by this program "
        "(a_received.png, b_received.png, renamed.png and 1 more; name them to take them)"
    )
    assert names(["."], note) == ["a.png", "sub/b.png"]
    assert names(["z.png"]) == ["z.png"]
    assert names([".", "z.png"], note) == ["a.png", "sub/b.png", "z.png"]


def test_what_transmit_writes_is_not_measured(weights: Path) -> None:
    pictures("a.png", "b.png")
    with pytest.raises(SystemExit) as stop:
        cli.main(["transmit", ".", "--weights", str(weights), "--output", "."])
    assert not stop.value.code
    assert len(os.listdir()) == 6
    with pytest.warns(UserWarning, match="4 files written by this program"):
        assert [entry.path.name for entry in gather([Path()])] == ["a.png", "b.png"]


def test_a_folder_of_nothing_but_results() -> None:
    results("a_received.png")
    with pytest.raises(InputError, match=r"no pictures in this folder \(1 file written by this"):
        find_images(["."])


def test_the_mark_changes_no_pixel() -> None:
    results("a.png")
    assert np.array_equal(read_image("a.png").pixels, pixels(100))
    assert read_image("a.png").notes == ()
    pictures("b.png")
    data = Path("b.png").read_bytes()
    marked = mark_png(data, "x")
    assert marked[:33] + marked[33 + 12 + len(b"witt\0x") :] == data


def test_what_is_no_result() -> None:
    """Short files, empty ones and pipes are looked at without harm."""
    pictures("a.png")
    Path("short.png").write_bytes(b"\x89PNG")
    Path("empty.png").touch()
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe.png")
    assert set(names(["."])) >= {"a.png", "short.png", "empty.png"}


def test_kinds_that_are_not_read_are_named() -> None:
    pictures("a.png")
    for name in ("b.dng", "c.NEF", "d.jxl", "e.psd", "notes.txt"):
        Path(name).touch()
    note = (
        ".: left out 4 files of kinds that cannot be read "
        "(b.dng, c.NEF, d.jxl and 1 more; save them as PNG)"
    )
    assert names(["."], note) == ["a.png"]


def test_heic_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    pictures("a.png")
    Path("b.heic").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(99))
    note = ".: left out 1 file HEIC (b.heic; to read them: pip install pillow-heif)"
    assert names(["."], note) == ["a.png"]
    with pytest.raises(InputError, match=r"b\.heic: is a HEIC picture; to read it: pip install"):
        read_image("b.heic")
    Path("a.png").unlink()
    with pytest.raises(InputError, match=r"no pictures in this folder .*pillow-heif"):
        find_images(["."])


@pytest.mark.parametrize("rotated", [False, True])
def test_heic_with_its_library(rotated: bool) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    two = np.zeros((32, 64, 3), np.uint8)
    two[:, :32], two[:, 32:] = (200, 100, 50), (10, 20, 230)
    exif = Image.Exif()
    exif[0x0112] = 6 if rotated else 1
    heif = pillow_heif.from_pillow(Image.fromarray(two))
    heif.save("a.HEIC", quality=-1, chroma=444, exif=exif.tobytes())
    assert names(["."]) == ["a.HEIC"]
    picture = read_image("a.HEIC")
    expected = two.swapaxes(0, 1)[:, ::-1] if rotated else two
    assert picture.pixels.shape == expected.shape
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 3


def test_a_link_is_the_picture_it_leads_to() -> None:
    pictures("d/a.png", "d/b.png", "elsewhere/c.png")
    Path("d/hard.png").hardlink_to("d/a.png")
    Path("d/soft.png").symlink_to(Path("d/b.png").resolve())
    Path("d/out.png").symlink_to(Path("elsewhere/c.png").resolve())
    note = "linked pictures are taken once: d/hard.png is d/a.png, d/soft.png is d/b.png"
    assert names(["d"], note) == ["d/a.png", "d/b.png", "d/out.png"]
    note += ", elsewhere/c.png is d/out.png"
    assert names(["d", "elsewhere/c.png"], note) == ["d/a.png", "d/b.png", "d/out.png"]


def test_a_broken_link_is_no_second_picture() -> None:
    pictures("a.png")
    Path("b.png").symlink_to("missing.png")
    Path("c.png").symlink_to("missing.png")
    with pytest.warns(UserWarning, match="no such file; skipped"):
        assert [entry.path.name for entry in gather([Path()])] == ["a.png"]


def test_folders_are_walked_once() -> None:
    pictures("d/x.png", "elsewhere/y.png")
    Path("d/link").symlink_to(Path("elsewhere").resolve(), target_is_directory=True)
    # Two loops, because the system itself stops one after 40 turns; two have 2^40 paths.
    Path("d/loop").symlink_to(Path("d").resolve(), target_is_directory=True)
    Path("d/ring").symlink_to(Path("d").resolve(), target_is_directory=True)
    warned = [f"d/{name}: leads to a folder walked already; left out" for name in ("loop", "ring")]
    assert names(["d"], *warned) == ["d/link/y.png", "d/x.png"]


def test_equal_files_are_taken_and_told() -> None:
    pictures("a.png", "b.png")
    Path("copy.png").write_bytes(Path("a.png").read_bytes())
    note = "the same file under 2 names: a.png, copy.png"
    assert names(["."], note) == ["a.png", "b.png", "copy.png"]


def test_files_of_one_size_and_beginning_are_not_the_same() -> None:
    for name, last in (("a.png", b"1"), ("b.png", b"2"), ("c.png", b"2")):
        Path(name).write_bytes(bytes(100_000) + last)
    assert names(["."], "the same file under 2 names: b.png, c.png") == ["a.png", "b.png", "c.png"]


def test_a_folder_of_links_is_not_without_pictures() -> None:
    pictures("d/a.png")
    Path("links").mkdir()
    Path("links/a.png").symlink_to(Path("d/a.png").resolve())
    with pytest.warns(UserWarning, match="taken once"):
        assert [entry.path for entry in gather([Path("d"), Path("links")])] == [Path("d/a.png")]
