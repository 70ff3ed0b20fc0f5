"""Which pictures a command works on."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import witt
from witt.errors import InputError
from witt.pictures.inputs import Input, conversions, gather

PIXELS = np.zeros((3, 5, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.png, bad.png that cannot be read, and sub/b.png."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    witt.write_png(root / "a.png", PIXELS)
    (root / "bad.png").write_bytes(b"no picture")
    witt.write_png(root / "sub" / "b.png", PIXELS + 1)
    return root


def test_a_folder(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"bad\.png.*; skipped"):
        found = gather([folder])
    assert [entry.relative for entry in found] == [Path("a.png"), Path("sub/b.png")]
    digest = hashlib.sha256(PIXELS.tobytes()).digest()
    assert found[0] == Input(folder / "a.png", Path("a.png"), (3, 5), (), digest)


def test_a_bad_file_given_directly_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match=r"bad\.png"):
        gather([folder / "a.png", folder / "bad.png"])


@pytest.mark.filterwarnings("ignore:.*skipped")
def test_each_folder_needs_a_picture(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.png").write_bytes(b"no picture either")
    with pytest.raises(InputError, match="other: no picture in this folder can be read"):
        gather([folder, other])


@pytest.mark.filterwarnings("ignore:.*skipped")
def test_limit(folder: Path) -> None:
    assert [entry.path.name for entry in gather([folder], limit=1)] == ["a.png"]
    assert len(gather([folder], limit=9)) == 2


@pytest.mark.filterwarnings("ignore:.*skipped")
def test_output_inside_an_input_folder(folder: Path) -> None:
    """What lies there is left out, but not what was named, nor all when they are one folder."""
    assert len(gather([folder], output=folder / "sub")) == 1
    assert len(gather([folder, folder / "sub" / "b.png"], output=folder / "sub")) == 2
    assert len(gather([folder], output=folder)) == 2


def test_conversions_are_grouped() -> None:
    pictures = [Input(Path(f"{i}.png"), Path(f"{i}.png"), (1, 1), ("grey",)) for i in range(4)]
    pictures.append(Input(Path("p.png"), Path("p.png"), (1, 1), ("grey", "alpha")))
    assert conversions(pictures) == [
        "0.png, 1.png, 2.png and 2 more: grey",
        "p.png: alpha",
    ]
    assert conversions([]) == []
