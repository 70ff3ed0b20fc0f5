"""Data sets by name: the same pictures in evaluate, benchmark and train."""

import json
from pathlib import Path

import numpy as np
import pytest

import cli
import witt
from benchmarks.sweep.dataset import open_dataset
from witt.errors import InputError
from witt.pictures.inputs import gather_with_sheets
from witt.pictures.sets import is_set, read_set
from witt.registry import DATASETS
from witt.training.pictures import open_sets

OWN = """
import numpy as np

def noise(count=3, side=24):
    for n in range(count):
        pixels = np.random.default_rng(n).integers(0, 256, (side + 8 * n, side, 3))
        yield f"noise-{n}", pixels.astype(np.uint8)

def floats():
    return [("a", np.zeros((4, 4, 3)))]

def bare():
    return [np.zeros((4, 4, 3), np.uint8)]

def twice():
    return [("a", np.zeros((4, 4, 3), np.uint8))] * 2

def none():
    return []

def broken():
    yield "a", np.zeros((4, 4, 3), np.uint8)
    raise RuntimeError("no more")
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def test_pictures_and_names(own: Path) -> None:
    text = f"{own}:noise:count=2"
    assert is_set(text)
    assert not is_set(own.parent)
    assert [(one.name, one.size) for one in read_set(text)] == [
        ("noise-0", (24, 24)),
        ("noise-1", (32, 24)),
    ]
    assert len(read_set(text, 1)) == 1
    dataset = open_dataset(text)
    assert (dataset.name, dataset.names) == ("noise:count=2", ("noise-0", "noise-1"))
    sets = open_sets([text], [f"{own}:noise:count=1"])
    assert sets.val is not None
    inputs = gather_with_sheets([Path(text)])
    assert str(inputs[1]) == f"{text}/noise-1"
    for n, (_, pixels, label) in enumerate(read_set(text)):
        assert label is None
        for read in (dataset.read(n), sets.train[n], inputs[n].read()):
            assert np.array_equal(read, pixels)
    assert np.array_equal(sets.val[0], read_set(text)[0].pixels)
    assert open_sets([text], []).train.content() != sets.val.content()


def test_a_registered_set_gives_way_to_a_folder(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DATASETS.register("greys")(lambda: [("grey", np.full((4, 5, 3), 7, np.uint8))])
    try:
        monkeypatch.chdir(own.parent)
        assert read_set("greys")[0].size == (4, 5)
        (own.parent / "greys").mkdir()
        assert not is_set("greys")
    finally:
        DATASETS._given.clear()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("floats", r"a must be uint8 \(H, W, 3\), not float64"),
        ("bare", "no pairs of a name and pixels"),
        ("twice", "1 pictures have the name of another one"),
        ("none", "has no picture"),
        ("broken", "RuntimeError: no more"),
        ("noise:size=2", "unexpected keyword argument 'size'"),
        ("other", "has nothing called other"),
    ],
)
def test_what_is_no_set_is_refused(own: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_set(f"{own}:{name}")


def test_evaluate_and_benchmark_read_it(own: Path, weights: Path, tmp_path: Path) -> None:
    """Pictures of different sizes, by both commands, with the same figures."""
    # A header on top of so small a picture is over the CBR that a benchmark allows.
    how = ["--snr", "10", "--no-ms-ssim", "--side-information", "ideal"]
    evaluated, swept = tmp_path / "e.json", tmp_path / "b.json"
    mine = ["--weights", weights, *how, "-o", evaluated]
    schemes = ["--schemes", f"mine={weights}", *how, "-o", swept]
    for args in (
        ["evaluate", f"{own}:noise", *mine],
        ["benchmark", "--dataset", f"{own}:noise", *schemes],
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(list(map(str, args)))
        assert caught.value.code == 0
    figures = [
        entry["psnr_db"] for entry in json.loads(evaluated.read_text())["results"][0]["images"]
    ]
    (cell,) = json.loads(swept.read_text())["cells"]
    assert len(figures) == 3
    assert cell["images"]["psnr_db"] == pytest.approx(figures, abs=1e-3)
    assert witt.load(weights).channel_uses((40, 24), 1 / 16) == cell["images"]["channel_uses"][2]
