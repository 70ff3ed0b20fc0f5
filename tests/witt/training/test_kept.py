"""Which step weights.safetensors holds: the best of the scores that compare, and it is told."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import witt
from witt.training import run as run_module
from witt.training.config import TrainConfig
from witt.training.loop import train
from witt.training.validation import Scores

HELD = "weights.safetensors holds step"


@pytest.fixture
def val(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Path:
    """A folder of two pictures."""
    folder = tmp_path / "val"
    folder.mkdir()
    for i in range(2):
        Image.fromarray(picture(90 + i)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[float]], None]:
    """Lets the validations to come give these scores in dB."""

    def give(scores: Iterable[float]) -> None:
        left = iter(scores)

        def pretend(_model: object, _batches: object, at: Any, *_: object) -> Scores:
            score = next(left)
            return Scores({str(point): score for point in at}, {})

        monkeypatch.setattr(run_module, "validate", pretend)

    return give


def held(out: Path) -> tuple[int, float | None]:
    record = witt.load_weights(out / "weights.safetensors")[1]
    return record["steps"], record.get("score_db")


@pytest.mark.parametrize(
    ("scores", "kept", "told"),
    [
        # After each of 6 steps, and once more at the end.
        ([np.nan, 2, 3, np.nan, 1, 1, 1], (3, 3.0), "3.00 dB in validation), not the last: step 6"),
        ([np.nan] * 7, (6, None), "holds step 6, the last"),
        ([1, 2, 3, 4, 5, 6, 6], (6, 6.0), "holds step 6 (6.00 dB in validation), the last"),
        ([1, 2, 9, 4, 5, 6, np.nan], (3, 9.0), "step 6 has no finite score"),
    ],
)
def test_a_score_that_is_not_finite_is_never_the_best(
    tmp_path: Path,
    settings: Callable[..., TrainConfig],
    val: Path,
    scored: Callable[[Iterable[float]], None],
    capsys: pytest.CaptureFixture[str],
    scores: list[float],
    kept: tuple[int, float | None],
    told: str,
) -> None:
    scored(scores)
    train(settings(val=(str(val),), val_minutes=1e-6), tmp_path / "run", tensorboard=False)
    assert held(tmp_path / "run") == kept
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(HELD)
    assert told in last


def continue_to(steps: int, config: TrainConfig, out: Path) -> None:
    train(replace(config, steps=steps), out, resume=True, tensorboard=False)


def test_scores_of_other_pictures_do_not_compare(
    tmp_path: Path,
    settings: Callable[..., TrainConfig],
    picture: Callable[..., np.ndarray],
    val: Path,
    scored: Callable[[Iterable[float]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same ones under other names do; changed ones void the score, which is told."""
    out, config = tmp_path / "run", settings(val=(str(val),), steps=2)
    scored([30, 20, 10, 5])
    train(config, out, tensorboard=False)
    assert held(out) == (2, 30.0)
    (val / "0.png").rename(val / "z.png")
    continue_to(3, config, out)
    assert held(out) == (2, 30.0)
    printed = capsys.readouterr().out
    assert "counts no more" not in printed
    assert f"{HELD} 2 (30.00 dB in validation), not the last: step 3 scored 20.00 dB" in printed
    Image.fromarray(picture(77)).save(val / "z.png")
    continue_to(4, config, out)
    assert held(out) == (4, 10.0)
    assert capsys.readouterr().out.count("counts no more, and the next validation replaces") == 1
    continue_to(5, config, out)  # and from here on they compare again
    assert held(out) == (4, 10.0)
    assert "counts no more" in (out / "log.jsonl").read_text()


def test_the_weights_file_may_be_ahead_of_the_checkpoint(
    tmp_path: Path,
    settings: Callable[..., TrainConfig],
    val: Path,
    scored: Callable[[Iterable[float]], None],
) -> None:
    """As after a kill between the two: its score is still what has to be beaten."""
    out, config = tmp_path / "run", settings(val=(str(val),), steps=2)
    scored([10, 30, 20])
    train(config, out, tensorboard=False)
    shutil.copy(out / "checkpoint.pt", tmp_path / "older.pt")
    continue_to(4, config, out)
    assert held(out) == (4, 30.0)
    shutil.copy(tmp_path / "older.pt", out / "checkpoint.pt")
    continue_to(3, config, out)
    assert held(out) == (4, 30.0)


def test_changed_training_pictures_are_told(
    tmp_path: Path,
    settings: Callable[..., TrainConfig],
    picture: Callable[..., np.ndarray],
    photos: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, config, told = tmp_path / "run", settings(steps=1), "the training pictures are not those"
    train(config, out, tensorboard=False)
    first = witt.load_weights(out / "weights.safetensors")[1]["data_content"]
    assert len(first) == 16
    (photos / "0.png").rename(photos / "other.png")
    continue_to(2, config, out)
    assert told not in capsys.readouterr().out
    Image.fromarray(picture(5)).save(photos / "other.png")
    continue_to(3, config, out)
    assert told in capsys.readouterr().out
    assert (out / "log.jsonl").read_text().count(told) == 1
    assert witt.load_weights(out / "weights.safetensors")[1]["data_content"] != first
    continue_to(4, config, out)
    assert told not in capsys.readouterr().out


def test_pictures_without_an_ms_ssim_are_left_out(
    tmp_path: Path,
    settings: Callable[..., TrainConfig],
    val: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The score is that of the others, and the best weights follow it."""
    config, scores = settings(loss="ms-ssim", val=(str(val),), steps=1), []
    for name in ("without", "with"):
        train(config, tmp_path / name, tensorboard=False)
        scores.append(held(tmp_path / name))
        Image.fromarray(np.zeros((2, 40, 3), np.uint8)).save(val / "flat.png")
    assert scores[0] == scores[1]
    assert scores[0][1] is not None
    assert capsys.readouterr().out.count("--val: 1 left out, less than 3 pixels high or wide") == 1
    (val / "0.png").unlink()
    (val / "1.png").unlink()
    with pytest.raises(witt.InputError, match="all pictures are less than 3 pixels high or wide"):
        train(config, tmp_path / "none", tensorboard=False)
    assert not (tmp_path / "none").exists()
    train(replace(config, loss="mse"), tmp_path / "psnr", tensorboard=False)  # has a PSNR
    assert held(tmp_path / "psnr")[1] is not None
