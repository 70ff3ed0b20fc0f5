"""Runs: what is interrupted goes on to the same figures, and what another machine did counts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.ablation import run as running
from benchmarks.ablation import work
from benchmarks.ablation.child import STOPPED, Child, last_entry, share_done
from benchmarks.ablation.plan import Budget, Task, read_presets, tasks
from benchmarks.ablation.results import Ablation, open_ablation
from benchmarks.ablation.work import Job, carry_out, job_of
from witt.errors import InputError
from witt.training.checkpoint import LOG, read_checkpoint
from witt.training.pictures import open_sets
from witt.training.run import Run

TIMES = ("seconds", "picture_ms")  # that differ from run to run


@pytest.fixture
def make_tasks(linear: str, photos: Path, options: list[str]) -> Callable[..., list[Task]]:
    """Runs of the codec of two matrices."""

    def make(names: tuple[str, ...] = ("a",), seeds: tuple[int, ...] = (0,), steps: int = 6) -> Any:
        folders = (str(photos),)
        texts = [f"{name}={linear}" for name in names]
        presets = read_presets(texts, options, folders, folders, open_sets(folders, ()).train)
        return tasks(list(presets), seeds, (Budget("steps", steps),))

    return make


@pytest.fixture
def ablation(tmp_path: Path) -> Ablation:
    """An empty result file."""
    return new(tmp_path / "out" / "results.json")


def new(path: Path) -> Ablation:
    about = {"names": ["photos"], "pictures": 4, "content": "x"}
    return open_ablation(path, about, about, {"batch": 2})


def prepared(ablation: Ablation, made: list[Task]) -> Ablation:
    for task in made:
        ablation.declare(task.preset.name, task.preset.record())
    return ablation


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGTERM) -> None:
    """Signal this process when a run begins a step."""
    train_step = Run.train_step

    def stopping(self: Run, image: torch.Tensor) -> tuple[float, str | None]:
        if self.step == step:
            os.kill(os.getpid(), number)
        return train_step(self, image)

    monkeypatch.setattr(Run, "train_step", stopping)


def without_times(row: dict[str, Any] | None) -> dict[str, Any]:
    assert row is not None
    return {key: value for key, value in row.items() if key not in TIMES}


def test_an_interrupted_run_goes_on_to_the_same_figures(
    make_tasks: Callable[..., list[Task]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = make_tasks(steps=9)
    whole = carry_out(job_of(task, tmp_path / "whole", "witt ablate"))
    assert whole.row is not None
    assert whole.row["steps"] == 9
    assert whole.row["pictures"] == 18
    assert whole.row["petaflop"] == pytest.approx(9 * task.preset.step_flops / 1e15, rel=1e-5)
    assert [point["snr_db"] for point in whole.row["psnr_db"]] == [1, 4, 7, 10, 13]
    job = job_of(task, tmp_path / "parts", "witt ablate")
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        stopped = carry_out(job)
    assert stopped == (128 + signal.SIGTERM, None, None)
    assert read_checkpoint(tmp_path / "parts")["step"] == 5
    assert without_times(carry_out(job).row) == without_times(whole.row)


def test_a_run_that_was_killed_before_it_was_measured_is_not_trained_again(
    make_tasks: Callable[..., list[Task]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = make_tasks()
    job = job_of(task, tmp_path / "run", "")
    row = carry_out(job).row
    monkeypatch.setattr(work, "train", pytest.fail)
    assert without_times(carry_out(job).row) == without_times(row)


def test_the_weights_of_the_last_step_are_measured(
    make_tasks: Callable[..., list[Task]], tmp_path: Path
) -> None:
    """The averaged ones, on the validation pictures, as `witt train` validates them at its end."""
    (task,) = make_tasks()
    row = carry_out(job_of(task, tmp_path / "run", "")).row
    entry = last_entry(tmp_path / "run" / LOG)
    assert row is not None
    assert entry["step"] == 6
    assert list(entry["validation"].values()) == [point["psnr_db"] for point in row["psnr_db"]]
    log = (tmp_path / "run" / LOG).read_text()
    assert log.count('"validation"') == 1  # so nothing was selected


def test_a_folder_of_another_run_is_refused(
    make_tasks: Callable[..., list[Task]], tmp_path: Path
) -> None:
    (task,), (longer,) = make_tasks(), make_tasks(steps=7)
    carry_out(job_of(task, tmp_path / "run", ""))
    with pytest.raises(InputError, match="of another length"):
        carry_out(job_of(longer, tmp_path / "run", ""))
    job = job_of(task, tmp_path / "run", "")
    with pytest.raises(InputError, match="these differ: batch"):
        carry_out(job._replace(config={**job.config, "batch": 3}))


def test_finished_runs_of_another_machine_count(
    make_tasks: Callable[..., list[Task]],
    ablation: Ablation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only the result file was copied; the runs of a further seed are added to it."""
    made = make_tasks(("a", "b"))
    assert running.run(made, prepared(ablation, made), "") == (0, [])
    other = tmp_path / "elsewhere" / "results.json"
    other.parent.mkdir()
    other.write_bytes(ablation.path.read_bytes())
    more = make_tasks(("a", "b"), seeds=(0, 1))
    trained = []
    monkeypatch.setattr(work, "train", lambda *args, **_: trained.append(args[1].name) or 143)
    capsys.readouterr()
    assert running.run(more, prepared(new(other), more), "") == (143, [])
    assert trained == ["a-6-steps-seed1"]  # and not b, since the first was stopped
    assert "run 1 of 2: a, seed 1, 6 steps" in capsys.readouterr().out
    assert len(new(other).rows) == 2


