"""Data sets that are known by their pixels."""

import hashlib
import json
from pathlib import Path

import pytest

from benchmarks.sweep.dataset import open_dataset
from benchmarks.sweep.known import FILE, pictures_of
from benchmarks.sweep.results import read_results

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
DATA = Path(__file__).parents[4] / "shared" / "data"


def of(sha256: str, count: int, name: str = "x") -> dict[str, object]:
    return {"name": name, "pictures": count, "sha256": sha256}


@pytest.mark.parametrize(
    ("file", "title", "complete"),
    [
        ("kodak-awgn-snr", "Kodak", True),
        ("cifar10-awgn-snr", "CIFAR-10", True),
        ("cifar10-awgn-snr-digital", "CIFAR-10, first 1,000 of 10,000", False),
    ],
)
def test_results_of_before_are_known(file: str, title: str, complete: bool) -> None:
    pictures = pictures_of(read_results(RESULTS / f"{file}.json").dataset)
    assert (pictures.title, pictures.complete, pictures.stands_for_all) == (title, complete, True)


def test_a_name_alone_is_none() -> None:
    told = pictures_of(of("8" * 64, 24, "kodak"))
    assert (told.key, told.title) == (None, "kodak, not the pictures of Kodak")
    assert not told.complete
    assert not told.stands_for_all
    first = json.loads(FILE.read_text())["sets"]["kodak"]["first"]
    four = pictures_of(of(first["4"] + "0" * 48, 4, "holiday"))
    assert (four.key, four.title) == ("kodak", "Kodak, first 4 of 24")
    assert not four.complete
    assert not four.stands_for_all
    # The number belongs to it.
    assert pictures_of(of(first["4"] + "0" * 48, 5)).key is None


def test_the_list_is_whole() -> None:
    sets = json.loads(FILE.read_text())["sets"]
    assert {int(count) for count in sets["kodak"]["first"]} == set(range(1, 25))
    assert {1, 256, 1000, 9990, 10_000} <= {int(n) for n in sets["cifar10"]["first"]}
    for one in sets.values():
        assert len(set(one["first"].values())) == len(one["first"])


def test_hash_of_the_first_pictures(photos: Path) -> None:
    """As the list was made: over shape and hash of each, one after the other."""
    dataset = open_dataset(photos)
    sha = hashlib.sha256()
    for index in range(3):
        pixels = dataset.read(index)
        sha.update(f"{pixels.shape} ".encode() + hashlib.sha256(pixels.tobytes()).digest())
    assert open_dataset(photos, 3).sha256 == sha.hexdigest()


@pytest.mark.parametrize("limit", [None, 4])
def test_kodak_itself(limit: int | None) -> None:
    if not (DATA / "kodak").is_dir():
        pytest.skip("the pictures are not here")
    pictures = pictures_of(open_dataset(DATA / "kodak", limit).record())
    assert (pictures.key, pictures.number) == ("kodak", limit or 24)
