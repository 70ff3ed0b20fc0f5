"""The pictures of a sweep."""

from pathlib import Path

import numpy as np
import pytest

import witt
from benchmarks.sweep.dataset import open_dataset
from witt.errors import InputError


def test_folder_in_the_order_of_names(photos: Path) -> None:
    dataset = open_dataset(photos)
    assert dataset.name == "photos"
    assert dataset.names == ("p0.png", "p1.png", "p2.png", "p3.png")
    assert dataset.sizes == ((96, 100),) * 3 + ((100, 96),)
    assert dataset.chunks == (range(1), range(1, 2), range(2, 3), range(3, 4))
    np.testing.assert_array_equal(dataset.read(3), witt.read_image(photos / "p3.png").pixels)


def test_cifar_sheets(cifar: Path) -> None:
    tiles = np.random.default_rng(7).integers(40, 216, (300, 32, 32, 3), dtype=np.uint8)
    dataset = open_dataset(cifar)
    assert (len(dataset), dataset.names) == (300, None)
    assert dataset.chunks == (range(256), range(256, 300))
    np.testing.assert_array_equal(np.stack([dataset.read(i) for i in range(300)]), tiles)
    first = open_dataset(cifar, 5)
    np.testing.assert_array_equal(np.stack([first.read(i) for i in range(5)]), tiles[:5])


def test_hash_tells_data_sets_apart(photos: Path, cifar: Path) -> None:
    shas = {
        open_dataset(photos).sha256,
        open_dataset(photos, 2).sha256,
        open_dataset(cifar).sha256,
    }
    assert len(shas) == 3
    before = open_dataset(photos).sha256
    pixels = witt.read_image(photos / "p1.png").pixels.copy()
    pixels[5, 5, 1] ^= 1
    witt.write_png(photos / "p1.png", pixels)
    assert open_dataset(photos).sha256 != before


def test_small_pictures_go_together_and_large_ones_alone(tmp_path: Path) -> None:
    for index, side in enumerate((32, 64, 65, 20, 20)):
        witt.write_png(tmp_path / f"{index}.png", np.full((side, 20, 3), index, np.uint8))
    assert open_dataset(tmp_path).chunks == (range(2), range(2, 3), range(3, 5))


def test_damaged_sheets(cifar: Path) -> None:
    np.save(cifar / "test_labels.npy", np.zeros(600, np.uint8))
    with pytest.raises(InputError, match=r"600 labels for sheets of 512 tiles"):
        open_dataset(cifar)
    (cifar / "test_labels.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="damaged"):
        open_dataset(cifar)