def test_a_run_that_fails_stops_no_other(
    make_tasks: Callable[..., list[Task]], ablation: Ablation, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_tasks(("a", "b"))
    whole = work.train

    def train(config: Any, folder: Path, *args: Any, **more: Any) -> int:
        if folder.name.startswith("a-"):
            raise InputError("training diverged")
        return whole(config, folder, *args, **more)

    monkeypatch.setattr(work, "train", train)
    code, failed = running.run(made, prepared(ablation, made), "")
    assert (code, failed) == (0, ["a, seed 0, 6 steps: training diverged"])
    assert [row["preset"] for row in ablation.rows] == ["b"]


def test_time_left(make_tasks: Callable[..., list[Task]]) -> None:
    """By hand: of a preset with a row by its own speed, of another one by the mean of all."""
    a, b = make_tasks(("a", "b"), steps=100)
    flops = a.preset.step_flops
    assert running.seconds_left([a], []) != running.seconds_left([a], [])  # NaN: not known
    rows = [
        {"preset": "a", "petaflop": 50 * flops / 1e15, "seconds": 10.0},
        {"preset": "c", "petaflop": 50 * flops / 1e15, "seconds": 30.0},
    ]
    assert running.seconds_left([a], rows) == pytest.approx(20)
    assert running.seconds_left([a, b], rows) == pytest.approx(20 + 40)
    timed = a._replace(budget=Budget("minutes", 2))
    assert running.seconds_left([timed], []) == 120


def test_progress_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / LOG
    assert last_entry(log) == {}
    log.write_text('{"step": 20, "seconds": 30}\n{"step": 40, "sec')
    assert share_done({"steps": 80, "minutes": None}, last_entry(log)) == 0.25
    assert share_done({"steps": None, "minutes": 2.0}, last_entry(log)) == 0.25


@pytest.mark.slow
def test_a_process_that_is_stopped_goes_on(
    make_tasks: Callable[..., list[Task]], tmp_path: Path
) -> None:
    """Closing its pipe is what happens too when the process that started it is killed."""
    (task,) = make_tasks(steps=300)
    child = Child(job_of(task, tmp_path / "run", "", threads=1))
    waited_until(lambda: last_entry(tmp_path / "run" / LOG).get("step", 0) > 0)
    child.stop()
    waited_until(lambda: child.outcome() is not None)
    assert child.outcome() == (STOPPED, None, None)
    assert 0 < read_checkpoint(tmp_path / "run")["step"] < 300
    again = Child(job_of(task, tmp_path / "run", "", threads=1))
    waited_until(lambda: again.outcome() is not None)
    outcome = again.outcome()
    assert outcome is not None
    whole = carry_out(job_of(task, tmp_path / "whole", ""))
    assert without_times(outcome.row) == without_times(whole.row)


@pytest.mark.slow
def test_processes_give_what_one_gives(
    make_tasks: Callable[..., list[Task]], ablation: Ablation, tmp_path: Path
) -> None:
    made = make_tasks(("a", "b"))
    assert running.run(made, prepared(ablation, made), "", jobs=2) == (0, [])
    here = prepared(new(tmp_path / "here" / "results.json"), made)
    running.run(made, here, "")
    one, two = ({r["preset"]: without_times(r) for r in each.rows} for each in (here, ablation))
    assert one == two


@pytest.mark.slow
def test_what_a_process_says_when_it_fails(tmp_path: Path, photos: Path) -> None:
    job = Job({"preset": "a"}, {"preset": "nothing"}, 1.0, str(tmp_path / "run"), "", 1)
    child = Child(job)
    waited_until(lambda: child.outcome() is not None)
    outcome = child.outcome()
    assert outcome is not None
    assert outcome.row is None
    assert "not the settings of a training run" in str(outcome.failed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cluster_gives_what_one_process_gives(
    make_tasks: Callable[..., list[Task]], ablation: Ablation, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    made = make_tasks(("a", "b"))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        code = running.run(made, prepared(ablation, made), "", scheduler=cluster.scheduler_address)
    assert code == (0, [])
    here = prepared(new(tmp_path / "here" / "results.json"), made)
    running.run(made, here, "")
    one, two = ({r["preset"]: without_times(r) for r in each.rows} for each in (here, ablation))
    assert one == two


def waited_until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.1)
