"""The frontier of PSNR over compute, against laws that are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from witt.commands.scaling import command
from witt.errors import InputError
from witt.training.compute import Point, best_of, fit_frontier, read_frontiers
from witt.training.law import Law

LAW = Law(30.0, 1.2, 0.35)
AMOUNTS = [0.01 * 2**i for i in range(8)]


def row(preset: str, amount: float, score: float, seed: int = 0, **more: Any) -> dict[str, Any]:
    points = [{"channel": "awgn", "psnr_db": score - 1}, {"channel": "awgn", "psnr_db": score + 1}]
    budget = {"kind": "petaflops", "amount": amount}
    return {"preset": preset, "seed": seed, "budget": budget, "petaflop": amount,
            "psnr_db": points, **more}  # fmt: skip


def write(folder: Path, rows: list[dict[str, Any]], format: str = "witt-ablation-1") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "results.json"
    path.write_text(json.dumps({"format": format, "rows": rows}))
    return path


def family() -> list[dict[str, Any]]:
    """Three sizes: one that is best at the low amounts, one at the high ones, and a bad one.

    The seeds lie 0.1 dB around the law, which is of the compute over the largest one.
    """
    rows = []
    for index, amount in enumerate(AMOUNTS):
        best = float(LAW.at(amount / AMOUNTS[-1]))
        for seed, by in ((0, -0.1), (1, 0.1)):
            rows.append(row("small", amount, best + by - (0.3 if index > 3 else 0), seed))
            rows.append(row("large", amount * 1.001, best + by - (0.3 if index <= 3 else 0), seed))
            rows.append(row("bad", amount, best - 3, seed))
    return rows


def test_the_best_of_each_amount(tmp_path: Path) -> None:
    (frontier,) = read_frontiers(write(tmp_path / "mine", family()))
    assert frontier.name == "mine, 1 of the pictures"
    assert [point.preset for point in frontier.best] == ["small"] * 4 + ["large"] * 4
    assert len(frontier.points) == 24
    assert {round(p.spread_db, 6) for p in frontier.points} == {0.2, 0.0}
    scores = [point.score_db for point in frontier.best]
    np.testing.assert_allclose(scores, LAW.at(np.array(AMOUNTS) / AMOUNTS[-1]))


def test_what_a_smaller_amount_reaches_is_left_out() -> None:
    points = [Point("a", 1.0, 20.0, 0), Point("b", 2.0, 19.9, 0), Point("c", 4.0, 21.0, 0)]
    assert [point.preset for point in best_of(points)] == ["a", "c"]


def test_ten_times_more_is_predicted(tmp_path: Path) -> None:
    (frontier,) = read_frontiers(write(tmp_path / "mine", family()))
    found = fit_frontier(frontier)
    assert float(found.at(10 * found.unit_petaflop)) == pytest.approx(float(LAW.at(10)), abs=0.05)
    assert found.held_out == pytest.approx([a * 1.001 for a in AMOUNTS[5:]])
    np.testing.assert_allclose(found.missed_db, 0, atol=0.05)


def test_held_out_points_are_not_in_the_fit(tmp_path: Path) -> None:
    """The last one lies 0.5 dB above the law of the others."""
    rows = [row("a", amount, float(LAW.at(amount / AMOUNTS[-1]))) for amount in AMOUNTS]
    rows[-1] = row("a", AMOUNTS[-1], float(LAW.at(1)) + 0.5)
    (frontier,) = read_frontiers(write(tmp_path / "jump", rows))
    missed = fit_frontier(frontier).missed_db
    assert missed[-1] == pytest.approx(-0.5, abs=0.05)
    np.testing.assert_allclose(missed[:-1], 0, atol=0.05)


def test_the_command(tmp_path: Path) -> None:
    half = [row("a", x, 25 + i, share=0.5) for i, x in enumerate(AMOUNTS)]
    path = write(tmp_path / "mine", family() + half)
    done = CliRunner().invoke(command, [str(path.parent), "--json", "--times", "10"])
    assert done.exit_code == 0, done.exception
    records = json.loads(done.output)
    assert [r["results"] for r in records] == [
        "mine, 0.5 of the pictures",
        "mine, 1 of the pictures",
    ]
    ((amount, predicted),) = records[1]["predicted_db"].items()
    assert float(amount) == pytest.approx(12.8 * 1.001)
    assert predicted == pytest.approx(float(LAW.at(10)), abs=0.05)
    picture = tmp_path / "out.svg"
    done = CliRunner().invoke(command, [str(path), "-o", str(picture)])
    assert "best small at 0.01, small at 0.02" in done.output
    assert "Held out: 0.32 PFLOP" in done.output
    assert picture.is_file()


def test_what_cannot_be_fitted(tmp_path: Path) -> None:
    few = write(tmp_path / "few", [row("a", x, 20 + x) for x in AMOUNTS[:4]])
    log = tmp_path / "log.jsonl"
    log.write_text("{}\n")
    other = write(tmp_path / "other", [], format="witt-benchmark-2")
    bad = write(tmp_path / "bad", [{"preset": "a"}])
    for arguments, why in (
        ([few], "few, 1 of the pictures: amounts of compute .* ones: 4; a fit needs 5"),
        ([few, log], "not both"),
        ([other], "its format is 'witt-benchmark-2'"),
        ([bad], "is no result file of witt ablate"),
    ):
        done = CliRunner().invoke(command, list(map(str, arguments)))
        assert isinstance(done.exception, InputError)
        with pytest.raises(InputError, match=why):
            raise done.exception
