"""Labels reach a metric that needs them, by every command, picture by picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cli
import witt
from benchmarks.sweep.dataset import open_dataset
from witt.errors import InputError
from witt.pictures.sheets import read_labels

OWN = """
import numpy as np

def label_of(image, reference, labels):
    assert labels.shape == (len(image),)
    return labels

label_of.needs_labels = True

def labelled(count=3):
    for n in range(count):
        yield f"n{n}", np.full((24, 24 + 8 * (n > 1), 3), 60 * n, np.uint8), np.uint8(7 - n)

def partly():
    yield "a", np.zeros((24, 24, 3), np.uint8), 3
    yield "b", np.ones((24, 24, 3), np.uint8)

def worded():
    yield "a", np.zeros((24, 24, 3), np.uint8), "cat"

def alone(image, reference):
    return 0

alone.needs_labels = True
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


@pytest.fixture
def sheets(cifar: Path) -> tuple[Path, list[int]]:
    """300 tiles with classes that differ."""
    labels = np.random.default_rng(5).integers(0, 10, 300).astype(np.uint8)
    np.save(cifar / "test_labels.npy", labels)
    return cifar, labels.tolist()


def run(*args: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(map(str, args)))
    assert caught.value.code == 0


HOW = ("--snr", "10", "--side-information", "ideal")


def test_benchmark_and_evaluate_of_sheets(
    sheets: tuple[Path, list[int]], own: Path, weights: Path, tmp_path: Path
) -> None:
    folder, labels = sheets
    metric, out = f"psnr,{own}:label_of", tmp_path / "b.json"
    run("benchmark", "--dataset", folder, "--schemes", "softcast", *HOW, "--cbr", "1/3",
        "--metric", metric, "--limit", "260", "-o", out)  # fmt: skip
    (cell,) = json.loads(out.read_text())["cells"]
    assert cell["images"]["label_of"] == labels[:260]
    out = tmp_path / "e.json"
    run("evaluate", folder, "--weights", weights, *HOW, "--cbr", "1/16", "--metric", metric,
        "--limit", "40", "-o", out)  # fmt: skip
    (result,) = json.loads(out.read_text())["results"]
    assert [entry["label_of"] for entry in result["images"]] == labels[:40]


def test_a_data_set_by_name_has_them(own: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    run("benchmark", "--dataset", f"{own}:labelled", "--schemes", f"mine={weights}", *HOW,
        "--cbr", "1/16", "--metric", f"{own}:label_of", "-o", out)  # fmt: skip
    (cell,) = json.loads(out.read_text())["cells"]
    assert cell["images"]["label_of"] == [7, 6, 5]
    results = witt.evaluate(
        weights, f"{own}:labelled", snr=10, cbr="1/16", metrics=f"{own}:label_of",
        side_information="ideal",
    )  # fmt: skip
    assert [entry["label_of"] for entry in results.results[0]["images"]] == [7, 6, 5]


@pytest.mark.parametrize("what", ["photos", "partly"])
def test_pictures_without_labels_are_refused_in_one_line(
    what: str, own: Path, photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photos if what == "photos" else f"{own}:partly"
    asked = ("--metric", "psnr,accuracy", *HOW, "-o", photos.parent / "out.json")
    some = next(photos.iterdir())
    for command in (
        ("benchmark", "--dataset", data, "--schemes", "softcast", *asked),
        ("evaluate", data, "--weights", weights, *asked),
        ("transmit", some, "--weights", weights, "--metric", "accuracy"),
        ("referee", "--data", photos, "--schemes", "softcast", "--metric", "accuracy"),
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(list(map(str, command)))
        assert caught.value.code == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "metric accuracy: needs the class of each picture" in line
        assert line.endswith("has none")
    assert not (photos.parent / "out.json").exists()


def test_labels_of_a_folder_and_of_none(sheets: tuple[Path, list[int]], photos: Path) -> None:
    folder, labels = sheets
    assert open_dataset(folder, 7).labels == tuple(labels[:7])
    assert open_dataset(photos).labels is None
    assert read_labels(photos, "test") is None
    np.save(folder / "test_labels.npy", np.zeros((300, 2)))
    with pytest.raises(InputError, match=r"test_labels.npy: float64 \(300, 2\) are no labels"):
        open_dataset(folder)


def test_labels_that_are_none(own: Path) -> None:
    assert open_dataset(f"{own}:partly").labels is None
    with pytest.raises(InputError, match=r"nor \(name, pixels, label\) with a whole number"):
        open_dataset(f"{own}:worded")
    with pytest.raises(InputError, match=r"cannot be called with \(image, reference, labels\)"):
        witt.evaluate("witt_light", str(own.parent), metrics=f"{own}:alone")
