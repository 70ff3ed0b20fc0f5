"""Pictures are found with names of their own, and files are written whole or not at all."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from witt.errors import InputError
from witt.files import ensure_writable_folder, write_bytes, write_text
from witt.pictures.finding import Found, find_images
from witt.pictures.images import Pixels, read_image
from witt.pictures.writing import write_png


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def relatives(*inputs: str) -> list[str]:
    return [found.relative.as_posix() for found in find_images(inputs)]


def some_pixels(seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.usefixtures("here")
class TestFindImages:
    def test_files_are_taken_as_they_are(self) -> None:
        touch("a/x.png", "b/noextension", "c/.hidden.png", "d/notes.txt")
        inputs = ["d/notes.txt", "a/x.png", "b/noextension", "c/.hidden.png"]
        assert find_images(inputs) == [
            Found(Path("d/notes.txt"), Path("notes.txt")),
            Found(Path("a/x.png"), Path("x.png")),
            Found(Path("b/noextension"), Path("noextension")),
            Found(Path("c/.hidden.png"), Path(".hidden.png")),
        ]

    def test_a_folder_is_mirrored(self) -> None:
        touch("d/z.png", "d/b/y.JPG", "d/b/c/x.tiff", "d/a.webp", "d/b/z.png")
        touch("d/readme.txt", "d/.hidden.png", "d/.cache/x.png", "d/png")
        assert find_images(["d"]) == [
            Found(Path("d/a.webp"), Path("a.webp")),
            Found(Path("d/b/c/x.tiff"), Path("b/c/x.tiff")),
            Found(Path("d/b/y.JPG"), Path("b/y.JPG")),
            Found(Path("d/b/z.png"), Path("b/z.png")),
            Found(Path("d/z.png"), Path("z.png")),
        ]

    def test_a_picture_named_twice_is_taken_once(self) -> None:
        touch("d/x.png", "d/y.png")
        assert relatives("d/y.png", "d", "d/../d/x.png") == ["y.png", "x.png"]

    def test_equal_stems_of_one_folder_keep_their_suffix(self) -> None:
        touch("d/x.png", "d/x.jpg", "d/y.png")
        assert relatives("d") == ["x_jpg.jpg", "x_png.png", "y.png"]

    def test_equal_names_of_two_folders_keep_the_folder(self) -> None:
        touch("a/x.png", "b/x.png", "b/y.png")
        assert relatives("a/x.png", "b/x.png") == ["a/x.png", "b/x.png"]
        assert relatives("a", "b") == ["a/x.png", "b/x.png", "y.png"]

    def test_the_working_folder_has_a_name_too(self, here: Path) -> None:
        touch("x.png", "b/x.png")
        assert relatives("x.png", "b/x.png") == [f"{here.name}/x.png", "b/x.png"]

    def test_equal_stems_and_equal_names_keep_both(self) -> None:
        touch("a/x.png", "a/x.jpg", "b/x.png")
        expected = ["a/x_jpg.jpg", "a/x_png.png", "b/x_png.png"]
        assert relatives("a", "b") == expected

    def test_what_has_no_name_of_its_own_is_numbered(self) -> None:
        touch("1/a/x.png", "2/a/x.png", "3/a/x.png")
        inputs = [f"{number}/a/x.png" for number in (1, 2, 3)]
        assert relatives(*inputs) == ["a/x_png.png", "a/x_png_2.png", "a/x_png_3.png"]

    def test_a_new_name_avoids_an_old_one(self) -> None:
        touch("d/x.png", "d/x.jpg", "d/x_png.png", "d/x_png_2.png")
        names = relatives("d")
        assert sorted(names) == ["x_jpg.jpg", "x_png.png", "x_png_2.png", "x_png_3.png"]
        assert names[1] == "x_png.png"

    def test_case_alone_does_not_tell_apart(self) -> None:
        touch("a/Photo.png", "b/photo.png")
        assert relatives("a", "b") == ["a/Photo.png", "b/photo.png"]

    def test_every_output_has_a_folder_and_stem_of_its_own(self) -> None:
        stems = ("x", "X", "x_png", "x_png_2", "a")
        folders = ("a", "b/a", "a/a", "c/a/x", "x")
        touch(*(f"{d}/{s}.{e}" for d in folders for s in stems for e in ("png", "jpg", "PNG")))
        inputs = ["a", "x", "b", "c/a", "a/a", "b/a/x.png", "c"]
        found = find_images(inputs)
        keys = {str(entry.relative.with_suffix("")).casefold() for entry in found}
        assert len(keys) == len(found) == len({entry.path.resolve() for entry in found})
        assert found == find_images(inputs)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("missing", "missing: no such file or folder"),
            ("missing.png", "missing.png: no such file or folder"),
            ("empty", "empty: no pictures in this folder"),
            ("x" * 300, "cannot be read"),
            ("x\0", "cannot be read"),
        ],
    )
    def test_bad_inputs(self, name: str, message: str) -> None:
        touch("empty/notes.txt", "empty/.hidden.png", "good/x.png")
        with pytest.raises(InputError, match=message) as caught:
            find_images(["good", name])
        assert "\n" not in str(caught.value)


def test_png_round_trip_and_equal_bytes(tmp_path: Path) -> None:
    pixels = some_pixels()
    write_png(tmp_path / "a.png", pixels)
    write_png(str(tmp_path / "b.png"), pixels.copy())
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, pixels)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.info == {}
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png"]


def test_png_of_a_mirrored_view(tmp_path: Path) -> None:
    pixels = some_pixels()[:, ::-1]
    write_png(tmp_path / "a.png", pixels)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, pixels)


def test_png_refuses_other_arrays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        write_png(tmp_path / "a.png", some_pixels()[:, :, 0])
    assert os.listdir(tmp_path) == []


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "σ = 1\nλ\n")
    assert (tmp_path / "a.json").read_bytes() == "σ = 1\nλ\n".encode()


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a longer text than the new one")
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_name_as_long_as_a_name_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".txt")
    write_text(path, "x")
    assert path.read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("step", ["replace", "write"])
def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def write_half(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        fail()

    if step == "replace":
        monkeypatch.setattr(os, "replace", fail)
    else:
        monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(InputError, match=r"a\.txt: cannot be written: No space left"):
        write_text(path, "new text")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a", b"x")
    assert os.listdir(tmp_path) == []


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("missing/a.txt", "file/a.txt", "folder"):
        with pytest.raises(InputError, match="cannot be written") as caught:
            write_text(tmp_path / name, "x")
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert os.listdir(tmp_path / "folder") == []


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = ensure_writable_folder(str(tmp_path / "a" / "b"))
    assert folder == tmp_path / "a" / "b"
    assert os.listdir(folder) == []
    (folder / "kept").touch()
    assert os.listdir(ensure_writable_folder(folder)) == ["kept"]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(InputError, match="file: is a file, not a folder"):
        ensure_writable_folder(file)
    for name in ("file/below", "x" * 300, "x\0"):
        with pytest.raises(InputError, match="cannot be written"):
            ensure_writable_folder(tmp_path / name)
    assert file.read_text() == "kept"


def test_a_folder_that_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root writes anywhere, so a read-only file system is played.
    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", fail)
    with pytest.raises(InputError, match="cannot be written: Read-only file system"):
        ensure_writable_folder(tmp_path)
