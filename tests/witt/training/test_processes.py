"""Several processes train as one does, and what one of them leaves is gone on from by any number.

This file is also what the processes run: ``python test_processes.py JOBS RANK COUNT``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from witt.errors import InputError
from witt.training.checkpoint import read_checkpoint
from witt.training.config import TrainConfig, continued
from witt.training.loop import train
from witt.training.processes import Processes, joined
from witt.training.run import Run

ROOT = Path(__file__).parents[3]
SECONDS = 300  # until processes that wait for each other are given up


def curve(
    config: TrainConfig, out: Path, resume: bool = False, signal_at: dict[int, int] | None = None
) -> list[float]:
    """Train, and return the figure of each step in dB; before some steps there comes a signal."""
    values, original = [], Run.train_step

    def stepping(self: Run, image: Tensor) -> tuple[float, str | None]:
        if self.step in (signal_at or {}):
            os.kill(os.getpid(), (signal_at or {})[self.step])
        result = original(self, image)
        values.append(result[0])
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "train_step", stepping)
        train(config, out, resume, tensorboard=False)
    return values


def work(jobs: Path, rank: int, count: int) -> None:
    """One of several processes: each job in turn, and the curves into a file."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{jobs}.store",
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=SECONDS),
    )
    found: dict[str, Any] = {}
    for job in json.loads(jobs.read_text()):
        out = jobs.parent / job["out"]
        try:
            config = TrainConfig.from_dict(job["config"])
            if job["resume"]:
                config = continued(TrainConfig.from_dict(read_checkpoint(out)["config"]), {})
            signals = {int(k): number for k, number in job["signals"].items()} if rank else {}
            found[job["out"]] = curve(config, out, job["resume"], signals)
        except InputError as error:
            found[job["out"]] = str(error)
        Path(f"{jobs}.{rank}").write_text(json.dumps(found))


def launch(tmp_path: Path, *jobs: dict[str, Any]) -> tuple[dict[str, Any], list[int], str]:
    """Two processes: what the first one found, their exit codes, and what they printed."""
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps([{"resume": False, "signals": {}, **job} for job in jobs]))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(file), str(rank), "2"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        printed = "".join(process.communicate(timeout=SECONDS)[0] for process in started)
    finally:
        for process in started:
            process.kill()
    found = json.loads(Path(f"{file}.0").read_text())
    return found, [process.returncode for process in started], printed


def assert_same_run(one: Path, several: Path) -> None:
    """Weights and averages agree within float error, after steps that moved them much further."""
    first, second = read_checkpoint(one), read_checkpoint(several)
    assert first["step"] == second["step"]
    assert first["pixels"] == second["pixels"]
    for part in ("model", "average"):
        for name, value in first[part].items():
            torch.testing.assert_close(second[part][name], value, rtol=1e-3, atol=2e-5)


def test_two_processes_are_one(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    """The same curve and weights; a lost process leaves what one goes on from, and the reverse."""
    mixed = settings(
        steps=4, batch=4, snr_is_range=True, channel=("awgn", "rayleigh", "rician"), warmup=2
    )
    parts = settings(steps=2, batch=4, loss="ms-ssim", muon_lr=0, accumulate=2)
    jobs: list[dict[str, Any]] = [
        {"out": "mixed", "config": mixed.to_dict()},
        {"out": "parts", "config": parts.to_dict()},
        {"out": "back", "config": mixed.to_dict(), "resume": True},
        {"out": "stopped", "config": mixed.to_dict(), "signals": {1: signal.SIGTERM}},
        {"out": "lost", "config": mixed.to_dict(), "signals": {2: signal.SIGKILL}},
    ]
    one = tmp_path / "one"
    alone = {
        "mixed": curve(mixed, one / "mixed"),
        "parts": curve(replace(parts, accumulate=1), one / "parts"),
    }
    curve(mixed, tmp_path / "back", signal_at={1: signal.SIGTERM})

    found, codes, printed = launch(tmp_path, *jobs)
    assert codes == [0, -signal.SIGKILL], printed
    for name, values in alone.items():
        assert found[name] == pytest.approx(values, abs=2e-3)  # dB
        assert_same_run(one / name, tmp_path / name)
    assert printed.count("2 processes, 2 images each") == 5  # one of the two speaks
    assert len((tmp_path / "mixed" / "log.jsonl").read_text().splitlines()) == 1

    assert found["back"] == pytest.approx(alone["mixed"][2:], abs=2e-3)
    assert_same_run(one / "mixed", tmp_path / "back")

    # A signal that only the other one got: both finish the step and end.
    assert found["stopped"] == pytest.approx(alone["mixed"][:2], abs=2e-3)
    assert read_checkpoint(tmp_path / "stopped")["step"] == 2

    assert "another process was lost after step 2" in found["lost"]
    stored = TrainConfig.from_dict(read_checkpoint(tmp_path / "lost")["config"])
    rest = curve(continued(stored, {}), tmp_path / "lost", resume=True)
    assert rest == pytest.approx(alone["mixed"][2:], abs=2e-3)
    assert_same_run(one / "mixed", tmp_path / "lost")


def test_parts_add_up_to_the_batch(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    """Also where the loss is no mean over the images: a geometric one."""
    config = settings(steps=2, batch=6, snr=(0, 20))
    whole = curve(config, tmp_path / "whole")
    assert curve(replace(config, accumulate=3), tmp_path / "parts") == pytest.approx(
        whole, abs=2e-3
    )
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_batches_that_do_not_divide_are_refused(
    tmp_path: Path, settings: Callable[..., TrainConfig]
) -> None:
    three = Processes(torch.device("cpu"), rank=1, count=3)
    three.check(12, 2)
    with pytest.raises(InputError, match=r"--batch 8 does not divide into 6 .*multiple of 6"):
        three.check(8, 2)
    with pytest.raises(InputError, match="--batch 3 does not divide into 2"):
        train(settings(accumulate=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_a_launcher_there_is_one_process() -> None:
    """A scheduler's RANK and WORLD_SIZE alone say nothing of this run."""
    for environment in ({}, {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}):
        with joined("cpu", environment) as processes:
            assert (processes.rank, processes.count, processes.first) == (0, 1, True)
            assert processes.gather("x") == ["x"]
            assert processes.agree(3.5, None) == (3.5, None)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
