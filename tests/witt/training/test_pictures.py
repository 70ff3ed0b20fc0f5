"""Pictures are found, unreadable ones skipped by name, and CIFAR-10's test set left alone."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from witt.errors import InputError
from witt.pictures.finding import find_images
from witt.pictures.sheets import read_sheets
from witt.training.pictures import Pictures, open_sets


def paths_of(folder: Path) -> list[Path]:
    return [found.path for found in find_images([folder])]


def test_nested_pictures_are_read(photos: Path, picture: Callable[..., np.ndarray]) -> None:
    pictures = open_sets([photos], []).train
    assert len(pictures) == 5
    by_name = {Path(pictures.name(i)).stem: pictures[i] for i in range(5)}
    for i in range(5):
        np.testing.assert_array_equal(by_name[str(i)], picture(i))


def test_bad_files_are_skipped_with_one_warning(photos: Path) -> None:
    whole = (photos / "0.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "nested" / "text.jpg").write_text("no picture")
    (photos / "empty.bmp").touch()
    with pytest.warns(UserWarning, match="skipped") as caught:
        pictures = open_sets([photos], []).train
    assert len(pictures) == 5
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "skipped 3 files" in message
    assert all(name in message for name in ("cut.png", "text.jpg", "empty.bmp"))


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(InputError, match=r"x\.png"):
        open_sets([tmp_path], [])


def test_what_does_not_fit_the_cache_is_read_later(
    photos: Path, picture: Callable[..., np.ndarray]
) -> None:
    one = picture(0).nbytes
    pictures = Pictures(paths_of(photos), cache_bytes=2 * one)
    assert pictures.nbytes == 5 * one  # which are all as large
    stored = {Path(pictures.name(i)).stem: i for i in range(5)}
    (photos / "0.png").unlink()
    np.testing.assert_array_equal(pictures[stored["0"]], picture(0))  # held
    Path(pictures.name(4)).unlink()
    with pytest.raises(InputError, match="no such file"):
        pictures[4]


def test_pickled_pictures_are_decoded_again(
    photos: Path, picture: Callable[..., np.ndarray]
) -> None:
    pictures = Pictures(paths_of(photos))
    copy = pickle.loads(pickle.dumps(pictures))
    assert len(pickle.dumps(pictures)) < picture(0).nbytes
    assert len(copy) == 5
    np.testing.assert_array_equal(copy[3], pictures[3])


def test_sheets_are_cut_in_order(sheets: tuple[Path, np.ndarray]) -> None:
    folder, tiles = sheets
    np.testing.assert_array_equal(
        read_sheets(folder, "train"), tiles
    )  # the black filling is dropped


def test_validation_holds_out_training_pictures(sheets: tuple[Path, np.ndarray]) -> None:
    folder, tiles = sheets
    sets = open_sets([folder], [folder])
    assert sets.val is not None
    trained = np.stack([sets.train[i] for i in range(len(sets.train))])
    validated = np.stack([sets.val[i] for i in range(len(sets.val))])
    np.testing.assert_array_equal(trained, tiles[:30])
    np.testing.assert_array_equal(validated, tiles[30:])
    assert "held out" in sets.notes[0]
    assert len(open_sets([folder], []).train) == 40


def test_sheets_beside_photographs(photos: Path, sheets: tuple[Path, np.ndarray]) -> None:
    folder, tiles = sheets
    train = open_sets([photos, folder], []).train
    assert len(train) == 45
    np.testing.assert_array_equal(train[44], tiles[39])


def test_the_test_set_alone_is_refused(sheets: tuple[Path, np.ndarray]) -> None:
    folder, _ = sheets
    (folder / "train_labels.npy").unlink()
    with pytest.raises(InputError, match="for reporting"):
        open_sets([folder], [])


def test_damaged_sheets_are_refused(sheets: tuple[Path, np.ndarray]) -> None:
    folder, _ = sheets
    np.save(folder / "train_labels.npy", np.zeros(1000, np.uint8))
    with pytest.raises(InputError, match="1000 labels for sheets of 64 tiles"):
        read_sheets(folder, "train")
    Image.new("RGB", (100, 64)).save(folder / "train_00.webp", lossless=True)
    with pytest.raises(InputError, match="100x64"):
        read_sheets(folder, "train")
    (folder / "train_labels.npy").write_bytes(b"x")
    with pytest.raises(InputError, match="not a file of labels"):
        read_sheets(folder, "train")


def test_validating_on_training_pictures_is_said(photos: Path) -> None:
    notes = open_sets([photos], [photos / "nested"]).notes
    assert len(notes) == 1
    assert notes[0].startswith("2 validation pictures are also trained on")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_sets([photos / "nested"], []).notes == ()


def test_shares_lie_within_each_other(photos: Path, sheets: tuple[Path, np.ndarray]) -> None:
    """A quarter is among the half, the same every time, of files and sheets alike."""
    folder, tiles = sheets

    def of(share: float) -> set[bytes]:
        sets = open_sets([photos, folder], [folder], share)
        assert sets.val is not None
        assert len(sets.val) == 10  # whatever the share
        return {sets.train[i].tobytes() for i in range(len(sets.train))}

    quarter, half, whole = map(of, (0.25, 0.5, 1.0))
    assert quarter < half < whole
    assert of(0.25) == quarter
    held = {tile.tobytes() for tile in tiles[30:]}
    assert not held & whole
    tile_bytes = {tile.tobytes() for tile in tiles}
    assert [len(each & tile_bytes) for each in (quarter, half, whole)] == [8, 15, 30]
    assert [len(each - tile_bytes) for each in (quarter, half, whole)] == [1, 2, 5]
    assert len(of(1e-9)) == 2  # at least one of each kind
