"""Fits of validation curves, against laws that are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from witt.commands.scaling import command
from witt.errors import InputError
from witt.pictures.finding import find_images
from witt.training.curve import Curve, read_log
from witt.training.law import Law, fit, fit_law

HOURS = np.geomspace(0.1, 4, 16)


def write_log(path: Path, entries: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def validations(seconds: list[float], kind: str = "awgn 1/16 9 dB") -> list[dict[str, Any]]:
    return [
        {"step": i, "seconds": s, "validation": {kind: 20.0}, "score_db": 20.0 + i}
        for i, s in enumerate(seconds)
    ]


def test_a_power_law_is_found_and_extrapolated() -> None:
    """With noise of 0.01 dB; 40 hours are ten times as far as the points go."""
    law = Law(30.0, 2.0, 0.6)
    noise = np.random.default_rng(0).normal(0, 0.01, HOURS.shape)
    found = fit_law(HOURS, law.at(HOURS) + noise)
    assert float(found.at(40.0)) == pytest.approx(float(law.at(40.0)), abs=0.1)


def test_a_break_is_found_where_there_is_one() -> None:
    law = Law(32.0, 4.0, 0.05, 0.9, 0.8, 0.3)
    found = fit_law(HOURS, law.at(HOURS))
    assert found.c > 0
    np.testing.assert_allclose(found.at(HOURS), law.at(HOURS), atol=0.02)
    straight = Law(32.0, 4.0, 0.5)
    assert fit_law(HOURS, straight.at(HOURS)).c == 0


def test_missed_is_against_the_last_point() -> None:
    """A curve that jumps at its end, as with a falling learning rate, is not foreseen."""
    score = Law(30.0, 2.0, 0.6).at(HOURS)
    score[-1] += 0.5
    assert fit(Curve("jump", HOURS, score)).missed_db == pytest.approx(-0.5, abs=0.02)


def test_runs_in_one_log_follow_each_other(tmp_path: Path) -> None:
    entries = [
        *validations([600, 1200, 1800]),
        {"note": "second run"},
        {"step": 1, "seconds": 5.0, "psnr_db": 20.0},
        *validations([600, 1200]),
    ]
    curve = read_log(write_log(tmp_path / "log.jsonl", entries))
    np.testing.assert_allclose(curve.hours * 3600, [600, 1200, 1800, 2400, 3000])
    assert curve.name == tmp_path.name


def test_scores_of_other_conditions_are_left_out(tmp_path: Path) -> None:
    entries = [*validations([1.0, 2.0], "awgn 1/8 9 dB"), *validations([3, 4, 5, 6, 7])]
    curve = read_log(write_log(tmp_path / "log.jsonl", entries))
    np.testing.assert_allclose(curve.hours * 3600, [3, 4, 5, 6, 7])


def test_scores_of_other_pictures_are_left_out(tmp_path: Path) -> None:
    entries = [
        *({**entry, "val_content": "old"} for entry in validations([1, 2, 3])),
        *({**entry, "val_content": "new"} for entry in validations([4, 5, 6, 7, 8])),
    ]
    curve = read_log(write_log(tmp_path / "log.jsonl", entries))
    np.testing.assert_allclose(curve.hours * 3600, [4, 5, 6, 7, 8])


@pytest.mark.parametrize("bad", ["null", "NaN", "Infinity", "-Infinity", '"9"', "true"])
def test_scores_that_are_not_finite_are_left_out(tmp_path: Path, bad: str) -> None:
    """Logs have null for them, and older ones what is no JSON."""
    path = write_log(tmp_path / "log.jsonl", validations([1, 2, 3, 4, 5]))
    with path.open("a") as log:
        log.write(f'{{"step": 9, "seconds": 6, "validation": {{"x": {bad}}}, "score_db": {bad}}}\n')
        log.write(f'{{"step": 9, "seconds": {bad}, "validation": {{}}, "score_db": 30}}\n')
    done = CliRunner().invoke(command, [str(tmp_path), "--json"])
    assert done.exit_code == 0, done.exception
    (record,) = json.loads(done.output, parse_constant=pytest.fail)
    assert record["score_db"] == [20, 21, 22, 23, 24]


def test_lines_that_a_kill_cut_short_are_left_out(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.jsonl", validations([1, 2, 3]))
    with path.open("a") as log:
        log.write('{"step": 3, "secon\n')
    write_log(tmp_path / "more.jsonl", validations([4, 5]))
    path.write_text(path.read_text() + (tmp_path / "more.jsonl").read_text() + '{"step": 5')
    np.testing.assert_allclose(read_log(path).hours * 3600, [1, 2, 3, 4, 5])


@pytest.mark.parametrize("seconds", [{"seconds": 200.0}, {}], ids=["now", "older logs"])
def test_what_is_done_again_after_a_kill_counts_once(
    tmp_path: Path, seconds: dict[str, float]
) -> None:
    """Killed after 350 s, it went on from a checkpoint at 200 s."""
    first, again = validations([100, 200, 300, 350]), validations([0, 0, 310, 400, 500])
    entries = [*first, {"step": 1, **seconds, "resumed": True}, *again[2:]]
    curve = read_log(write_log(tmp_path / "log.jsonl", entries))
    np.testing.assert_allclose(curve.hours * 3600, [100, 200, 310, 400, 500])


def test_validations_at_one_moment_are_too_few(tmp_path: Path) -> None:
    """Seconds are rounded: a tiny run has many at 0.1 s, and some at 0."""
    path = write_log(tmp_path / "log.jsonl", validations([0.0] * 5 + [0.1] * 10))
    with pytest.raises(InputError, match="a fit needs 5"):
        read_log(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "no training log"), ("", "holds 0 validations"), ('{"seconds": 1}\n[]', "holds 0")],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_log(path)
    assert str(path) in str(caught.value)


def test_command_tells_and_draws(tmp_path: Path) -> None:
    law = Law(30.0, 2.0, 0.6)
    entries = [
        {"seconds": 3600 * h, "validation": {"a": 1.0}, "score_db": float(law.at(h))} for h in HOURS
    ]
    write_log(tmp_path / "log.jsonl", entries)
    picture = tmp_path / "new" / "scaling.png"
    args = [str(tmp_path), "--hours", "12", "-o", str(picture), "--json"]
    done = CliRunner().invoke(command, args)
    assert done.exit_code == 0, done.exception
    (record,) = json.loads(done.output)
    assert record["predicted_db"]["12"] == pytest.approx(float(law.at(12.0)), abs=0.02)
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="1 file written by this program"):
        find_images([picture.parent])


@pytest.mark.parametrize(
    "args", [["--hours", "0"], ["--hours", "x"], ["--hours", ""], ["-o", "scaling.txt"]]
)
def test_bad_options(tmp_path: Path, args: list[str]) -> None:
    write_log(tmp_path / "log.jsonl", validations([1, 2, 3, 4, 5]))
    done = CliRunner().invoke(command, [str(tmp_path), *args])
    assert isinstance(done.exception, InputError)
